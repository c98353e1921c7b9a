//! What the tests share: an invoker in this process, a client, and waiting without sleeping.

pub(crate) mod events;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sidecar_invoker::config::{Config, Listen};
use sidecar_invoker::{Options, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An invoker on free ports, which ends when it is dropped.
pub(crate) struct Invoker {
    pub(crate) listen: Listen,
    pub(crate) admin: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The errorType of a function error.
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

pub(crate) fn fixture() -> String {
    format!("{}/tests/fixtures/runtime.py", env!("CARGO_MANIFEST_DIR"))
}

/// The configuration of a function `f` that runs the fixture, with these keys beside its command.
pub(crate) fn fixture_function(keys: &str) -> String {
    format!(
        "functions: {{ f: {{ queue: 1, local: {{ command: [python3, {}], timeout: 10s, {keys} }} }} }}",
        fixture()
    )
}

impl Invoker {
    /// Starts one with this configuration, which does not say where to listen.
    pub(crate) async fn start(functions: &str) -> Self {
        Self::listening("127.0.0.1:0", functions).await
    }

    pub(crate) async fn listening(listen: &str, functions: &str) -> Self {
        Self::with(listen, functions, false).await
    }

    /// Starts one whose functions may have control groups.
    pub(crate) async fn with_cgroups(functions: &str, cgroups: bool) -> Self {
        Self::with("127.0.0.1:0", functions, cgroups).await
    }

    async fn with(listen: &str, functions: &str, cgroups: bool) -> Self {
        let text = format!("listen: {listen}\nadmin: 127.0.0.1:0\n{functions}\n");
        let config = Config::parse("invoker.yaml", &text, Path::new("/")).unwrap();
        let options = Options {
            clock: SystemTime::now,
            orphan_reaper: None,
            cgroups,
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

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap();
    }

    /// Invokes `f`.
    pub(crate) async fn invoke(&self, event: Value) -> Reply {
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
    ) -> Reply {
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

    pub(crate) async fn admin(&self, path: &str) -> Reply {
        send(
            TcpStream::connect(&self.admin).await.unwrap(),
            request(Method::GET, path, &[], ""),
        )
        .await
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
) -> Reply {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let reply = reply(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    reply
}

pub(crate) async fn send_h2(stream: TcpStream, request: Request<Full<Bytes>>) -> Reply {
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let reply = reply(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    reply
}

async fn reply(response: hyper::Response<hyper::body::Incoming>) -> Reply {
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// Looks again and again, for 10 s at most, until `look` finds what it looks for.
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

pub(crate) async fn exists(path: &Path) {
    eventually(&path.display().to_string(), async || {
        path.exists().then_some(())
    })
    .await;
}

/// Whether the process runs; one that has ended and that nobody has waited for does not.
pub(crate) fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

/// An event that holds an environment until [`Gate::open`].
pub(crate) struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

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
