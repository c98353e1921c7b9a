//! The program as a process of its own, and the address that it logs.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;
use tokio::net::TcpStream;

use super::{HttpResponse, make_executable, request, send};

/// An address with a free port.
pub(crate) const FREE: (&str, &str) = ("listen", "127.0.0.1:0");

/// Returns the program on free ports, except for the given address.
pub(crate) fn serve(config: &Path, (key, address): (&str, &str)) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
    command.arg("serve").arg("--config").arg(config);
    for other in ["listen", "admin"] {
        let address = if other == key { address } else { "127.0.0.1:0" };
        command.arg(format!("--{other}")).arg(address);
    }
    command
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running program and the address that it has logged.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<ChildStderr>,
    pub(crate) address: String,
    /// The address of the admin endpoints, which it has logged too.
    pub(crate) admin: String,
    /// The lines that it has logged before that address.
    pub(crate) early_log: String,
    folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(config: &str) -> Self {
        Self::start_wrapped(config, |serve| serve)
    }

    /// Starts the command that `wrap` returns for the program's command.
    pub(crate) fn start_wrapped(config: &str, wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoker.yaml");
        std::fs::write(&file, config).unwrap();
        // Another user may run the program.
        make_executable(folder.path());
        let mut child = wrap(serve(&file, FREE))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut early_log = String::new();
        let (address, admin) = loop {
            let mut line = String::new();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "ended before it served"
            );
            if let Some((_, rest)) = line.split_once("serving the Invoke API on ") {
                let (address, admin) = rest.split_once(", admin on ").unwrap();
                let admin = admin.split(['"', '\n']).next().unwrap();
                break (address.to_owned(), admin.to_owned());
            }
            early_log += &line;
        };
        Self {
            child,
            stderr,
            address,
            admin,
            early_log,
            folder,
        }
    }

    pub(crate) async fn invoke(&self, event: Value) -> HttpResponse {
        self.post(&[], event).await
    }

    /// Invokes `f` asynchronously.
    pub(crate) async fn send(&self, event: Value) -> HttpResponse {
        self.post(&[("x-amz-invocation-type", "Event")], event)
            .await
    }

    /// Invokes `f` with these headers.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], event: Value) -> HttpResponse {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        send(
            stream,
            request(
                hyper::Method::POST,
                "/2015-03-31/functions/f/invocations",
                headers,
                event.to_string(),
            ),
        )
        .await
    }

    /// Changes the configuration, sends SIGHUP, and returns all that the program logs until it has read the
    /// file.
    pub(crate) fn reload(&mut self, config: &str) -> String {
        let file = self.folder.path().join("invoker.yaml");
        std::fs::write(&file, config).unwrap();
        self.signal("-HUP");
        let mut log = String::new();
        while !["was read again", "was not taken over"]
            .iter()
            .any(|end| log.contains(end))
        {
            assert!(self.stderr.read_line(&mut log).unwrap() > 0, "{log}");
        }
        log
    }

    /// Terminates the program and returns all that it has logged since it began to serve.
    pub(crate) fn terminate(mut self) -> String {
        self.signal("-TERM");
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{log}");
        log
    }

    /// Collects all that the program logs from now on, until its end.
    pub(crate) fn log(&mut self) -> std::thread::JoinHandle<String> {
        let empty = self.child.stderr.take();
        assert!(empty.is_none(), "the reader has it");
        let fd = self.stderr.get_ref().as_fd().try_clone_to_owned().unwrap();
        let mut log = String::from_utf8_lossy(self.stderr.buffer()).into_owned();
        std::thread::spawn(move || {
            let mut rest = std::fs::File::from(fd);
            rest.read_to_string(&mut log).unwrap();
            log
        })
    }

    /// Returns the process ids of the program's children that run the same program.
    pub(crate) fn children(&self) -> Vec<String> {
        let parent = self.child.id().to_string();
        let listed = Command::new("pgrep")
            .args(["-P", &parent, "-f", "sidecar-invoker"])
            .output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
