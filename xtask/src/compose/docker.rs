//! The command lines of Docker and Compose.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{run, say, workspace_root};

/// The images of this project under the names that the examples use. `Drop` removes them, because they may be
/// made of stand-ins.
pub(super) struct OwnImages(Vec<String>);

impl OwnImages {
    /// Builds these stages of the Dockerfile.
    pub(super) fn build(stages: &BTreeSet<&str>) -> Result<Self> {
        let mut images = Self(Vec::new());
        for stage in stages {
            let image = format!("lambda-mesh/{stage}");
            say(format_args!("building {image}"));
            let mut build = docker();
            build.args(["build", "--target", stage, "--tag", &image, "."]);
            run::shown(&mut build, &format!("building {image}"))?;
            images.0.push(image);
        }
        Ok(images)
    }
}

impl Drop for OwnImages {
    fn drop(&mut self) {
        for image in &self.0 {
            if let Err(error) = run::captured(docker().args(["image", "rm", image])) {
                say(format_args!("{image} could not be removed: {error:#}"));
            }
        }
    }
}

/// Checks that a Docker engine, Compose and BuildKit are available.
///
/// # Errors
/// Names the program that is missing.
pub(super) fn check_engine() -> Result<()> {
    run::captured(docker().args(["version", "--format", "{{.Server.Version}}"]))
        .context("there is no Docker engine")?;
    run::captured(compose().arg("version")).context("there is no Docker Compose")?;
    let version = run::captured(docker().args(["version", "--format", "{{.Client.Version}}"]))?;
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    // Before version 23, BuildKit was a part of Docker itself.
    if major.is_none_or(|major: u32| major >= 23) {
        let plugin = run::captured(docker().args(["buildx", "version"]));
        ensure!(
            plugin.is_ok(),
            "there is no BuildKit; install Docker's plugin buildx"
        );
    }
    Ok(())
}

/// Returns the command line of Docker, in the workspace.
pub(super) fn docker() -> Command {
    with_buildkit(Command::new("docker"))
}

/// Returns the command line of Compose: Docker's plugin, or else its predecessor, the program
/// `docker-compose`.
pub(super) fn compose() -> Command {
    let mut plugin = docker();
    plugin.arg("compose");
    if run::captured(docker().args(["compose", "version"])).is_ok() {
        plugin
    } else {
        with_buildkit(Command::new("docker-compose"))
    }
}

/// Selects BuildKit, which versions before 23 do not use by default.
fn with_buildkit(mut command: Command) -> Command {
    command
        .current_dir(workspace_root())
        .env("DOCKER_BUILDKIT", "1")
        .env("COMPOSE_DOCKER_CLI_BUILD", "1");
    command
}
