//! A mistake that the check reports.

use std::fmt;
use std::path::PathBuf;

/// The remedy for an import that leads up or sideways.
pub(super) const CURE: &str =
    "move what both need into a layer below them, or pass it in as an argument";

/// A mistake, its place, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// Relative to the workspace.
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.display(),
            self.line,
            self.text
        )
    }
}
