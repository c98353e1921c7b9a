//! The AWS credentials of the invoker: loaded by the SDK, and renewed before they expire.

mod cache;
mod load;

pub(crate) use cache::{CredentialCache, CredentialsProblem};
pub(crate) use load::{CredentialsKey, LoadedCredentials};
