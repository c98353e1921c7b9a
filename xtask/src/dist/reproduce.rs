//! `cargo xtask dist --reproduce` checks that the filter's bytes do not depend on the folder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::files::{read, sha256};
use crate::lock::Lock;
use crate::wasm::{self, Toolchain};
use crate::{say, target_dir, workspace_root};

/// Builds the filter from a copy of the source, into a target folder of its own, and compares it
/// with `filter`.
pub(super) fn compare(filter: &Path) -> Result<()> {
    let _lock = Lock::acquire("reproduce")?;
    let folder = target_dir().join("reproduce");
    let copy = folder.join("source");
    if copy.exists() {
        fs::remove_dir_all(&copy).context("cannot empty target/reproduce/source")?;
    }
    copy_source(workspace_root(), &copy).context("cannot copy the source to target/reproduce")?;
    let again = wasm::compile(&Toolchain::find()?, &copy, &folder.join("target"))?;
    let (first, second) = (sha256(&read(filter)?), sha256(&read(&again)?));
    if first != second {
        bail!(
            "{} has the SHA-256 {first}, but {}, built from the same source in another folder, has \
             {second}; compare the files, and delete the first if the source or the compiler has changed",
            crate::display(filter),
            crate::display(&again),
        );
    }
    say(format_args!(
        "the build in another folder has the same bytes, SHA-256 {first}"
    ));
    Ok(())
}

/// Copies a folder of the workspace without its build products.
fn copy_source(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if kind.is_file() {
            fs::copy(source, copy)?;
        } else if kind.is_dir()
            && !["target", ".git", "node_modules"]
                .iter()
                .any(|name| entry.file_name() == *name)
        {
            copy_source(&source, &copy)?;
        }
    }
    Ok(())
}
