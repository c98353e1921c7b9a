//! `cargo xtask up` as a person uses it, with the real programs on free ports.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The time limit for a step, which may build everything.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A running `up`, and the ports of its listener, invoker, and their admin interfaces.
struct Up {
    process: Child,
    ports: [u16; 4],
    output_file: PathBuf,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        let ports = [(); 4].map(|()| xtask::ports::free().unwrap());
        let output_file = xtask::target_dir().join(format!("up/test-{}.txt", ports[0]));
        fs::create_dir_all(output_file.parent().unwrap()).unwrap();
        let output = File::options()
            .create(true)
            .append(true)
            .open(&output_file)
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("up");
        let options = [
            "--port",
            "--invoker-port",
            "--invoker-admin-port",
            "--envoy-admin-port",
        ];
        for (option, port) in options.iter().zip(ports) {
            command.arg(option).arg(port.to_string());
        }
        let process = command
            .args(arguments)
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
        while !self.output().contains("xtask: ready in") {
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
            xtask::ports::check(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "").unwrap();
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
        let copy = format!("up/envoy-{}.json", self.ports[0]);
        let _ = fs::remove_file(xtask::target_dir().join(copy));
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
    let python = exchange(up.ports[0], "GET /py/hi", "localhost");
    assert!(
        python.starts_with("HTTP/1.1 200 ") && python.contains("hello from Python"),
        "{python}"
    );

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
fn the_routes_of_an_invoker_configuration_are_served() {
    let folder = xtask::target_dir().join(format!("up/routes-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("invoker.yaml");
    let code = xtask::workspace_root().join("examples/py");
    let text = format!(
        "functions: {{ shop: {{ local: {{ command: [python3, -m, awslambdaric, app.handler], directory: {} }} }} }}
routes:
- {{ path: /shop/*, strip_prefix: /shop, function: shop }}
",
        code.display()
    );
    fs::write(&file, text).unwrap();
    let mut up = Up::start(&["--invoker-config", file.to_str().unwrap()]);
    up.wait_until_ready();
    let response = exchange(up.ports[0], "GET /shop/hi", "localhost");
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("hello from Python"),
        "{response}"
    );
    let response = exchange(up.ports[0], "GET /py/hi", "localhost");
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    kill_process(Pid::from_child(&up.process), Signal::TERM).unwrap();
    assert_eq!(up.wait().code(), Some(0), "{}", up.output());
    up.assert_nothing_left();

    // A mistake in the file is the invoker's own message.
    fs::write(
        &file,
        "functions: { a: { rie: http://a } }\nroutes: [{ function: b }]",
    )
    .unwrap();
    let mut up = Up::start(&["--invoker-config", file.to_str().unwrap()]);
    assert_eq!(up.wait().code(), Some(1), "{}", up.output());
    assert!(
        up.output().contains("no such function in `functions`"),
        "{}",
        up.output()
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_process_that_ends_is_named_and_the_others_are_stopped() {
    let mut up = Up::start(&[]);
    up.wait_until_ready();
    exchange(up.ports[3], "POST /quitquitquit", "localhost");
    assert_eq!(up.wait().code(), Some(1), "{}", up.output());
    assert!(
        up.output().contains("xtask: envoy ended by itself"),
        "{}",
        up.output()
    );
    up.assert_nothing_left();
}

#[test]
fn a_configuration_that_envoy_refuses_is_named_with_envoys_message() {
    let root = xtask::workspace_root();
    let config = fs::read_to_string(root.join("envoy/local.yaml")).unwrap();
    let file = xtask::target_dir().join(format!("up/refused-{}.yaml", std::process::id()));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, config.replace("stat_prefix:", "stat_prefixx:")).unwrap();
    let mut up = Up::start(&["--envoy-config", file.to_str().unwrap()]);
    assert_eq!(up.wait().code(), Some(1), "{}", up.output());
    assert!(
        up.output().contains("xtask: not started with target/up/"),
        "{}",
        up.output()
    );
    assert!(up.output().contains("stat_prefixx"), "{}", up.output());
    up.assert_nothing_left();
    fs::remove_file(file).unwrap();
}

#[test]
fn taken_ports_and_unusable_files_are_reported_before_anything_starts() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let cases = [
        (["--port", &port], format!("port {port} is taken by ")),
        (
            ["--envoy-config", "none.yaml"],
            "--envoy-config: cannot read none.yaml".to_owned(),
        ),
        (
            ["--invoker-config", "Cargo.toml"],
            "is not valid YAML".to_owned(),
        ),
    ];
    for (arguments, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("up")
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.starts_with("xtask: ") && errors.contains(&expected),
            "{errors}"
        );
        assert!(output.stdout.is_empty());
    }
}
