//! Shared by the tests: an invoker in this process, a client, and polling with a time limit.

pub(crate) mod collector;
pub(crate) mod events;
pub(crate) mod running;
#[cfg(target_os = "linux")]
pub(crate) mod sandbox;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sidecar_invoker::config::{Config, Listen};
use sidecar_invoker::{FunctionOutput, Options, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An invoker on free ports. It ends when it is dropped.
pub(crate) struct Invoker {
    pub(crate) listen: Listen,
    pub(crate) admin: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A complete response.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpResponse {
    async fn collect(response: hyper::Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the `errorType` of a function error.
    pub(crate) fn function_error(&self) -> String {
        assert_eq!(self.status, 200);
        assert_eq!(
            self.header("x-amz-function-error"),
            Some("Unhandled"),
            "{:?}",
            self.body
        );
        self.json()["errorType"].as_str().unwrap().to_owned()
    }
}

/// Returns the path of the Python runtime that the tests run.
pub(crate) fn fixture() -> String {
    format!("{}/tests/fixtures/runtime.py", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the configuration of a function `f` that runs the fixture, with additional keys.
pub(crate) fn fixture_function(keys: &str) -> String {
    format!(
        "functions: {{ f: {{ queue: 1, local: {{ command: [python3, {}], timeout: 10s, {keys} }} }} }}",
        fixture()
    )
}

impl Invoker {
    /// Starts an invoker with this configuration, which has no addresses.
    pub(crate) async fn start(functions: &str) -> Self {
        Self::listening("127.0.0.1:0", functions).await
    }

    pub(crate) async fn listening(listen: &str, functions: &str) -> Self {
        Self::with(listen, functions, false, None).await
    }

    /// Starts an invoker whose functions may have control groups.
    pub(crate) async fn with_cgroups(functions: &str, cgroups: bool) -> Self {
        Self::with("127.0.0.1:0", functions, cgroups, None).await
    }

    /// Starts an invoker whose environments are isolated as far as the system allows it.
    pub(crate) async fn isolated(functions: &str) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_sidecar-invoker"));
        Self::with("127.0.0.1:0", functions, true, Some(program)).await
    }

    async fn with(
        listen: &str,
        functions: &str,
        cgroups: bool,
        fork_server: Option<PathBuf>,
    ) -> Self {
        let text = format!("listen: {listen}\nadmin: 127.0.0.1:0\n{functions}\n");
        let config = Config::parse("invoker.yaml", &text, Path::new("/")).unwrap();
        let options = Options {
            clock: SystemTime::now,
            orphan_reaper: None,
            cgroups,
            fork_server,
            output: FunctionOutput::Stdout,
            dropped_log_lines: || 0,
        };
        let server = Server::bind(config, options).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            listen: server.address().unwrap(),
            admin: server.admin_address().unwrap().to_string(),
            stop: Some(stop),
            task: tokio::spawn(server.run(async {
                let _ = stopped.await;
            })),
        }
    }

    /// Shuts the invoker down and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap();
    }

    /// Invokes `f`.
    pub(crate) async fn invoke(&self, event: Value) -> HttpResponse {
        self.request(
            Method::POST,
            "/2015-03-31/functions/f/invocations",
            &[],
            event.to_string(),
        )
        .await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let request = request(method, path, headers, body);
        match &self.listen {
            Listen::Tcp(address) => {
                send(
                    TcpStream::connect(address.to_string()).await.unwrap(),
                    request,
                )
                .await
            }
            Listen::Unix(path) => send(UnixStream::connect(path).await.unwrap(), request).await,
        }
    }

    pub(crate) async fn admin(&self, path: &str) -> HttpResponse {
        send(
            TcpStream::connect(&self.admin).await.unwrap(),
            request(Method::GET, path, &[], ""),
        )
        .await
    }

    /// Returns the metrics as text.
    pub(crate) async fn metrics(&self) -> String {
        let metrics = self.admin("/metrics").await.body;
        String::from_utf8(metrics.to_vec()).unwrap()
    }

    /// Waits until the metrics have all of these lines.
    pub(crate) async fn wait_for_metrics(&self, lines: &[&str]) {
        eventually(&format!("{lines:?}"), async || {
            let metrics = self.metrics().await;
            let is_there = |line: &&str| metrics.lines().any(|found| found == *line);
            lines.iter().all(is_there).then_some(())
        })
        .await;
    }

    /// Waits until no environment of the function `f` has work to do.
    pub(crate) async fn wait_until_idle(&self) {
        let busy = "lambda_mesh_environments{function=\"f\",state=\"busy\"} 0";
        self.wait_for_metrics(&[busy]).await;
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listen.to_string()).await.unwrap()
    }
}

impl Drop for Invoker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "invoker");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

pub(crate) async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> HttpResponse {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let response = HttpResponse::collect(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    response
}

pub(crate) async fn send_h2(stream: TcpStream, request: Request<Full<Bytes>>) -> HttpResponse {
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let response = HttpResponse::collect(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    response
}

/// Polls `look` until it returns a value, and panics after 10 s.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::time::Instant::now() < end {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{what}: not within 10 s");
}

/// Waits until calls of the fixture return this version. No call may fail.
pub(crate) async fn wait_for_version(invoker: &Invoker, number: &str) {
    let look = async || {
        let response = invoker.invoke(json!({})).await;
        assert_eq!(
            response.header("x-amz-function-error"),
            None,
            "{:?}",
            response.body
        );
        (response.json()["env"]["VERSION"] == number).then_some(())
    };
    eventually(&format!("version {number}"), look).await;
}

/// Waits until the file exists.
pub(crate) async fn exists(path: &Path) {
    eventually(&path.display().to_string(), async || {
        path.exists().then_some(())
    })
    .await;
}

/// Returns whether the process is running. A zombie is not.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

/// A gate that an invocation waits for until [`Gate::open`].
pub(crate) struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns the event that waits for the gate.
    pub(crate) fn event(&self) -> Value {
        json!({ "do": "wait", "begun": self.path("begun"), "gate": self.path("gate"), "done": self.path("done") })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn open(&self) {
        std::fs::write(self.path("gate"), "").unwrap();
    }
}

/// Sets the permissions of an executable.
pub(crate) fn make_executable(file: &Path) {
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(file, executable).unwrap();
}
