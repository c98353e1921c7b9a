//! `cargo xtask up` builds what `sidecar-invoker up` needs, and runs it on the examples.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::{build, envoy, native, python, say, wasm, workspace_root};

/// The project that is served without another one.
const EXAMPLES: &str = "examples/invoker.yaml";

/// Options of `cargo xtask up`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// A project in place of the examples, and options of `sidecar-invoker up`, such as `--port 8081`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds what is missing, and becomes `sidecar-invoker up`, which serves until Ctrl-C.
///
/// # Errors
/// A build fails, a download fails, or the program cannot be started.
pub fn run(options: &Options) -> Result<()> {
    let envoy = envoy::binary(envoy::NEWEST)?;
    let filter = match cfg!(target_os = "linux") {
        true => native::build()?,
        false => wasm::build()?,
    };
    let invoker = build::invoker()?;
    let arguments = &options.arguments;
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let has_project = arguments.first().is_some_and(|first| !is_option(first));
    let mut command = Command::new(invoker);
    command.arg("up");
    if !has_project {
        build::example(build::EXAMPLE)?;
        let is_at_root = std::env::current_dir().is_ok_and(|folder| folder == workspace_root());
        match is_at_root {
            true => command.arg(EXAMPLES),
            false => command.arg(workspace_root().join(EXAMPLES)),
        };
    }
    // Functions in Python find AWS's client, unless the user has chosen a Python.
    if std::env::var_os("VIRTUAL_ENV").is_none() {
        let bin = python::environment()?.join("bin");
        say(format_args!(
            "functions in Python run with {}, which has awslambdaric",
            crate::display(&bin.join("python3"))
        ));
        command.env("PATH", path_with(&bin)?);
    }
    say(format_args!(
        "starting {} and {}",
        crate::display(&envoy),
        crate::display(&filter)
    ));
    command
        .args([OsStr::new("--envoy"), envoy.as_os_str()])
        .args([OsStr::new("--filter"), filter.as_os_str()])
        .args(arguments);
    let error = command.exec();
    Err(anyhow!(error).context("the invoker could not be started"))
}

/// Returns `PATH` with `folder` as its first entry.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders)
        .context("the path of the workspace's folder is not possible in PATH")
}
