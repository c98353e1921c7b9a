//! Small helpers without knowledge of functions.

mod backoff;
mod error_chain;
mod file_stamp;
mod lock;
mod log_limit;
mod path;
pub(crate) mod time;

pub(crate) use backoff::Backoff;
pub(crate) use error_chain::error_chain;
pub(crate) use file_stamp::FileStamp;
pub(crate) use lock::lock;
pub(crate) use log_limit::{LogLimit, admit_line, left_out};
pub(crate) use path::normal_path;
