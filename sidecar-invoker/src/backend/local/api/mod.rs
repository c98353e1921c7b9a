//! The HTTP APIs that a function's processes talk to.

pub(crate) mod extensions;
pub(crate) mod response;
pub(crate) mod runtime;
