//! A real Prometheus with the files of `examples/monitoring`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use xtask::prometheus::{self, Programs};
use xtask::workspace_root;

use crate::client::Request;
use crate::endpoint::free_address;
use crate::process::Process;

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    programs: Programs,
    _process: Process,
    _folder: TempDir,
}

/// Returns the path of a file in `examples/monitoring`.
pub fn file(name: &str) -> PathBuf {
    workspace_root().join("examples/monitoring").join(name)
}

impl Prometheus {
    /// Starts a Prometheus with the shipped configuration, in which the invoker and Envoy have these addresses, and
    /// which scrapes each second.
    ///
    /// # Errors
    /// This machine has no Prometheus.
    ///
    /// # Panics
    /// Prometheus does not start.
    pub fn start(invoker: SocketAddr, envoy: SocketAddr) -> Result<Self> {
        let programs = prometheus::programs()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = fs::read_to_string(file("prometheus.yaml")).expect("a shipped file");
        let replacements = [
            ("127.0.0.1:9091", invoker.to_string()),
            ("127.0.0.1:9901", envoy.to_string()),
            ("15s", "1s".to_owned()),
        ];
        let config = replacements.iter().fold(config, |config, (old, new)| {
            assert!(config.contains(old), "{old} is not in prometheus.yaml");
            config.replace(old, new)
        });
        let path = folder.path().join("prometheus.yaml");
        fs::write(&path, config).expect("a file in a temporary folder");
        fs::copy(file("alerts.yaml"), folder.path().join("alerts.yaml")).expect("a shipped file");
        let address = free_address();
        let mut command = Command::new(&programs.server);
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start("Prometheus", &command);
        let ready = process.wait_until(|_| {
            let ready = Request::new(address, "GET", "/-/ready").try_send().ok()?;
            (ready.status == 200).then_some(())
        });
        let (process, ()) = ready.unwrap_or_else(|error| panic!("{error}"));
        Ok(Self {
            address,
            programs,
            _process: process,
            _folder: folder,
        })
    }

    /// Returns the results of an expression, each with its labels (`metric`) and its `value`.
    ///
    /// # Panics
    /// The expression is not valid.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let query = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let mut response = self.get(&format!("/api/v1/query?query={query}"));
        match response["data"]["result"].take() {
            Value::Array(results) => results,
            _ => panic!("{expression}: {response}"),
        }
    }

    /// Returns the response of the HTTP API to a request.
    pub fn get(&self, target: &str) -> Value {
        Request::new(self.address, "GET", target).send().json()
    }

    /// Returns a command of promtool.
    pub fn promtool(&self) -> Command {
        Command::new(&self.programs.promtool)
    }
}
