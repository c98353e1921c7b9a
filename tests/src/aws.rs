//! A stand-in for AWS (`fixtures/aws/stand_in`), which verifies every signature with botocore, and
//! AWS's own clients. What the stand-in is told and asked is in its `control.py`; how a function can
//! behave, in its `functions.py`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use xtask::workspace_root;

use crate::client::Request;
use crate::invoker;
use crate::mesh::Endpoint;
use crate::process::Process;
use crate::shared::Part;

/// The region that tests sign for unless they say another.
pub const REGION: &str = "eu-central-1";

/// The id of a key that every stand-in knows, and its secret.
pub const KEY: (&str, &str) = ("AKIAEXAMPLE", "secret/with+signs=");

/// A running stand-in. It is dropped with an error if it has failed at a request.
#[derive(Debug)]
pub struct Aws {
    /// Where its Lambda listens, without TLS.
    pub lambda: SocketAddr,
    lambda_tls: SocketAddr,
    control: SocketAddr,
    sts: Option<SocketAddr>,
    process: Process,
}

impl Aws {
    /// Lambda and the metadata services, knowing [`KEY`].
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The Security Token Service too, which is moto's.
    pub fn with_sts() -> Self {
        Self::start_with(Some("sts"))
    }

    fn start_with(service: Option<&str>) -> Self {
        let mut command = python();
        command
            .current_dir(workspace_root().join("tests/fixtures"))
            .args(["-m", "stand_in", "tls/server.pem", "tls/server.key"])
            .args(service);
        let process = Process::start("the stand-in for AWS", &command);
        let ready = process.until(|process| {
            let log = process.log();
            let (line, _) = log.split_once('\n')?;
            serde_json::from_str::<Value>(line).ok()
        });
        let (process, ports) = ready.unwrap_or_else(|error| panic!("{error}"));
        let address = |name: &str| {
            let port = u16::try_from(ports[name].as_u64()?).ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], port)))
        };
        let aws = Self {
            lambda: address("lambda").expect("a port"),
            lambda_tls: address("lambda_tls").expect("a port"),
            control: address("control").expect("a port"),
            sts: address("sts"),
            process,
        };
        aws.key(KEY.0, &json!({ "secret": KEY.1 }));
        aws
    }

    /// The URL of Lambda, without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.lambda)
    }

    /// The URL of Lambda over TLS, with a certificate of [`certificates`].
    pub fn tls_url(&self) -> String {
        format!("https://{}", self.lambda_tls)
    }

    /// The URL of the metadata services.
    pub fn metadata_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The URL of the Security Token Service.
    ///
    /// # Panics
    /// This stand-in has none.
    pub fn sts_url(&self) -> String {
        format!("http://{}", self.sts.expect("started with its STS"))
    }

    /// The function `name` exists from now on, and behaves like this.
    pub fn function(&self, name: &str, behaviour: &Value) {
        self.put(&format!("/functions/{name}"), behaviour);
    }

    /// The calls of `function` that wait at its gate go on.
    pub fn open(&self, function: &str) {
        self.put(&format!("/gates/{function}"), &json!({}));
    }

    /// The key `id` is known from now on, with the members `secret`, `token`, and `expires_in` in
    /// seconds.
    pub fn key(&self, id: &str, key: &Value) {
        self.put(&format!("/keys/{id}"), key);
    }

    /// Any other order, see `control.py`.
    ///
    /// # Panics
    /// There is no such order.
    pub fn put(&self, path: &str, value: &Value) {
        let answer = Request::new(self.control, "PUT", path)
            .body(value.to_string())
            .send();
        assert_eq!(answer.status, 204, "{path} {value}: {answer:?}");
    }

    /// All requests so far to one of the services: `calls` (to Lambda), `sts`, `metadata`.
    pub fn requests(&self, service: &str) -> Vec<Value> {
        let mut log = Request::new(self.control, "GET", "/log").send().json();
        match log[service].take() {
            Value::Array(requests) => requests,
            other => panic!("no list of requests: {other}"),
        }
    }

    /// The calls of a function so far.
    ///
    /// # Panics
    /// Lambda refused a signature since this stand-in started: a test that means to be refused asks
    /// [`Self::requests`].
    #[track_caller]
    pub fn calls(&self, function: &str) -> Vec<Value> {
        let mut calls = self.requests("calls");
        for call in &calls {
            assert!(call.get("refused").is_none(), "{call:#}");
        }
        calls.retain(|call| call["function"] == function);
        calls
    }

    /// An invoker without credentials, and with nothing of this machine's that could give it some:
    /// its `aws` block has this stand-in's endpoint, [`REGION`], and the members of `aws`, of which
    /// `null` takes one away.
    pub fn bare_invoker(&self, aws: &Value) -> invoker::Builder {
        self.invoker_of(&json!({ "aws": aws }))
    }

    /// An invoker with [`KEY`] in its environment.
    pub fn invoker(&self, aws: &Value) -> invoker::Builder {
        with_key(self.bare_invoker(aws))
    }

    /// Like [`Self::bare_invoker`], with other keys of `invoker.yaml` too.
    pub fn invoker_of(&self, config: &Value) -> invoker::Builder {
        let mut aws = json!({ "region": REGION, "endpoint": self.url() });
        merge(&mut aws, &config["aws"]);
        let mut config = config.clone();
        config["aws"] = aws;
        let mut builder = invoker::Invoker::with(config);
        for name in inherited() {
            builder = builder.without_env(name);
        }
        builder
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("SSL_CERT_FILE", certificates().display().to_string())
    }
}

