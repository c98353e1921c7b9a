//! Functions on AWS, against a stand-in on loopback that answers as a test tells it to. Its
//! signatures are compared with the AWS SDK's own in the unit tests of `sign`.

mod check;
mod credentials;
mod limits;
mod passing;
mod program;
mod retries;
mod stand_in;
mod tls;
