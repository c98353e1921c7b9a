//! The invoker's program, with credentials in its environment, and its log.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use hyper::Method;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{HttpResponse, eventually, request, send};

/// A running invoker. It ends when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) admin: String,
    log: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

/// The credentials of the invoker, unless a test is about them.
pub(crate) const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

impl Program {
    /// Starts an invoker with [`KEYS`] and this configuration.
    pub(crate) async fn start(text: &str) -> Self {
        Self::with(text, &KEYS).await
    }

    /// Starts an invoker whose environment has these `AWS_` variables and no others.
    pub(crate) async fn with(text: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoker.yaml");
        std::fs::write(&file, text).unwrap();
        let mut child = command("serve", &file, folder.path(), variables)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        let addresses = eventually("the invoker's start", async || {
            let log = log.lock().unwrap();
            let find = |line: &String| {
                let (_, rest) = line.split_once("serving the Invoke API on ")?;
                let (address, admin) = rest.split_once(", admin on ")?;
                Some((address.to_owned(), admin.to_owned()))
            };
            log.iter().find_map(find)
        });
        let (address, admin) = addresses.await;
        Self {
            child,
            address,
            admin,
            log,
            _folder: folder,
        }
    }

    /// Invokes a function synchronously.
    pub(crate) async fn invoke(&self, function: &str, event: Value) -> HttpResponse {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.post(&path, &[], event.to_string()).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> HttpResponse {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        send(stream, request(Method::POST, path, headers, body)).await
    }

    pub(crate) async fn readyz(&self) -> HttpResponse {
        self.admin("/readyz").await
    }

    /// Waits until `/metrics` has this line.
    pub(crate) async fn wait_for_metric(&self, line: &str) {
        eventually(line, async || {
            let metrics = self.admin("/metrics").await;
            let text = std::str::from_utf8(&metrics.body).unwrap();
            text.lines().any(|found| found == line).then_some(())
        })
        .await;
    }

    async fn admin(&self, path: &str) -> HttpResponse {
        let stream = TcpStream::connect(&self.admin).await.unwrap();
        send(stream, request(Method::GET, path, &[], "")).await
    }

    /// Waits until the invoker is ready.
    pub(crate) async fn wait_until_ready(&self) {
        eventually("readiness", async || {
            (self.readyz().await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits for a log line that contains `text`, and checks that there is only one.
    pub(crate) async fn logged_once(&self, text: &str) {
        let lines = || {
            let log = self.log.lock().unwrap();
            log.iter().filter(|line| line.contains(text)).count()
        };
        eventually(text, async || (lines() > 0).then_some(())).await;
        assert_eq!(lines(), 1, "{text}");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // This fails if the invoker has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// Returns the program with a configuration and a home folder without credentials. Its soft limit on
/// open files is low, as on most systems.
pub(crate) fn command(verb: &str, file: &Path, home: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 100; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_sidecar-invoker"));
    command.arg(verb).arg("--config").arg(file);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", home)
        .env_remove("SSL_CERT_FILE")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("RUST_LOG", "info")
        .envs(variables.iter().copied());
    command
}
