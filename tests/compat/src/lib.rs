//! The compatibility matrix, with a row for each web framework and a column for each payload format.
//!
//! Each cell is a real function: an application on that framework, with its adapter for Lambda, on its
//! own runtime client, started by the invoker and called through a real Envoy with the filter in that
//! format. Every application has the same routes and gets the same dozen requests ([`contract`]).
//!
//! | module | content |
//! |---|---|
//! | [`format`](mod@format) | the columns |
//! | [`contract`] | the requests, and the expected responses |
//! | [`manifest`] | `matrix.yaml`: the rows, their unsupported formats and deviations |
//! | [`prepare`] | an application's dependencies and build, in `target/compat/` |
//! | [`run`] | a row: functions, invoker, Envoy, requests, outcomes |
//! | [`report`] | the table, as Markdown and as JSON |

pub mod contract;
pub mod format;
pub mod manifest;
pub mod prepare;
pub mod report;
pub mod run;

use std::path::{Path, PathBuf};

/// Returns `tests/compat` of the workspace.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns `target/compat` of the workspace, the folder of prepared applications and of reports.
#[must_use]
pub fn output_folder() -> PathBuf {
    xtask::target_dir().join("compat")
}
