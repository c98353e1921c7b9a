//! The filter as a native Envoy module.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::{cargo, prepared, rustflags};
use crate::{run, target_dir, wasm, workspace_root};

/// The package of the module.
pub(crate) const PACKAGE: &str = "lambda-filter-native";

/// The name of the module's file. Envoy finds it as `lambda_filter`.
const FILE: &str = "liblambda_filter.so";

/// The environment variable with the path of another module, which the tests then use.
pub(crate) const CUSTOM: &str = "LAMBDA_MESH_MODULE";

/// Builds the module and returns its path: `target/dist/liblambda_filter.so`.
///
/// `LAMBDA_MESH_MODULE=/path/to/module.so` replaces it.
///
/// # Errors
/// The system is not Linux, or the module does not compile.
pub fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(CUSTOM) {
        return Ok(PathBuf::from(path));
    }
    if !cfg!(target_os = "linux") {
        bail!(
            "the native module is made for Linux, not for {}; use lambda_filter.wasm",
            std::env::consts::OS
        );
    }
    let path = target_dir().join("dist").join(FILE);
    if !(prepared() && path.is_file()) {
        let built = compile(workspace_root(), &target_dir().join("native"), &[])?;
        wasm::install(&built, &path)?;
    }
    Ok(path)
}

/// Builds a module that panics where the header `x-panic` of a request says, for tests, and returns its
/// path.
///
/// # Errors
/// Those of [`build`].
pub fn build_with_panics() -> Result<PathBuf> {
    let path = target_dir().join("test/liblambda_filter_with_panics.so");
    if !(prepared() && path.is_file()) {
        let feature = ["--features", "panic-on-request"];
        let built = compile(workspace_root(), &target_dir().join("native"), &feature)?;
        wasm::install(&built, &path)?;
    }
    Ok(path)
}

/// The compiler flags with which Envoy's functions are looked up at their first call. An Envoy that lacks
/// some then loads the module, which says so in a sentence.
const FLAGS: [&str; 2] = ["-Crelro-level=partial", "-Clink-arg=-Wl,-z,lazy"];

/// Builds the module of the checkout `root` into the folder `target`, and returns its path.
pub(crate) fn compile(root: &Path, target: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = command(root, target)?;
    run::shown(
        command.args(arguments),
        "building the filter as a native module",
    )?;
    Ok(target.join("native").join(BUILT))
}

/// Builds the module for another platform with its linker, and returns its path.
pub(crate) fn cross_compile(platform: &str, linker: &str) -> Result<PathBuf> {
    let target = target_dir().join("native");
    let variable = platform.to_uppercase().replace('-', "_");
    let mut command = command(workspace_root(), &target)?;
    command
        .args(["--target", platform])
        .env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    run::shown(
        &mut command,
        &format!("building the filter as a native module for {platform}"),
    )?;
    Ok(target.join(platform).join("native").join(BUILT))
}

/// The name that cargo gives the module.
const BUILT: &str = "liblambda_filter_native.so";

fn command(root: &Path, target: &Path) -> Result<Command> {
    let mut command = cargo();
    command
        .args([
            "build",
            "--locked",
            "--profile",
            "native",
            "--package",
            PACKAGE,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(root, &FLAGS)?);
    Ok(command)
}
