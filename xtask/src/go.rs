//! Programs in Go: those of this repository, and those of others in a given version.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::{run, target_dir, workspace_root};

/// Builds the program in the folder `source` of the workspace, unless its three files are those of the last build.
/// Its `go.mod` and `go.sum` pin the modules. Returns the path, which is in `target/tools`.
///
/// # Errors
/// Go is not there or too old, or the modules cannot be fetched.
pub fn build(source: &str, name: &str) -> Result<PathBuf> {
    let source = workspace_root().join(source);
    let path = target_dir().join("tools").join(name).join(name);
    let _lock = Lock::acquire(name)?;
    let built = path.with_file_name("built-from.txt");
    let wanted = ["main.go", "go.mod", "go.sum"].map(|name| std::fs::read(source.join(name)));
    let wanted: std::io::Result<Vec<_>> = wanted.into_iter().collect();
    let wanted = wanted
        .with_context(|| format!("cannot read the source of {name}"))?
        .concat();
    if run::is_executable(&path) && std::fs::read(&built).is_ok_and(|built| built == wanted) {
        return Ok(path);
    }
    let mut go = command()?;
    go.current_dir(&source)
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w"])
        .arg("-o")
        .arg(&path)
        .arg(".");
    crate::say(format_args!("building {name}"));
    run::captured(&mut go).with_context(|| format!("{name} cannot be built"))?;
    std::fs::write(built, wanted).context("cannot write target/tools")?;
    Ok(path)
}

/// Installs a version of a module whose main package is at its root. Returns the path of the program, which is in
/// `target/tools`.
///
/// # Errors
/// Go is not there or too old, or the module cannot be fetched.
pub fn install(module: &str, version: &str) -> Result<PathBuf> {
    let name = Path::new(module).file_name().context("a module's name")?;
    let folder = target_dir()
        .join("tools")
        .join(format!("{}-{version}", name.display()));
    let path = folder.join(name);
    let _lock = Lock::acquire(&name.to_string_lossy())?;
    if run::is_executable(&path) {
        return Ok(path);
    }
    let mut go = command()?;
    go.args(["install", "-trimpath"])
        .arg(format!("{module}@{version}"))
        .env("GOBIN", &folder);
    run::captured(&mut go).with_context(|| format!("{module} {version} cannot be built"))?;
    Ok(path)
}

fn command() -> Result<Command> {
    if run::find("go").is_none() {
        bail!("Go is not on PATH");
    }
    Ok(Command::new("go"))
}
