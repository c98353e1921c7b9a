//! `cargo xtask test-compose`: the shipped `docker-compose.yaml`, run as a user runs it.

mod project;
mod stand_ins;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::project::Project;
use self::stand_ins::StandIns;
use crate::{run, say, workspace_root};

/// Builds and starts what `docker-compose.yaml` says, under a project name and a port of its own;
/// calls both functions from this machine, and many times at once from a container; ends it, and
/// sees that nothing is left. Prints `1 passed, ...`, or that it was skipped and why.
///
/// # Errors
/// An image cannot be had, or something is not as it must be; what the containers said is shown.
pub fn run() -> Result<()> {
    if let Err(reason) = engine() {
        println!("skipped: test-compose: {reason:#}");
        println!("0 passed, 0 failed, 1 skipped");
        return Ok(());
    }
    let _stand_ins = StandIns::provide(&images()?)?;
    let project = Project::new()?;
    say("building the images");
    project.compose(&["build"])?;
    say("starting the containers");
    project.compose(&["up", "--detach"])?;
    project.wait_until_healthy()?;
    project.call_from_this_machine()?;
    project.call_from_a_container()?;
    project.check_containers()?;
    project.down()?;
    println!("1 passed, 0 failed, 0 skipped");
    Ok(())
}

/// Whether there is a Docker engine with Compose, and what builds images.
///
/// # Errors
/// There is none: the error says what is missing.
fn engine() -> Result<()> {
    run::captured(docker().args(["version", "--format", "{{.Server.Version}}"]))
        .context("there is no Docker engine")?;
    run::captured(compose().arg("version")).context("there is no Docker Compose")?;
    let version = run::captured(docker().args(["version", "--format", "{{.Client.Version}}"]))?;
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    // Before, it was a part of Docker itself.
    if major.is_none_or(|major: u32| major >= 23) {
        let plugin = run::captured(docker().args(["buildx", "version"]));
        ensure!(
            plugin.is_ok(),
            "there is no BuildKit; install Docker's plugin buildx"
        );
    }
    Ok(())
}

/// The images that must be there before anything is built: those that `docker-compose.yaml` and
/// the `Dockerfile` name.
///
/// # Errors
/// One of the files cannot be read or parsed.
pub fn images() -> Result<Vec<String>> {
    let services = shipped()?;
    let services = services.get("services").and_then(Value::as_object);
    let mut images: Vec<String> = services
        .into_iter()
        .flatten()
        .filter_map(|(_, service)| Some(service.get("image")?.as_str()?.to_owned()))
        .collect();
    let text = fs::read_to_string(workspace_root().join("Dockerfile"));
    let text = text.context("cannot read the Dockerfile")?;
    let bases = text.lines().filter_map(|line| line.strip_prefix("FROM "));
    let bases = bases.filter_map(|base| base.split(' ').next());
    images.extend(bases.filter(|base| *base != "scratch").map(str::to_owned));
    Ok(images)
}

/// `docker-compose.yaml`, parsed.
///
/// # Errors
/// It cannot be read, or is not YAML.
pub fn shipped() -> Result<Value> {
    let text = fs::read_to_string(workspace_root().join("docker-compose.yaml"))
        .context("cannot read docker-compose.yaml")?;
    serde_saphyr::from_str(&text).context("docker-compose.yaml is not valid YAML")
}

/// The command line of Docker, in the workspace. Versions before 23 need to be told to build with
/// BuildKit.
fn docker() -> Command {
    buildkit(Command::new("docker"))
}

/// Compose: Docker's plugin, or else the program that came before it.
fn compose() -> Command {
    let mut plugin = docker();
    plugin.arg("compose");
    if run::captured(docker().args(["compose", "version"])).is_ok() {
        plugin
    } else {
        buildkit(Command::new("docker-compose"))
    }
}

fn buildkit(mut command: Command) -> Command {
    command
        .current_dir(workspace_root())
        .env("DOCKER_BUILDKIT", "1")
        .env("COMPOSE_DOCKER_CLI_BUILD", "1");
    command
}
