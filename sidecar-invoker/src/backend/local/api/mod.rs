//! The HTTP APIs for the processes of a function.

pub(crate) mod extensions;
pub(crate) mod response;
pub(crate) mod runtime;
