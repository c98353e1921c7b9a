//! The real invoker.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Request, Response};
use crate::endpoint::{Endpoint, free_address};
use crate::process::{Prepared, Process};
use crate::shared::Component;

/// The program, built once per test process.
pub(crate) static BINARY: Prepared = Prepared::new(xtask::build::invoker);

/// A builder of an [`Invoker`].
#[derive(Debug)]
pub struct Builder {
    config: Value,
    endpoint: Endpoint,
    folder: TempDir,
    environment: Vec<(String, Option<String>)>,
    ready: bool,
}

/// A running `sidecar-invoker serve`.
#[derive(Debug)]
pub struct Invoker {
    /// The endpoint of the Invoke API.
    pub endpoint: Endpoint,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Invoker {
    /// Starts an invoker on a TCP port. `functions` is the value of that key in `invoker.yaml`.
    pub fn start(functions: &Value) -> Self {
        Self::with(json!({ "functions": functions })).start()
    }

    /// Starts an invoker on a Unix socket.
    pub fn start_on_unix_socket(functions: &Value) -> Self {
        let mut builder = Self::with(json!({ "functions": functions }));
        builder.endpoint = Endpoint::Unix(builder.folder.path().join("invoker.sock"));
        builder.start()
    }

    /// Returns a builder for an `invoker.yaml` with these keys, on a TCP port.
    pub fn with(config: Value) -> Builder {
        Builder {
            config,
            endpoint: Endpoint::Tcp(free_address()),
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
            ready: true,
        }
    }

    /// Returns the address of the Invoke API.
    ///
    /// # Panics
    /// The invoker listens on a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.endpoint {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("it listens on {}", path.display()),
        }
    }

    /// Sends `GET path` to the admin listener.
    pub fn ask(&self, path: &str) -> Response {
        Request::new(self.admin, "GET", path).send()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Returns the exit status, or `None` while the invoker is running.
    pub fn exit_status(&self) -> Option<i32> {
        self.process.exit_status()
    }

    /// Returns the peak of its resident memory in KiB. Linux only.
    pub fn peak_memory_kib(&self) -> u64 {
        self.process.peak_memory_kib()
    }
}

impl Builder {
    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable that this process may have.
    #[must_use]
    pub fn without_env(mut self, name: impl Into<String>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Makes [`Self::start`] wait only until the invoker listens, not until it is ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Runs a command of the program with this configuration to its end.
    pub fn run(self, command: &str) -> std::process::Output {
        let mut command = self.command(command, free_address());
        command.output().expect("the program starts")
    }

    /// Starts the invoker and waits until it is ready.
    ///
    /// # Panics
    /// The invoker ends. The message has its output.
    pub fn start(self) -> Invoker {
        let admin = free_address();
        let command = self.command("serve", admin);
        let process = Process::start("the invoker", &command);
        let path = if self.ready { "/readyz" } else { "/ping" };
        let ready = process.wait_until(|_| {
            let ready = Request::new(admin, "GET", path).try_send().ok()?;
            (ready.status == 200).then_some(())
        });
        let (process, ()) = ready.unwrap_or_else(|error| panic!("{error}"));
        Invoker {
            endpoint: self.endpoint,
            admin,
            process,
            _folder: self.folder,
        }
    }

    fn command(&self, name: &str, admin: SocketAddr) -> Command {
        let listen = match &self.endpoint {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
        };
        let mut config = self.config.clone();
        config["listen"] = json!(listen);
        config["admin"] = json!(admin.to_string());
        let path = self.folder.path().join("invoker.yaml");
        // All JSON is YAML.
        fs::write(&path, config.to_string()).expect("a file in a temporary folder");
        let mut command = Command::new(BINARY.path());
        command.arg(name).arg("--config").arg(path);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl From<&Invoker> for Endpoint {
    fn from(invoker: &Invoker) -> Self {
        invoker.endpoint.clone()
    }
}

impl Component for Invoker {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}
