//! The invoker's program with credentials in its environment, and what it logs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use hyper::Method;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{HttpResponse, eventually, request, send};

/// A running invoker, which ends when this is dropped.
pub struct Program {
    pub child: Child,
    pub address: String,
    pub admin: String,
    log: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

/// What every test's invoker has for credentials, unless the test is about them.
pub const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

impl Program {
    /// Starts one with keys, and the configuration `text`.
    pub async fn start(text: &str) -> Self {
        Self::with(text, &KEYS).await
    }

    /// Starts one whose environment has these variables of AWS's and no others.
    pub async fn with(text: &str, variables: &[(&str, &str)]) -> Self {
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

    /// A synchronous invocation.
    pub async fn invoke(&self, function: &str, event: Value) -> HttpResponse {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.post(&path, &[], event.to_string()).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> HttpResponse {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        send(stream, request(Method::POST, path, headers, body)).await
    }

    pub async fn readyz(&self) -> HttpResponse {
        self.admin("/readyz").await
    }

    /// Waits until `/metrics` has this line.
    pub async fn measured(&self, line: &str) {
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

    /// Waits until it is ready.
    pub async fn ready(&self) {
        eventually("readiness", async || {
            (self.readyz().await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits for a line of the log with this in it, of which there may be one only.
    pub async fn told_once(&self, text: &str) {
        let lines = || {
            let log = self.log.lock().unwrap();
            log.iter().filter(|line| line.contains(text)).count()
        };
        eventually(text, async || (lines() > 0).then_some(())).await;
        assert_eq!(lines(), 1, "{text}");
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// The program with a configuration, at home in `home`, where no credentials are. It may open few
/// files, as on most systems, unless it asks for more.
pub fn command(verb: &str, file: &Path, home: &Path, variables: &[(&str, &str)]) -> Command {
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
