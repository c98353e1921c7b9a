//! The compatibility matrix: web frameworks down, payload formats across.
//!
//! Each cell is a real function: an application on that framework, behind its own adapter for
//! Lambda, on its own runtime client, started by the invoker and called through a real Envoy
//! with the filter in that format. Every application has the same routes and gets the same
//! dozen requests ([`contract`]).
//!
//! | module | owns |
//! |---|---|
//! | [`manifest`] | `matrix.yaml`: the rows, what they do not support, where they deviate |
//! | [`contract`] | the requests, and what a right answer is |
//! | [`prepare`] | an application's dependencies and build, in `target/compat/` |
//! | [`run`] | a row: functions, invoker, Envoy, requests, outcomes |
//! | [`report`] | the table, as Markdown and as JSON |

pub mod contract;
pub mod manifest;
pub mod prepare;
pub mod report;
pub mod run;

use std::path::{Path, PathBuf};

/// `tests/compat` of the workspace.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where applications are prepared and reports are written: `target/compat` of the workspace.
#[must_use]
pub fn output_folder() -> PathBuf {
    xtask::target_dir().join("compat")
}
