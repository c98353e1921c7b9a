//! A replacement for lrp, the Lambda Reverse Proxy in Go (gabrielelana/lambda-reverse-proxy), with the
//! same `lrp.yaml`. docs/lrp.md compares the two.

mod file;
mod translate;

pub use translate::Lrp;