impl From<&Aws> for Endpoint {
    fn from(aws: &Aws) -> Self {
        Self::Tcp(aws.lambda)
    }
}

impl Part for Aws {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        // An exception in a handler is shown by asyncio or werkzeug.
        self.process.alive() && !self.log().contains("Traceback")
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking() || self.alive(),
            "the stand-in for AWS failed:\n{}",
            self.log()
        );
    }
}

/// `builder` with [`KEY`] in its environment.
pub fn with_key(builder: invoker::Builder) -> invoker::Builder {
    builder
        .env("AWS_ACCESS_KEY_ID", KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", KEY.1)
}

/// The certificates that an invoker must trust for [`Aws::tls_url`].
pub fn certificates() -> PathBuf {
    workspace_root().join("tests/fixtures/tls/ca.pem")
}

/// What boto3 makes of `calls` to `url`: see `fixtures/aws/boto_client.py`.
///
/// # Panics
/// It fails with something else than an error that AWS could have sent.
pub fn boto3(url: &str, calls: &Value) -> Vec<Value> {
    let mut command = python();
    command
        .arg(fixtures().join("boto_client.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut boto3 = command.spawn().expect("Python starts");
    let task = json!({ "endpoint": url, "calls": calls }).to_string();
    let input = boto3.stdin.take();
    input
        .expect("its input is a pipe")
        .write_all(task.as_bytes())
        .expect("boto3 reads its task");
    let output = boto3.wait_with_output().expect("boto3 ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("one result a call")
}

/// Runs `aws lambda` with `--endpoint-url` and these arguments.
pub fn aws_cli(url: &str, arguments: &[&str]) -> Output {
    let mut command = python();
    command
        .args(["-m", "awscli", "lambda", "--endpoint-url", url])
        .args(["--region", REGION])
        .args(arguments);
    command.output().expect("the AWS CLI starts")
}

/// The Python that has AWS's clients and the stand-in, with [`KEY`] and nothing else of AWS's in
/// its environment.
fn python() -> Command {
    let python = xtask::python::with_aws_clients();
    let mut python = python.unwrap_or_else(|error| panic!("{error:#}"));
    let packages = python
        .get_envs()
        .find_map(|(name, value)| (name == "PYTHONPATH").then_some(value?));
    let path = std::env::join_paths(packages.into_iter().map(Path::new).chain([&*fixtures()]));
    python
        .env("PYTHONPATH", path.expect("a path without `:`"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for name in inherited() {
        python.env_remove(name);
    }
    python
        .env("HOME", "/nonexistent")
        .env("AWS_ACCESS_KEY_ID", KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", KEY.1)
        .env("AWS_MAX_ATTEMPTS", "1");
    python
}

fn fixtures() -> PathBuf {
    workspace_root().join("tests/fixtures/aws")
}

/// The names of AWS's variables that this process has.
fn inherited() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("AWS_")).collect()
}

/// Adds the members of `from`; `null` takes one away.
fn merge(into: &mut Value, from: &Value) {
    let into = into.as_object_mut().expect("an object");
    for (name, value) in from.as_object().into_iter().flatten() {
        if value.is_null() {
            into.remove(name);
        } else {
            into.insert(name.clone(), value.clone());
        }
    }
}
