//! A replacement for lrp, the Lambda Reverse Proxy in Go (gabrielelana/lambda-reverse-proxy), with the
//! same `lrp.yaml`. docs/lrp.md compares the two.

mod file;
mod run;
mod translate;

pub use run::{ExitReason, RunError, run};
pub use translate::Lrp;
