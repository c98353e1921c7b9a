//! `sidecar-invoker invoke`, `event`, `completions` and `man`, as a user types them.

mod event;
mod http;
mod manual;
mod mistakes;
mod place;
mod stream;

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::fixture_function;

/// The end of a run of the program.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// Returns the output as JSON, if the program has succeeded.
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON: {}", self.stdout))
    }
}

/// Returns the program with these arguments, in a folder of its own and without credentials.
fn program(arguments: &[&str], folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
    command.args(arguments).current_dir(folder.path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command with this input to its end.
async fn ended(mut command: Command, input: &str) -> Ended {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that ends early does not read its input.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program with these arguments.
async fn run(arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    ended(program(arguments, &folder), "").await
}

/// Writes an invoker.yaml with the function `f`, for an invoker that does not run. The processes of the function
/// have the numbers that the tests see.
fn config(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("invoker.yaml");
    let socket = folder.path().join("none.sock");
    let text = format!(
        "listen: unix://{}\n{}",
        socket.display(),
        fixture_function("isolation: none")
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// Returns the arguments with which the function `f` sends this payload. The request becomes an event of the
/// fixture by a template, so that the contract of an HTTP API decodes it.
fn answering(payload: &str) -> [String; 4] {
    let event = serde_json::json!({ "do": "stream", "chunks": [payload] });
    [
        "--payload".to_owned(),
        "template".to_owned(),
        "--filter".to_owned(),
        format!("template={event}"),
    ]
}

/// Starts a server that is no invoker. It responds once with this body and no headers of Lambda. Returns its URL.
async fn other_server(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let length = body.len();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(response.as_bytes()).await.unwrap();
    });
    url
}
