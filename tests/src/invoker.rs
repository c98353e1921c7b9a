//! The real invoker.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Request};
use crate::mesh::Endpoint;
use crate::process::{Prepared, Process};
use crate::shared::Part;

/// The program, built once per test process.
pub(crate) static BINARY: Prepared = Prepared::new(xtask::build::invoker);

/// An invoker in the making.
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
    /// Where it serves the Invoke API.
    pub endpoint: Endpoint,
    /// Where its admin listener listens.
    pub admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Invoker {
    /// Serves `functions`, the value of that key in `invoker.yaml`, on a TCP port.
    pub fn start(functions: &Value) -> Self {
        Self::with(json!({ "functions": functions })).start()
    }

    /// Serves `functions` on a Unix socket.
    pub fn start_on_unix_socket(functions: &Value) -> Self {
        let mut builder = Self::with(json!({ "functions": functions }));
        builder.endpoint = Endpoint::Unix(builder.folder.path().join("invoker.sock"));
        builder.start()
    }

    /// An `invoker.yaml` with these keys, on a TCP port.
    pub fn with(config: Value) -> Builder {
        Builder {
            config,
            endpoint: Endpoint::Tcp(free_address()),
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
            ready: true,
        }
    }

    /// Where it serves the Invoke API.
    ///
    /// # Panics
    /// It is a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.endpoint {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("it listens on {}", path.display()),
        }
    }

    /// What its admin listener answers to `GET path`.
    pub fn ask(&self, path: &str) -> Answer {
        Request::new(self.admin, "GET", path).send()
    }

    /// Asks it to end, with SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Its exit status, once it has ended.
    pub fn exit_status(&self) -> Option<i32> {
        self.process.exit_status()
    }

    /// The most memory that it has ever had in use, in KiB. On Linux only.
    pub fn peak_memory_kib(&self) -> u64 {
        self.process.peak_memory_kib()
    }
}

impl Builder {
    /// With this variable in its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Without this variable, which this process may have.
    #[must_use]
    pub fn without_env(mut self, name: impl Into<String>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Not to wait until it is ready, only until it listens.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// A command of the program that reads this configuration, to its end: the exit status, and
    /// what it wrote to standard output and standard error.
    pub fn run(self, command: &str) -> std::process::Output {
        let mut command = self.command(command, free_address());
        command.output().expect("the program starts")
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// It ends, with what it says.
    pub fn start(self) -> Invoker {
        let admin = free_address();
        let command = self.command("serve", admin);
        let process = Process::start("the invoker", &command);
        let path = if self.ready { "/readyz" } else { "/ping" };
        let ready = process.until(|_| {
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
        // JSON is YAML.
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

impl Part for Invoker {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}

/// A loopback address that nothing listens on.
///
/// # Panics
/// The system has no port left.
pub fn free_address() -> SocketAddr {
    let port = xtask::ports::free().expect("a free port");
    SocketAddr::from(([127, 0, 0, 1], port))
}
