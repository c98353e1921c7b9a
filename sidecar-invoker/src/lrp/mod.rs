//! In the place of lrp, the Lambda Reverse Proxy that was written in Go (gabrielelana/
//! lambda-reverse-proxy): takes its `lrp.yaml` and behaves as it did. docs/lrp.md compares the two.

mod file;
mod run;
mod translate;

pub use run::{Ended, RunError, run};
pub use translate::Lrp;
