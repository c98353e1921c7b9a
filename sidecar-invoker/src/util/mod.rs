//! Small helpers that know nothing of functions.

mod error_chain;
mod lock;
pub(crate) mod time;

pub(crate) use error_chain::error_chain;
pub(crate) use lock::lock;
