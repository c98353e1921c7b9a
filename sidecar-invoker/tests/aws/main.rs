//! Functions on AWS, against a stand-in on loopback that answers as a test tells it to. Its
//! signatures are compared with the AWS SDK's own in the unit tests of `sign`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at what it does not expect"
)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod credentials;
mod limits;
mod passing;
mod program;
mod retries;
mod stand_in;
mod tls;
