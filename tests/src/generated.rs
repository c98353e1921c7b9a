//! Envoy with a configuration that `sidecar-invoker` generates: by `envoy-config`, or within `lrp`.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;
use xtask::workspace_root;

use crate::client::Request;
use crate::invoker::BINARY;
use crate::mesh::FILTER;
use crate::mesh::native::{self, Host};
use crate::process::Process;
use crate::shared::Component;

/// The result of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit status.
    pub status: Option<i32>,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

/// Runs `sidecar-invoker envoy-config ARGUMENTS` with the filter and an Envoy of this version.
///
/// # Panics
/// The program cannot be started.
pub fn envoy_config(version: &str, arguments: &[&str]) -> CommandOutput {
    let filter = filter(version);
    let envoy = envoy(version);
    let mut all = vec![OsStr::new("envoy-config")];
    all.extend(arguments.iter().map(OsStr::new));
    if !arguments.contains(&"--filter") {
        all.extend([OsStr::new("--filter"), filter.as_ref()]);
    }
    if arguments.contains(&"--check") {
        all.extend([OsStr::new("--envoy"), envoy.as_ref()]);
    }
    sidecar_invoker(&all)
}

/// Runs `sidecar-invoker ARGUMENTS`.
///
/// # Panics
/// The program cannot be started.
pub fn sidecar_invoker(arguments: &[impl AsRef<OsStr>]) -> CommandOutput {
    let mut command = Command::new(BINARY.path());
    let output = command
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    CommandOutput {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A running Envoy with a generated configuration, unchanged.
#[derive(Debug)]
pub struct Generated {
    /// The address of the listener.
    pub address: SocketAddr,
    /// The address of the admin interface.
    pub admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Generated {
    /// Starts Envoy and waits until it is ready. `yaml` must have these addresses.
    ///
    /// # Panics
    /// Envoy refuses the configuration.
    pub fn start(version: &str, yaml: &str, address: SocketAddr, admin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("envoy.yaml");
        fs::write(&path, yaml).expect("a file in a temporary folder");
        let mut command = Command::new(envoy(version));
        command
            .current_dir(workspace_root())
            .arg("--config-path")
            .arg(&path)
            .args(["--concurrency", "1", "--file-flush-interval-msec", "5"])
            .args(["--log-level", "warning", "--disable-hot-restart"]);
        let process = Process::start("Envoy", &command);
        let ready = process.wait_until(|_| {
            let ready = Request::new(admin, "GET", "/ready").try_send().ok()?;
            (ready.status == 200).then_some(())
        });
        let (process, ()) = ready.unwrap_or_else(|error| panic!("{error}"));
        Self {
            address,
            admin,
            process,
            _folder: folder,
        }
    }

    /// Returns a request to the listener.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target)
    }
}

impl Component for Generated {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}

/// A running `sidecar-invoker lrp`, started under the name `lrp` of the program that it replaces.
#[derive(Debug)]
pub struct Lrp {
    /// The address of the listener.
    pub address: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Lrp {
    /// Starts the program with this `lrp.yaml` and waits until it listens.
    ///
    /// # Panics
    /// The program ends instead.
    pub fn start(version: &str, yaml: &str) -> Self {
        Self::try_start(version, yaml, &[]).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts the program with this `lrp.yaml` and these environment variables, and waits until it listens.
    ///
    /// # Errors
    /// The program ends instead. The error has its output.
    pub fn try_start(version: &str, yaml: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lrp.yaml");
        fs::write(&path, yaml).expect("a file in a temporary folder");
        let program = folder.path().join("lrp");
        symlink(BINARY.path(), &program).expect("a link in a temporary folder");
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).expect("a folder in a temporary folder");
        let mut command = Command::new(program);
        command
            .env("TMPDIR", scratch)
            .env("LAMBDA_MESH_FILTER", filter(version))
            .envs(variables.iter().copied())
            .arg(path)
            .arg("--envoy")
            .arg(envoy(version))
            .args(["--", "--concurrency", "1"]);
        let process = Process::start("lrp", &command);
        let (process, address) = process.wait_until(|process| {
            let log = process.log();
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix("listening on "))?;
            line.parse().ok()
        })?;
        Ok(Self {
            address,
            process,
            folder,
        })
    }

    /// Returns a request to the listener.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target)
    }

    /// Returns the process id of the program.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the process id of Envoy.
    ///
    /// # Panics
    /// There is no Envoy.
    pub fn envoy(&self) -> u32 {
        child(self.id(), "envoy").expect("an Envoy")
    }

    /// Waits for the end of the program. Returns its exit status, as a shell reports it, and its output.
    pub fn wait(self) -> (i32, String) {
        self.process.wait()
    }

    /// Returns the folder in which the program keeps sockets and configurations.
    pub fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }
}

impl Component for Lrp {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}

/// Sends a signal such as `TERM` to a process.
///
/// # Panics
/// There is no such process.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {process}");
}

/// Returns whether a process is running. A zombie is not.
pub fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Returns the child of a process that has this name.
pub fn child(parent: u32, name: &str) -> Option<u32> {
    let parent = format!("PPid:\t{parent}");
    let name = format!("Name:\t{name}");
    let folders = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        [&name, &parent]
            .iter()
            .all(|line| status.lines().any(|other| other == **line))
    })
}

/// Returns the filter for tests with this version of Envoy.
pub(crate) fn filter(version: &str) -> PathBuf {
    match native::host(version, false) {
        Host::Wasm => FILTER.path().to_owned(),
        Host::Native(module) => module,
    }
}

pub(crate) fn envoy(version: &str) -> PathBuf {
    xtask::envoy::binary(version).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Writes `text` to the file `name` in `folder` and returns its path.
///
/// # Panics
/// The file cannot be written, or its path is not UTF-8.
pub fn write_file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file in a temporary folder");
    path.to_str().expect("a path in UTF-8").to_owned()
}
