//! The files that are installed together with this program.
//!
//! An image or an archive has all of them in one folder. A Python wheel has programs in `bin`, and other files
//! in `share/lambda-mesh` and `lib/pythonX.Y/site-packages` beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of other files in a wheel, relative to that of the program.
const SHARE: &str = "../share/lambda-mesh";
/// The folders with the packages of Python, relative to that of the program, and Envoy in its own package.
const PYTHON: [&str; 2] = ["../lib", "../lib64"];
const ENVOY_OF_PYTHON: &str = "site-packages/envoy/_bin/envoy";

/// Returns the path of a file that is installed with this program.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    let folder = folder()?;
    let candidates = [folder.join(name), folder.join(SHARE).join(name)];
    candidates.into_iter().find(|path| path.is_file())
}

/// Returns the paths at which Envoy may be installed with this program.
pub(super) fn envoys() -> impl Iterator<Item = PathBuf> {
    let folder = folder();
    let beside = folder.iter().map(|folder| folder.join("envoy"));
    let pythons = folder.iter().flat_map(|folder| {
        let libraries = PYTHON.iter().map(|library| folder.join(library));
        libraries.flat_map(|library| of_python(&library))
    });
    beside.chain(pythons).collect::<Vec<_>>().into_iter()
}

fn of_python(library: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(library).into_iter().flatten().flatten();
    let versions = versions.map(|entry| entry.path().join(ENVOY_OF_PYTHON));
    versions.collect()
}

/// Returns the folder of this program, where a link to it leads.
fn folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.to_owned())
}
