//! The containers of one run of `docker-compose.yaml`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::compose_file;
use super::docker::{compose, docker};
use crate::{ports, run, say};

/// The time limit for all containers to become healthy.
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(300);
/// The number of concurrent calls of each function.
const CONCURRENT_CALLS: &str = "50";
/// The time limit for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A Compose project with a name of its own. `Drop` shows the logs of containers that are still there,
/// and removes them.
pub(super) struct Project {
    name: String,
    port: u16,
}

impl Project {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            name: format!("lambda-mesh-test-{}", std::process::id()),
            port: ports::free()?,
        })
    }

    /// Runs `docker compose ARGUMENTS`.
    pub(super) fn compose(&self, arguments: &[&str]) -> Result<()> {
        let mut command = compose();
        command
            .args(["--project-name", &self.name])
            .args(arguments)
            .env("LAMBDA_MESH_PORT", self.port.to_string());
        run::shown(&mut command, &format!("compose {}", arguments.join(" ")))
    }

    pub(super) fn wait_until_healthy(&self) -> Result<()> {
        let deadline = Instant::now() + HEALTHY_TIMEOUT;
        loop {
            let states = self.inspect("{{.Name}} {{.State.Health.Status}}")?;
            if states.iter().all(|state| state.ends_with(" healthy")) {
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

    /// Calls each function once, through the port that is published on this machine.
    pub(super) fn call_from_this_machine(&self) -> Result<()> {
        for (host, message) in [
            ("orders.lambda.internal", "hello from Python"),
            ("billing.lambda.internal", "hello from Node.js"),
        ] {
            let response = self
                .get(host)
                .with_context(|| format!("cannot call {host}"))?;
            ensure!(
                response.starts_with("HTTP/1.1 200 ") && response.contains(message),
                "{host} responded: {response}"
            );
        }
        let response = self.get("nobody.lambda.internal")?;
        ensure!(
            response.starts_with("HTTP/1.1 404 "),
            "an unknown host responded: {response}"
        );
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

    /// Checks that no container has crashed, and that none runs as root.
    pub(super) fn check_containers(&self) -> Result<()> {
        for container in self.inspect("{{.RestartCount}} {{.Config.User}} {{.Name}}")? {
            let (restarts, rest) = container.split_once(' ').unwrap_or_default();
            let (user, name) = rest.split_once(' ').unwrap_or_default();
            ensure!(restarts == "0", "{name} was restarted {restarts} times");
            ensure!(!["", "0", "root"].contains(&user), "{name} runs as root");
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

    fn get(&self, host: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        write!(
            stream,
            "GET /hi?x=1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if response.is_empty() {
            bail!("the connection was closed without a response");
        }
        Ok(response)
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
