//! `cargo xtask up` as a person uses it, with the real programs on free ports.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The time limit for a step, which may build everything.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A running `up`, and the ports for HTTP requests, for the Lambda API and for health.
struct Up {
    process: Child,
    ports: [u16; 3],
    output_file: PathBuf,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        let ports = [(); 3].map(|()| xtask::ports::free().unwrap());
        let output_file = xtask::target_dir().join(format!("up/test-{}.txt", ports[0]));
        fs::create_dir_all(output_file.parent().unwrap()).unwrap();
        let output = File::options()
            .create(true)
            .append(true)
            .open(&output_file)
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("up").args(arguments);
        let options = ["--port", "--invoker-port", "--admin-port"];
        for (option, port) in options.iter().zip(ports) {
            command.arg(option).arg(port.to_string());
        }
        let process = command
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            process,
            ports,
            output_file,
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.output_file).unwrap()
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.output().contains("try it: curl") {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{}",
                self.output()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that every port is free, which shows that no process is left.
    fn assert_nothing_left(&self) {
        for port in self.ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It is still running only if the test has failed.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            let _ = self.process.wait();
        }
        let _ = fs::remove_file(&self.output_file);
    }
}

fn exchange(port: u16, request_line: &str, host: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let request = format!("{request_line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn both_functions_respond_and_sigterm_stops_everything_with_success() {
    let mut up = Up::start(&[]);
    up.wait_until_ready();
    let rust = exchange(up.ports[0], "GET /hi?x=1", "hello.localhost");
    assert!(
        rust.starts_with("HTTP/1.1 200 ") && rust.contains("hello from Rust"),
        "{rust}"
    );
    for (path, host) in [("/hi", "py.localhost"), ("/py/hi", "localhost")] {
        let python = exchange(up.ports[0], &format!("GET {path}"), host);
        assert!(
            python.starts_with("HTTP/1.1 200 ") && python.contains("hello from Python"),
            "{python}"
        );
    }

    kill_process(Pid::from_child(&up.process), Signal::TERM).unwrap();
    assert_eq!(up.wait().code(), Some(0), "{}", up.output());
    let output = up.output();
    assert!(
        output.contains("py/") && output.contains(" | GET /hi"),
        "{output}"
    );
    up.assert_nothing_left();
}

#[test]
fn another_project_takes_the_place_of_the_examples() {
    let folder = xtask::target_dir().join(format!("up/project-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let code = xtask::workspace_root().join("examples/py/app.py");
    fs::copy(code, folder.join("app.py")).unwrap();
    let mut up = Up::start(&[folder.to_str().unwrap()]);
    up.wait_until_ready();
    let response = exchange(up.ports[0], "GET /hi", "localhost");
    assert!(response.contains("hello from Python"), "{response}");
    kill_process(Pid::from_child(&up.process), Signal::TERM).unwrap();
    assert_eq!(up.wait().code(), Some(0), "{}", up.output());
    up.assert_nothing_left();

    // A mistake in a file is the invoker's own message.
    fs::remove_file(folder.join("app.py")).unwrap();
    let file = folder.join("invoker.yaml");
    let mistake = "functions: { a: { rie: http://a } }\nroutes: [{ function: b }]";
    fs::write(&file, mistake).unwrap();
    let mut up = Up::start(&[file.to_str().unwrap()]);
    assert_eq!(up.wait().code(), Some(2), "{}", up.output());
    assert!(
        up.output().contains("no such function in `functions`"),
        "{}",
        up.output()
    );
    fs::remove_dir_all(folder).unwrap();
}
