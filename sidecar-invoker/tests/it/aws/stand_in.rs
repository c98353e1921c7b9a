//! A server in the place of AWS Lambda. The name of a function selects its behaviour.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request that the stand-in has received.
#[derive(Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the region and service of the signature.
    pub(crate) fn scope(&self) -> String {
        let value = self.header("authorization").unwrap();
        let scope = value.split('/').skip(2).take(2).collect::<Vec<_>>();
        scope.join("/")
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) received: Mutex<Vec<ReceivedRequest>>,
    pub(crate) running: AtomicUsize,
    pub(crate) max_running: AtomicUsize,
}

/// A running server. Each permit of `release` lets one waiting invocation continue.
pub(crate) struct StandIn {
    pub(crate) url: String,
    pub(crate) state: Arc<State>,
    pub(crate) release: Arc<Semaphore>,
}

impl StandIn {
    /// Starts a server for HTTP/1.1.
    pub(crate) async fn start() -> Self {
        Self::listen("http", |stream| async { Some(stream) }).await
    }

    /// Starts a server for HTTP/2 over TLS, with a certificate of the tests' own authority.
    pub(crate) async fn start_tls() -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!(
            "../../../../tests/fixtures/tls/server.pem"
        ));
        let key = include_bytes!("../../../../tests/fixtures/tls/server.key");
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.unwrap()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::listen("https", move |stream| {
            let accept = acceptor.accept(stream);
            async { accept.await.ok() }
        })
        .await
    }

    async fn listen<S, F>(scheme: &str, accept: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let release = Arc::new(Semaphore::new(0));
        let (shared, gate) = (Arc::clone(&state), Arc::clone(&release));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, gate) = (Arc::clone(&shared), Arc::clone(&gate));
                let service = service_fn(move |request| {
                    let (state, gate) = (Arc::clone(&state), Arc::clone(&gate));
                    async move {
                        respond(&state, gate, request)
                            .await
                            .ok_or("the connection is closed")
                    }
                });
                let stream = accept(stream);
                tokio::spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().max_concurrent_streams(100);
                    if let Some(stream) = stream.await {
                        // This fails where the stand-in closes the connection on purpose.
                        let _ = builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    }
                });
            }
        });
        Self {
            url,
            state,
            release,
        }
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.state.received.lock().unwrap().clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.state.running.load(Ordering::SeqCst)
    }
}

/// Returns the response to a request. `None` closes the connection.
async fn respond(
    state: &State,
    gate: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let name = parts.uri.path().split('/').nth(3).unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let is_dry_run = parts
        .headers
        .get("x-amz-invocation-type")
        .is_some_and(|value| value == "DryRun");
    let now = {
        let mut received = state.received.lock().unwrap();
        received.push(ReceivedRequest {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            authority: parts.uri.authority().map(ToString::to_string),
            headers: parts.headers,
            body: body.clone(),
        });
        received.len()
    };
    let running = state.running.fetch_add(1, Ordering::SeqCst) + 1;
    state.max_running.fetch_max(running, Ordering::SeqCst);
    let response = match name.as_str() {
        _ if is_dry_run => Some(match name.as_str() {
            "denied" => error(
                403,
                "AccessDeniedException",
                "not authorized to perform: lambda:InvokeFunction",
            ),
            "missing" => error(
                404,
                "ResourceNotFoundException",
                "Function not found: missing",
            ),
            "unknown-key" => error(
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            "slow" => {
                std::future::pending::<()>().await;
                return None;
            }
            _ => Response::builder().status(204).body(whole("")).unwrap(),
        }),
        "reset" => None,
        "switches" => Some(
            Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "x")
                .body(whole(""))
                .unwrap(),
        ),
        "waits" => {
            gate.acquire().await.unwrap().forget();
            Some(ok(body))
        }
        "streams" => Some(streamed(gate)),
        "scatters" => Some(scattered()),
        // The first response is endless.
        "floods" if now == 1 => Some(Response::new(Flood.boxed_unsync())),
        "throttled-once" if now > 1 => Some(ok(body)),
        "throttled" | "throttled-once" => {
            Some(error(429, "TooManyRequestsException", "Rate Exceeded."))
        }
        "throttled-for-ever" => {
            let mut response = error(429, "TooManyRequestsException", "Rate Exceeded.");
            let longest = HeaderValue::from(u64::MAX);
            response.headers_mut().insert("retry-after", longest);
            Some(response)
        }
        "proxied" => Some(Response::builder().status(429).body(whole("busy")).unwrap()),
        "late" => Some(error(
            403,
            "InvalidSignatureException",
            // Each message is different.
            &format!(
                "Signature expired: 20261121T00000{now}Z is now earlier than 20261121T00100{now}Z"
            ),
        )),
        "denied" => Some(error(
            403,
            "AccessDeniedException",
            "not authorized to perform: lambda:InvokeFunction",
        )),
        _ => Some(ok(body)),
    };
    state.running.fetch_sub(1, Ordering::SeqCst);
    response
}

fn ok(body: Bytes) -> Response<Body> {
    Response::builder()
        .header("x-amzn-requestid", "1-2-3")
        .header("x-amz-executed-version", "7")
        .header("connection", "x-internal")
        .header("x-internal", "concerns this connection")
        .body(Full::new(body).map_err(never).boxed_unsync())
        .unwrap()
}

fn error(status: u16, name: &str, message: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(
            "x-amzn-errortype",
            format!("{name}:http://internal.amazon.com/"),
        )
        .header("retry-after", "0")
        .body(whole(&json!({ "message": message }).to_string()))
        .unwrap()
}

/// Returns three chunks: the first at once, and one for each permit.
fn streamed(gate: Arc<Semaphore>) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for chunk in ["one", "two", "three"] {
            if chunk != "one" {
                gate.acquire().await.unwrap().forget();
            }
            if sender
                .send(Bytes::from_static(chunk.as_bytes()))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    Response::builder()
        .header("content-type", "application/vnd.amazon.eventstream")
        .body(Chunks(receiver).boxed_unsync())
        .unwrap()
}

/// Returns a thousand chunks at once.
fn scattered() -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1_000);
    for _ in 0..1_000 {
        // The channel has room for all chunks.
        let _ = sender.try_send(Bytes::from_static(&[b'x'; 100]));
    }
    Response::new(Chunks(receiver).boxed_unsync())
}

struct Chunks(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

struct Flood;

impl hyper::body::Body for Flood {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = Bytes::from_static(&[0; 1 << 16]);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

fn whole(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned()))
        .map_err(never)
        .boxed_unsync()
}

fn never(error: Infallible) -> io::Error {
    match error {}
}
