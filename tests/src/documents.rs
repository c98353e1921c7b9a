//! The commands in documents, run as a reader would run them, and the output that they print.
//!
//! Blocks with the language `console` have commands after `$ `, each followed by its output. A line `...` stands for
//! any lines, and `...` within a line for any text. Times, dates and random identifiers need not be the same.
//! A block of YAML that begins with a comment such as `# invoker.yaml` is the content of that file. Comments in front
//! of a block say more:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- file: PATH -->` | the block is the content of this file |
//! | `<!-- setup: COMMAND -->` | a command that the reader does not see; runs where it stands |
//! | `<!-- needs: TOOL -->` | the next block is skipped by name on a machine without this tool |
//! | `<!-- not sent: REASON -->` | the AWS CLI checks the commands of the block, and sends nothing |
//! | `<!-- not run: REASON -->` | the commands of the block are not run |

mod block;
mod output;
mod session;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::workspace_root;

pub use block::{Block, Page};
pub use output::matches;
pub use session::Session;

/// Returns the paths of all documents of the project, relative to its folder.
///
/// # Panics
/// git does not list the files.
pub fn all() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(workspace_root());
    let listed = git.args(["ls-files", "*.md"]).output().expect("git starts");
    let listed = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let paths: Vec<_> = listed.lines().map(PathBuf::from).collect();
    assert!(paths.len() > 20, "git lists no documents: {paths:?}");
    paths
}

/// Reads a document.
///
/// # Panics
/// It cannot be read, or a comment in it is not complete.
pub fn read(path: &Path) -> Page {
    let text = fs::read_to_string(workspace_root().join(path)).expect("a document");
    Page::parse(path, &text)
}
