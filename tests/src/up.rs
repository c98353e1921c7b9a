//! A project that `sidecar-invoker up` serves.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;
use xtask::envoy::NEWEST;
use xtask::workspace_root;

use crate::client::Request;
use crate::generated::{envoy, filter};
use crate::invoker::BINARY;
use crate::process::Process;
use crate::shared::Component;

/// A running `sidecar-invoker up`.
#[derive(Debug)]
pub struct Up {
    /// The address for HTTP requests.
    pub address: SocketAddr,
    process: Process,
}

/// A folder with the files of a project.
#[derive(Debug)]
pub struct ProjectFolder(TempDir);

impl ProjectFolder {
    /// Creates a folder with these files, each with its path and its text.
    ///
    /// # Panics
    /// A file cannot be written.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    /// Creates a copy of the workspace's folder `examples`, in which functions may write.
    ///
    /// # Panics
    /// A file cannot be copied.
    pub fn with_examples() -> Self {
        let folder = Self::new(&[]);
        let examples = workspace_root().join("examples");
        let mut copy = Command::new("cp");
        let status = copy.arg("-r").args([&examples, folder.path()]).status();
        assert!(status.expect("cp starts").success(), "{copy:?}");
        folder
    }

    /// Writes a file as an editor does, which saves to another file first.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder in a temporary folder");
        let new = path.with_extension("tmp");
        fs::write(&new, text).expect("a file in a temporary folder");
        fs::rename(new, path).expect("a file in a temporary folder");
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the command that serves the project on free ports. Functions find AWS's client for Python.
    ///
    /// # Panics
    /// The client for Python cannot be installed.
    pub fn command(&self) -> Command {
        let python = xtask::python::environment().expect("an environment for Python");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(python.join("bin")).chain(std::env::split_paths(&path));
        let path: OsString = std::env::join_paths(folders).expect("a PATH");
        let mut command = Command::new(BINARY.path());
        command
            .current_dir(self.path())
            .env("PATH", path)
            .env("LAMBDA_MESH_FILTER", filter(NEWEST))
            .args(["up", "--port", "0", "--invoker-port", "0"])
            .args(["--admin-port", "0", "--envoy"])
            .arg(envoy(NEWEST));
        command
    }

    /// Serves a copy of the example `examples/NAME` in PHP, with these texts of its `invoker.yaml` replaced.
    ///
    /// # Errors
    /// There is no PHP.
    ///
    /// # Panics
    /// The file has no such text, or the program ends instead.
    pub fn php_example(name: &str, replaced: &[(&str, &str)]) -> Result<(Self, Up)> {
        Self::php_example_with(name, replaced, &[])
    }

    /// Serves a copy like [`Self::php_example`], with these files in the place of its own.
    ///
    /// # Errors
    /// There is no PHP.
    ///
    /// # Panics
    /// The file has no such text, or the program ends instead.
    pub fn php_example_with(
        name: &str,
        replaced: &[(&str, &str)],
        files: &[(&str, String)],
    ) -> Result<(Self, Up)> {
        let php = xtask::php::folder()?;
        let folder = Self::with_examples();
        let file = format!("examples/{name}/invoker.yaml");
        let mut yaml = fs::read_to_string(folder.path().join(&file)).expect("a shipped file");
        for (old, new) in replaced {
            assert!(yaml.contains(old), "{old}");
            yaml = yaml.replace(old, new);
        }
        folder.write(&file, &yaml);
        for (path, text) in files {
            folder.write(&format!("examples/{name}/{path}"), text);
        }
        let mut command = folder.command();
        let path = command.get_envs().find(|(name, _)| *name == "PATH");
        let path = path.and_then(|(_, value)| value).expect("a PATH");
        let folders = std::iter::once(php).chain(std::env::split_paths(path));
        let path = std::env::join_paths(folders).expect("a PATH");
        command.env("PATH", path).arg(format!("examples/{name}"));
        let up = Up::start(&command).unwrap_or_else(|error| panic!("{error:#}"));
        Ok((folder, up))
    }

    /// Serves the project, and waits until it is ready.
    ///
    /// # Panics
    /// The program ends instead.
    pub fn up(&self) -> Up {
        Up::start(&self.command()).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Up {
    /// Runs a command of [`ProjectFolder::command`], and waits until the project is served.
    ///
    /// # Errors
    /// The program ends instead. The error has its output.
    pub fn start(command: &Command) -> Result<Self> {
        let process = Process::start("up", command);
        let (process, address) = process.wait_until(|process| {
            let log = process.log();
            log.contains("health and metrics").then_some(())?;
            let (_, served) = log.split_once("is served")?;
            let urls = served.lines().filter_map(|line| line.split("://").nth(1));
            let mut hosts = urls.filter_map(|url| url.split('/').next());
            let (_, port) = hosts.find_map(|host| host.rsplit_once(':'))?;
            format!("127.0.0.1:{port}").parse().ok()
        })?;
        Ok(Self { address, process })
    }

    /// Returns a request to the project.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target)
    }

    /// Returns the process id of the program.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end of the program. Returns its exit status, as a shell reports it, and its output.
    pub fn wait(self) -> (i32, String) {
        self.process.wait()
    }
}

impl Component for Up {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}

/// Returns the program of a Python function whose response has this text and the path of the request.
pub fn python_function(text: &str) -> String {
    format!(
        "def handler(event, context):\n    return {{'statusCode': 200, 'body': '{text} ' + event['rawPath']}}\n"
    )
}

/// Returns the path of a program that is not Envoy.
pub fn not_envoy() -> PathBuf {
    PathBuf::from("/bin/false")
}
