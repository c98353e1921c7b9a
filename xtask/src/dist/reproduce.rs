//! `cargo xtask dist --reproduce` checks that the filter's bytes do not depend on the folder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::files::{read, sha256};
use crate::lock::Lock;
use crate::wasm::{self, Toolchain};
use crate::{native, say, target_dir, workspace_root};

/// Builds the filter from a copy of the source, into a target folder of its own, and compares it
/// with `filter`, and likewise the native module, if there is one.
pub(super) fn compare(filter: &Path, module: Option<&Path>) -> Result<()> {
    let _lock = Lock::acquire("reproduce")?;
    let folder = target_dir().join("reproduce");
    let copy = folder.join("source");
    if copy.exists() {
        fs::remove_dir_all(&copy).context("cannot empty target/reproduce/source")?;
    }
    copy_source(workspace_root(), &copy).context("cannot copy the source to target/reproduce")?;
    let target = folder.join("target");
    let again = wasm::compile(&Toolchain::find()?, &copy, &target)?;
    compare_files(filter, &again)?;
    if let Some(module) = module {
        compare_files(module, &native::compile(&copy, &target, &[])?)?;
    }
    Ok(())
}

fn compare_files(filter: &Path, again: &Path) -> Result<()> {
    let (first, second) = (sha256(&read(filter)?), sha256(&read(again)?));
    if first != second {
        bail!(
            "{} has the SHA-256 {first}, but {}, built from the same source in another folder, has \
             {second}; compare the files, and delete the first if the source or the compiler has changed",
            crate::display(filter),
            crate::display(again),
        );
    }
    say(format_args!(
        "{} has the same bytes when it is built in another folder, SHA-256 {first}",
        crate::display(filter)
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
