//! Functions on AWS, against a stand-in on loopback. The unit tests of `sign` compare the signatures
//! with those of the AWS SDK.

mod check;
mod credentials;
mod forwarding;
mod limits;
pub(crate) mod program;
mod retries;
pub(crate) mod stand_in;
mod tls;
