//! The invoker's AWS credentials: loaded by the SDK, kept ready for the requests.

mod cache;
mod load;

pub(crate) use cache::{Session, Source};
pub(crate) use load::Who;
