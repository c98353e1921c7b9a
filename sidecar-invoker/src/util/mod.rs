//! Small helpers without knowledge of functions.

mod backoff;
mod error_chain;
mod lock;
mod log_limit;
pub(crate) mod time;

pub(crate) use backoff::Backoff;
pub(crate) use error_chain::error_chain;
pub(crate) use lock::lock;
pub(crate) use log_limit::{LogLimit, admit_line};
