//! The Lambda Invoke API on the wire: requests, responses and errors.

pub(crate) mod body;
pub(crate) mod error;
pub(crate) mod event_stream;
pub(crate) mod failure;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod request;
pub(crate) mod response;
