//! `sidecar-invoker healthcheck` against the program itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sidecar-invoker");

/// A running invoker.
struct Running {
    child: Child,
    admin: String,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoker.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"])
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let admin = lines
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("admin on ")?.1.to_owned()))
            .unwrap();
        Self {
            child,
            admin,
            _folder: folder,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the exit code and the standard error of the health check.
fn check(url: &str) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .arg("healthcheck")
        .arg(url)
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_ready_invoker_is_healthy_and_prints_nothing() {
    let running = Running::start("functions: { f: { rie: 'http://127.0.0.1:1' } }\n");
    let url = format!("http://{}/readyz", running.admin);
    assert_eq!(check(&url), (Some(0), String::new()));
}

#[test]
fn an_unready_invoker_is_unhealthy_and_its_reason_is_printed() {
    let running = Running::start("functions:\n  f:\n    local: { command: [./missing] }\n");
    let url = format!("http://{}/readyz", running.admin);
    let (code, text) = check(&url);
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with(&format!("{url} says 503 Service Unavailable: "))
            && text.contains("invoker.yaml:3: ")
            && text.contains("missing"),
        "{text}"
    );
}

#[test]
fn an_unreachable_server_and_an_unusable_url_are_reported_in_one_sentence() {
    let (code, text) = check("http://127.0.0.1:1/readyz");
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with("http://127.0.0.1:1/readyz cannot be asked: ")
            && text.lines().count() == 1,
        "{text}"
    );
    for url in ["https://127.0.0.1:9091/readyz", "/readyz"] {
        let (code, text) = check(url);
        assert_eq!(code, Some(1));
        assert!(
            text.contains("is not a URL to check; write one such as http://"),
            "{text}"
        );
    }
}

#[test]
fn a_server_that_does_not_respond_is_unhealthy() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ready", silent.local_addr().unwrap());
    assert_eq!(
        check(&url),
        (Some(1), format!("{url} has not answered within 2 s\n"))
    );
}
