//! A stand-in for an Invoke API, for what the real ones do not do on demand: it answers as a
//! script says, fails as a script says, and keeps what it received.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{block_on, spawn};

/// The stand-in. It speaks HTTP/1.1 and, with prior knowledge, HTTP/2.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    accepting: AbortHandle,
}

/// A request as it arrived, whole.
#[derive(Clone, Debug)]
pub struct Call {
    /// How many came before it.
    pub index: usize,
    /// The method.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The event.
    pub body: Bytes,
    /// Whether the invocation stood in a header of a request without a body.
    pub is_in_header: bool,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl Call {
    /// The event.
    ///
    /// # Panics
    /// The body is not JSON.
    #[track_caller]
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

impl Upstream {
    /// One that answers each call with what `script` makes of it.
    pub fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let script = Arc::new(script);
        let record = Arc::clone(&calls);
        Self::accept(calls, move |stream| {
            let (script, record) = (Arc::clone(&script), Arc::clone(&record));
            async move {
                let service = service_fn(move |request| {
                    serve(request, Arc::clone(&script), Arc::clone(&record))
                });
                let mut builder =
                    hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // As the invoker's.
                builder.http2().max_header_list_size(256 * 1024);
                // A connection that fails is what some scripts are for.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
    }

    /// One that gives every call the same `payload`, as AWS gives a function's answer.
    pub fn answering(payload: Value) -> Self {
        Self::start(move |_| Reply::payload(&payload))
    }

    /// One that answers whatever it is asked with `bytes`, which need not be HTTP, and closes.
    /// It records nothing.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::accept(Arc::default(), move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let mut request = [0; 65536];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&bytes).await;
            }
        })
    }

    fn accept<F: Future<Output = ()> + Send + 'static>(
        calls: Arc<Mutex<Vec<Call>>>,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a free port");
        let address = listener.local_addr().expect("the listener has an address");
        let accepting = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            calls,
            accepting: accepting.abort_handle(),
        }
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// The only call so far.
    ///
    /// # Panics
    /// There was none, or more than one.
    #[track_caller]
    pub fn call(&self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "calls: {calls:?}");
        calls.remove(0)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the stand-in answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
    delay: Duration,
    /// What follows the body, each piece after its time.
    pieces: Vec<(Duration, Bytes)>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// The connection (or stream) is reset after this many bytes of the body.
    Cut(usize),
    /// It is reset before any answer.
    Reset,
}

impl Reply {
    /// A function's answer.
    pub fn payload(payload: &Value) -> Self {
        Self::bytes(payload.to_string())
    }

