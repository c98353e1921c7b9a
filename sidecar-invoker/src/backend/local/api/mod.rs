//! The HTTP APIs for the processes of a function.

pub(crate) mod extensions;
pub(crate) mod reported_error;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod runtime;
pub(crate) mod telemetry;
