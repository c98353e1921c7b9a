//! The containers of one run of a Compose file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::compose_file;
use super::docker::{compose, docker};
use super::list::ComposeTest;
use crate::{ports, run, say, target_dir, workspace_root};

/// The time limit for all containers to become healthy.
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(300);
/// The number of concurrent calls of each function.
const CONCURRENT_CALLS: &str = "50";
/// The time limit for what containers do by themselves.
const EVENTUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A Compose project with a name of its own. `Drop` shows the logs of containers that are still there,
/// and removes them.
pub(super) struct Project {
    name: String,
    port: u16,
    file: PathBuf,
    test: &'static ComposeTest,
}

impl Project {
    pub(super) fn new(test: &'static ComposeTest) -> Result<Self> {
        let port = ports::free()?;
        let file = match test.port {
            Some(fixed) => with_port(test.file, fixed, port)?,
            None => workspace_root().join(test.file),
        };
        Ok(Self {
            name: format!("lambda-mesh-test-{}-{}", test.name, std::process::id()),
            port,
            file,
            test,
        })
    }

    /// Runs `docker compose ARGUMENTS`.
    pub(super) fn compose(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command();
        command.args(arguments);
        run::shown(&mut command, &format!("compose {}", arguments.join(" ")))
    }

    fn command(&self) -> Command {
        let mut command = compose();
        command
            .args(["--project-name", &self.name, "--project-directory"])
            .arg(self.test.folder())
            .arg("--file")
            .arg(&self.file)
            .env("LAMBDA_MESH_PORT", self.port.to_string());
        command
    }

    pub(super) fn wait_until_healthy(&self) -> Result<()> {
        let deadline = Instant::now() + HEALTHY_TIMEOUT;
        loop {
            let states = self.inspect(
                "{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}",
            )?;
            let is_ready =
                |state: &String| state.ends_with(" healthy") || state.ends_with(" running");
            if states.iter().all(is_ready) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "not healthy within {} s: {}",
                HEALTHY_TIMEOUT.as_secs(),
                states.join(", ")
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Sends the requests of the test, through the port that is published on this machine. A container
    /// without a health check may not answer yet.
    pub(super) fn call_from_this_machine(&self) -> Result<()> {
        let mut calls = self.test.calls.iter();
        let Some(first) = calls.next() else {
            return Ok(());
        };
        eventually(|| first.check(self.port))?;
        calls.try_for_each(|call| call.check(self.port))
    }

    /// Checks that Envoy has loaded the native module. It would serve with the other one too.
    pub(super) fn check_module(&self) -> Result<()> {
        const IS_LOADED: &str = "cat /proc/[0-9]*/maps 2>/dev/null | grep -q /liblambda_filter.so";
        let mut exec = self.command();
        exec.args(["exec", "-T", self.test.envoy, "sh", "-c", IS_LOADED]);
        run::captured(&mut exec)
            .map(drop)
            .context("Envoy has not loaded the native module")
    }

    /// Waits until the services have logged what the test expects.
    pub(super) fn wait_for_logs(&self) -> Result<()> {
        for (service, text) in self.test.logs {
            eventually(|| {
                let mut logs = self.command();
                let log = run::captured(logs.args(["logs", "--no-color", service]))?;
                ensure!(log.contains(text), "{service} has not logged `{text}`");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Calls both functions concurrently by their host names, from a container on the network that other
    /// services of the file would use.
    pub(super) fn call_from_a_container(&self) -> Result<()> {
        let file = compose_file()?;
        let image = file.pointer("/services/orders-function/image");
        let image = image
            .and_then(Value::as_str)
            .context("orders-function has no image")?;
        let mut command = docker();
        command
            .args(["run", "--rm", "--entrypoint=python3"])
            .arg(format!("--network={}_default", self.name))
            .args([image, "-c", include_str!("calls.py"), CONCURRENT_CALLS]);
        run::shown(&mut command, "calling the functions from a container")
    }

    /// Checks that no container has crashed, and that none of a hardened file runs as root.
    pub(super) fn check_containers(&self) -> Result<()> {
        for container in self.inspect("{{.RestartCount}} {{.Config.User}} {{.Name}}")? {
            let (restarts, rest) = container.split_once(' ').unwrap_or_default();
            let (user, name) = rest.split_once(' ').unwrap_or_default();
            ensure!(restarts == "0", "{name} was restarted {restarts} times");
            let is_root = ["", "0", "root"].contains(&user);
            ensure!(!(self.test.is_hardened && is_root), "{name} runs as root");
        }
        self.wait_until_healthy()
    }

    /// Stops the containers, and checks that nothing of the project is left.
    pub(super) fn down(&self) -> Result<()> {
        self.remove()?;
        for kind in ["container", "network", "volume"] {
            let mut command = docker();
            command.args([kind, "ls", "--quiet", "--filter", &self.label()]);
            if kind == "container" {
                command.arg("--all");
            }
            let left = run::captured(&mut command)?;
            ensure!(left.is_empty(), "`down` left a {kind} behind: {left}");
        }
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        self.compose(&["down", "--volumes", "--rmi", "local"])
    }

    fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    fn containers(&self) -> Result<Vec<String>> {
        let list =
            run::captured(docker().args(["ps", "--all", "--quiet", "--filter", &self.label()]))?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Returns one line for each container, made by this template of `docker inspect`.
    fn inspect(&self, template: &str) -> Result<Vec<String>> {
        let containers = self.containers()?;
        ensure!(!containers.is_empty(), "no container is running");
        let lines = run::captured(
            docker()
                .args(["inspect", "--format", template])
                .args(containers),
        )?;
        Ok(lines.lines().map(str::to_owned).collect())
    }
}

/// Writes a copy of a Compose file with another port on this machine, because something else may use the
/// file's own, and returns its path.
fn with_port(file: &str, fixed: u16, port: u16) -> Result<PathBuf> {
    let text = fs::read_to_string(workspace_root().join(file))
        .with_context(|| format!("cannot read {file}"))?;
    let published = format!("127.0.0.1:{fixed}:");
    ensure!(text.contains(&published), "{file} does not publish {fixed}");
    let folder = target_dir().join("compose");
    let copy = folder.join("compose.yaml");
    fs::create_dir_all(&folder)
        .and_then(|()| {
            fs::write(
                &copy,
                text.replace(&published, &format!("127.0.0.1:{port}:")),
            )
        })
        .context("cannot write target/compose/compose.yaml")?;
    Ok(copy)
}

/// Repeats a check until it passes.
///
/// # Errors
/// It does not within a minute. The error is that of the last time.
fn eventually(check: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + EVENTUAL_TIMEOUT;
    loop {
        match check() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(500)),
            result => return result,
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // There are none after `down`.
        if self
            .containers()
            .is_ok_and(|containers| containers.is_empty())
        {
            return;
        }
        let shown = self.compose(&["logs", "--tail=100"]);
        if let Err(error) = shown.and_then(|()| self.remove()) {
            say(format_args!("containers could not be removed: {error:#}"));
        }
    }
}
