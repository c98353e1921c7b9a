//! The real invoker.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Request;
use crate::mesh::Endpoint;
use crate::process::{Prepared, Process};
use crate::shared::Part;

/// The program, built once per test process.
static BINARY: Prepared = Prepared::new(xtask::build::invoker);

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
        Self::serve(Endpoint::Tcp(free_address()), functions, temporary_folder())
    }

    /// Serves `functions` on a Unix socket.
    pub fn start_on_unix_socket(functions: &Value) -> Self {
        let folder = temporary_folder();
        let socket = folder.path().join("invoker.sock");
        Self::serve(Endpoint::Unix(socket), functions, folder)
    }

    fn serve(endpoint: Endpoint, functions: &Value, folder: TempDir) -> Self {
        let listen = match &endpoint {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
        };
        let admin = free_address();
        let config = folder.path().join("invoker.yaml");
        // JSON is YAML.
        let text = json!({
            "listen": listen,
            "admin": admin.to_string(),
            "functions": functions,
        });
        fs::write(&config, text.to_string()).expect("a file in a temporary folder");
        let mut command = Command::new(BINARY.path());
        command.args([Path::new("serve"), Path::new("--config"), &config]);
        let process = Process::start("the invoker", &command);
        let ready = process.until(|_| {
            let ready = Request::new(admin, "GET", "/readyz").try_send().ok()?;
            (ready.status == 200).then_some(())
        });
        let (process, ()) = ready.unwrap_or_else(|error| panic!("{error}"));
        Self {
            endpoint,
            admin,
            process,
            _folder: folder,
        }
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

fn temporary_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
