//! Signature version 4 of AWS, as pure functions of the request, the access key and the time: it signs
//! requests to AWS, and verifies those of callers.
//!
//! Source: "Create a signed AWS API request" in the AWS IAM user guide.

mod canonical;
mod identity;
mod received;

pub(crate) use canonical::{Digest, SignedParts};
pub(crate) use identity::Identity;
pub(crate) use received::{Signature, SignatureError};