    /// A function's answer that need not be JSON.
    pub fn bytes(payload: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            headers: HeaderMap::new(),
            body: payload.into(),
            trailers: HeaderMap::new(),
            delay: Duration::ZERO,
            pieces: Vec::new(),
            end: End::Whole,
        }
        .header("content-type", "application/json")
        .header("x-amzn-requestid", "5a1f2b9e-8f2b-4f6e-9a51-2f0c9d1e7b3a")
        .header("x-amz-executed-version", "$LATEST")
    }

    /// A function's own error, as Lambda reports it.
    pub fn function_error(error_type: &str, message: &str) -> Self {
        Self::payload(&json!({ "errorType": error_type, "errorMessage": message }))
            .header("x-amz-function-error", "Unhandled")
    }

    /// An error of the service, as Lambda reports it.
    pub fn service_error(status: u16, error_type: &str) -> Self {
        Self::payload(&json!({ "Type": "User", "Message": "as scripted" }))
            .status(status)
            .header("x-amzn-errortype", error_type)
    }

    /// No answer: the connection ends.
    pub fn reset() -> Self {
        let mut reply = Self::bytes("");
        reply.end = End::Reset;
        reply
    }

    /// A streamed answer: an event stream in these pieces, each after its time.
    pub fn stream(pieces: Vec<(Duration, Bytes)>) -> Self {
        let mut reply = Self::bytes("");
        reply.pieces = pieces;
        reply.set("content-type", "application/vnd.amazon.eventstream")
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// As the emulator sends it: it never names the request.
    #[must_use]
    pub fn emulated(mut self) -> Self {
        self.headers.remove("x-amzn-requestid");
        self
    }

    /// With one more header, whose value need not be UTF-8.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// With another value of a header.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.remove(name);
        self.header(name, value)
    }

    /// With one more trailer, which only HTTP/2 carries through Envoy.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a trailer's value");
        self.trailers.append(HeaderName::from_static(name), value);
        self
    }

    /// The connection ends after `length` bytes of the body, or after the pieces of a stream.
    #[must_use]
    pub fn cut_at(mut self, length: usize) -> Self {
        self.end = End::Cut(length);
        self
    }

    /// Only after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn into_response(self) -> Result<hyper::Response<BoxBody<Bytes, Reset>>, Reset> {
        let body = match self.end {
            End::Reset => return Err(Reset),
            _ if !self.pieces.is_empty() => {
                let (mut sender, body) = Channel::new(1);
                tokio::spawn(async move {
                    for (delay, piece) in self.pieces {
                        tokio::time::sleep(delay).await;
                        if sender.send_data(piece).await.is_err() {
                            return;
                        }
                    }
                    match self.end {
                        End::Cut(_) => sender.abort(Reset),
                        _ if self.trailers.is_empty() => {}
                        _ => _ = sender.send_trailers(self.trailers).await,
                    }
                });
                body.boxed()
            }
            End::Whole if self.trailers.is_empty() => {
                Full::new(self.body).map_err(|never| match never {}).boxed()
            }
            End::Whole => Full::new(self.body)
                .with_trailers(async { Some(Ok::<_, Infallible>(self.trailers)) })
                .map_err(|never| match never {})
                .boxed(),
            End::Cut(length) => {
                let (mut sender, body) = Channel::new(1);
                tokio::spawn(async move {
                    let _ = sender.send_data(self.body.slice(..length)).await;
                    sender.abort(Reset);
                });
                body.boxed()
            }
        };
        let mut response = hyper::Response::new(body);
        *response.status_mut() =
            hyper::StatusCode::from_u16(self.status).expect("a status that HTTP knows");
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

/// Why a connection ended before its answer: the script says so.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("reset, as scripted")
    }
}

impl std::error::Error for Reset {}

async fn serve(
    request: hyper::Request<Incoming>,
    script: Arc<impl Fn(&Call) -> Reply>,
    record: Arc<Mutex<Vec<Call>>>,
) -> Result<hyper::Response<BoxBody<Bytes, Reset>>, Reset> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Reset)?;
    let event = in_header(&mut head);
    let call = {
        let mut calls = lock(&record);
        let call = Call {
            index: calls.len(),
            method: head.method.to_string(),
            path: head
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            is_in_header: event.is_some(),
            body: match event {
                Some(event) => event,
                None => body.to_bytes(),
            },
        };
        calls.push(call.clone());
        call
    };
    let reply = script(&call);
    tokio::time::sleep(reply.delay).await;
    reply.into_response()
}

/// The event of an invocation that stands in a header, and `head` as that of the invocation: what the
/// invoker makes of it.
fn in_header(head: &mut hyper::http::request::Parts) -> Option<Bytes> {
    let invocation = head.headers.remove("x-lambda-mesh-invocation")?;
    let mut words = invocation.as_bytes().splitn(4, |&byte| byte == b' ');
    let mut word = || words.next().expect("four words");
    let (kind, trace, path, event) = (word(), word(), word(), word());
    let mut headers = HeaderMap::new();
    let value = |bytes| HeaderValue::from_bytes(bytes).expect("a value");
    headers.insert("x-amz-invocation-type", value(kind));
    headers.insert("x-amzn-trace-id", value(trace));
    headers.insert("content-type", value(b"application/json"));
    for name in ["host", "x-request-id", "x-envoy-expected-rq-timeout-ms"] {
        if let Some(value) = head.headers.remove(name) {
            headers.insert(name, value);
        }
    }
    head.headers = headers;
    head.method = hyper::Method::POST;
    head.uri = path.try_into().expect("a path");
    Some(Bytes::copy_from_slice(event))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
