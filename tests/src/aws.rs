//! A stand-in for AWS (`fixtures/aws/stand_in`), which verifies every signature with botocore, and
//! AWS's own clients. `control.py` documents the requests that control the stand-in, and `functions.py`
//! the behaviour that a function can have.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use xtask::workspace_root;

use crate::client::Request;
use crate::endpoint::Endpoint;
use crate::invoker;
use crate::process::Process;
use crate::shared::Component;

/// The default region of the tests.
pub const REGION: &str = "eu-central-1";

/// The id of an access key that every stand-in knows, and its secret.
pub const KEY: (&str, &str) = ("AKIAEXAMPLE", "secret/with+signs=");

/// A running stand-in. `Drop` panics if the stand-in has failed at a request.
#[derive(Debug)]
pub struct Aws {
    /// The address of Lambda, without TLS.
    pub lambda: SocketAddr,
    lambda_tls: SocketAddr,
    control: SocketAddr,
    sts: Option<SocketAddr>,
    process: Process,
}

impl Aws {
    /// Starts Lambda and the metadata services, which know [`KEY`].
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts moto's Security Token Service too.
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
        let ready = process.wait_until(|process| {
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

    /// Returns the URL of Lambda, without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.lambda)
    }

    /// Returns the URL of Lambda over TLS, with a certificate of [`certificates`].
    pub fn tls_url(&self) -> String {
        format!("https://{}", self.lambda_tls)
    }

    /// Returns the URL of the metadata services.
    pub fn metadata_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// Returns the URL of the Security Token Service.
    ///
    /// # Panics
    /// This stand-in was started without it.
    pub fn sts_url(&self) -> String {
        format!("http://{}", self.sts.expect("started with its STS"))
    }

    /// Creates or changes the function `name`.
    pub fn function(&self, name: &str, behaviour: &Value) {
        self.put(&format!("/functions/{name}"), behaviour);
    }

    /// Opens the gate at which calls of `function` wait.
    pub fn open(&self, function: &str) {
        self.put(&format!("/gates/{function}"), &json!({}));
    }

    /// Adds the access key `id`, with the members `secret`, `token`, and `expires_in` in seconds.
    pub fn key(&self, id: &str, key: &Value) {
        self.put(&format!("/keys/{id}"), key);
    }

    /// Sends a request of `control.py`.
    ///
    /// # Panics
    /// The stand-in does not know the request.
    pub fn put(&self, path: &str, value: &Value) {
        let response = Request::new(self.control, "PUT", path)
            .body(value.to_string())
            .send();
        assert_eq!(response.status, 204, "{path} {value}: {response:?}");
    }

    /// Returns the requests so far to a service: `calls` (to Lambda), `sts`, `metadata`.
    pub fn requests(&self, service: &str) -> Vec<Value> {
        let mut log = Request::new(self.control, "GET", "/log").send().json();
        match log[service].take() {
            Value::Array(requests) => requests,
            other => panic!("no list of requests: {other}"),
        }
    }

    /// Returns the calls of a function so far.
    ///
    /// # Panics
    /// Lambda has refused a signature since this stand-in started. A test that expects that uses
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

    /// Returns an invoker without credentials, isolated from those of this machine. Its `aws` block has the
    /// endpoint of this stand-in, [`REGION`], and the members of `aws`; a member that is `null` is
    /// removed.
    pub fn bare_invoker(&self, aws: &Value) -> invoker::Builder {
        self.invoker_of(&json!({ "aws": aws }))
    }

    /// Returns an invoker with [`KEY`] in its environment.
    pub fn invoker(&self, aws: &Value) -> invoker::Builder {
        with_key(self.bare_invoker(aws))
    }

    /// Returns an invoker like [`Self::bare_invoker`], with other keys of `invoker.yaml` too.
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

impl Component for Aws {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        // asyncio and werkzeug print the exceptions of handlers.
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

/// Adds [`KEY`] to the environment.
pub fn with_key(builder: invoker::Builder) -> invoker::Builder {
    builder
        .env("AWS_ACCESS_KEY_ID", KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", KEY.1)
}

/// Returns the file with the certificates that an invoker must trust for [`Aws::tls_url`].
pub fn certificates() -> PathBuf {
    workspace_root().join("tests/fixtures/tls/ca.pem")
}

/// Makes `calls` to `url` with boto3 and returns the results; see `fixtures/aws/boto_client.py`.
///
/// # Panics
/// boto3 fails, other than by an error that AWS could have sent.
pub fn boto3(url: &str, calls: &Value) -> Vec<Value> {
    boto3_as(KEY, url, calls)
}

/// Makes calls like [`boto3`], with another access key.
///
/// # Panics
/// As [`boto3`].
pub fn boto3_as(key: (&str, &str), url: &str, calls: &Value) -> Vec<Value> {
    let mut command = python();
    command
        .env("AWS_ACCESS_KEY_ID", key.0)
        .env("AWS_SECRET_ACCESS_KEY", key.1)
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
    serde_json::from_slice(&output.stdout).expect("a result for each call")
}

/// Runs `aws lambda` with `--endpoint-url` and these arguments.
pub fn aws_cli(url: &str, arguments: &[&str]) -> Output {
    aws_cli_as(KEY, url, arguments)
}

/// Runs a command like [`aws_cli`], with another access key.
pub fn aws_cli_as(key: (&str, &str), url: &str, arguments: &[&str]) -> Output {
    let mut command = python();
    command
        .env("AWS_ACCESS_KEY_ID", key.0)
        .env("AWS_SECRET_ACCESS_KEY", key.1)
        .args(["-m", "awscli", "lambda", "--endpoint-url", url])
        .args(["--region", REGION])
        .args(arguments);
    command.output().expect("the AWS CLI starts")
}

/// Returns a Python with AWS's clients and the stand-in. Of AWS's variables, its environment has only
/// [`KEY`].
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

/// Returns the names of AWS's variables in the environment of this process.
fn inherited() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("AWS_")).collect()
}

/// Adds the members of `from`. A member that is `null` is removed.
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
