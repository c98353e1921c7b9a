//! Small helpers without knowledge of functions.

mod backoff;
mod error_chain;
mod lock;
mod path;
pub(crate) mod time;
mod warning_limit;

pub(crate) use backoff::Backoff;
pub(crate) use error_chain::error_chain;
pub(crate) use lock::lock;
pub(crate) use path::normal_path;
pub(crate) use warning_limit::WarningLimit;
