//! The invoker's AWS credentials: loaded by the SDK, kept ready for the requests.

mod cache;
mod load;

pub(crate) use cache::{CredentialCache, Session};
pub(crate) use load::CredentialsKey;
