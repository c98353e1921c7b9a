//! A network in which names are resolved in its own way, as in a VPC with private hosted zones.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::dnsmasq::Dnsmasq;

use crate::process::Process;
use crate::shared::Component;

/// Gives a program a `/etc/resolv.conf` of its own.
const WITH_RESOLVER: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

/// A resolver, and programs that ask no other. `Drop` ends the resolver.
#[derive(Debug)]
pub struct Vpc {
    resolver: Process,
    folder: TempDir,
}

impl Vpc {
    /// Starts a DNS server on port 53 of a loopback address. It knows these names alone.
    ///
    /// # Errors
    /// This machine lacks the server, the right to listen on port 53, or mount namespaces.
    ///
    /// # Panics
    /// The server does not start.
    pub fn start(address: Ipv4Addr, names: &[(&str, Ipv4Addr)]) -> Result<Self> {
        let server = Dnsmasq::find()?;
        UdpSocket::bind((address, 53)).with_context(|| format!("{address}:53"))?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("resolv.conf");
        fs::write(&file, format!("nameserver {address}\n")).expect("a file");
        let mut command = Command::new(server.program);
        command
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-hosts"])
            .args(["--no-resolv", "--bind-interfaces", "--log-queries"])
            .arg(format!("--listen-address={address}"))
            .args(
                names
                    .iter()
                    .map(|(name, to)| format!("--host-record={name},{to}")),
            );
        if let Some(libraries) = server.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let resolver = Process::start("dnsmasq", &command);
        let (resolver, ()) = resolver
            .wait_until(|resolver| resolver.log().contains("started, version").then_some(()))
            .unwrap_or_else(|error| panic!("{error:#}"));
        let vpc = Self { resolver, folder };
        let output = vpc.run("true", [""; 0]);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        Ok(vpc)
    }

    /// Runs a program in this network to its end. The machine's C library asks the network's resolver for it.
    ///
    /// # Panics
    /// `unshare` is missing.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", WITH_RESOLVER])
            .arg(self.folder.path().join("resolv.conf"))
            .arg(program)
            .args(arguments)
            // Its proxy would resolve the name.
            .env_remove("http_proxy");
        command.output().expect("unshare runs")
    }

    /// Returns the questions that the resolver got, and its answers.
    pub fn log(&self) -> String {
        self.resolver.log()
    }
}
