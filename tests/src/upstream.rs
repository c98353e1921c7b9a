//! A stand-in for an Invoke API. It responds or fails as a script says, which the real ones cannot do on
//! demand, and records the requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lambda_api::{event_stream, headers, invocation_header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::endpoint::Endpoint;
use crate::{block_on, spawn};

/// The stand-in. It speaks HTTP/1.1 and, with prior knowledge, HTTP/2.
#[derive(Debug)]
pub struct Upstream {
    /// The address on which it listens.
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    accepting: AbortHandle,
}

/// A whole request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The number of calls before this one.
    pub index: usize,
    /// The method.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The event.
    pub body: Bytes,
    /// The invocation was in a header of a request without a body.
    pub is_in_header: bool,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl Call {
    /// Returns the event.
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
    /// Starts an upstream that responds to each call as `script` says.
    pub fn start(script: impl Fn(&Call) -> ScriptedResponse + Send + Sync + 'static) -> Self {
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
                // The invoker has this limit.
                builder.http2().max_header_list_size(256 * 1024);
                // Some scripts make the connection fail.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
    }

    /// Starts an upstream that responds to every call with this payload of a function.
    pub fn responding(payload: Value) -> Self {
        Self::start(move |_| ScriptedResponse::payload(&payload))
    }

    /// Starts an upstream that responds to everything with `bytes`, which need not be HTTP, and closes the
    /// connection. It records nothing.
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

    /// Returns the calls so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// Returns the only call so far.
    ///
    /// # Panics
    /// There was no call, or more than one.
    #[track_caller]
    pub fn call(&self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "calls: {calls:?}");
        calls.remove(0)
    }
}

impl From<&Upstream> for Endpoint {
    fn from(upstream: &Upstream) -> Self {
        Self::Tcp(upstream.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A response, or a failure, of the stand-in.
#[derive(Clone, Debug)]
pub struct ScriptedResponse {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
    delay: Duration,
    /// The pieces that follow the body, each with the delay before it.
    pieces: Vec<(Duration, Bytes)>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// The connection (or stream) is reset after this many bytes of the body.
    Cut(usize),
    /// The connection (or stream) is reset before a response.
    Reset,
}

impl ScriptedResponse {
    /// Returns a function's response.
    pub fn payload(payload: &Value) -> Self {
        Self::bytes(payload.to_string())
    }

    /// Returns a function's response that need not be JSON.
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
        .header(headers::REQUEST_ID, "5a1f2b9e-8f2b-4f6e-9a51-2f0c9d1e7b3a")
        .header(headers::EXECUTED_VERSION, "$LATEST")
    }

    /// Returns a function's own error as Lambda reports it.
    pub fn function_error(error_type: &str, message: &str) -> Self {
        Self::payload(&json!({ "errorType": error_type, "errorMessage": message }))
            .header(headers::FUNCTION_ERROR, headers::UNHANDLED)
    }

    /// Returns an error of the service as Lambda reports it.
    pub fn service_error(status: u16, error_type: &str) -> Self {
        Self::payload(&json!({ "Type": "User", "Message": "as scripted" }))
            .status(status)
            .header(headers::ERROR_TYPE, error_type)
    }

    /// Returns a failure: the connection ends without a response.
    pub fn reset() -> Self {
        let mut response = Self::bytes("");
        response.end = End::Reset;
        response
    }

    /// Returns an event stream in these pieces, each with the delay before it.
    pub fn stream(pieces: Vec<(Duration, Bytes)>) -> Self {
        let mut response = Self::bytes("");
        response.pieces = pieces;
        response.set("content-type", event_stream::CONTENT_TYPE)
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Removes the request id, which the emulator never sends.
    #[must_use]
    pub fn from_emulator(mut self) -> Self {
        self.headers.remove(headers::REQUEST_ID);
        self
    }

    /// Adds a header. The value need not be UTF-8.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// Replaces a header.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.remove(name);
        self.header(name, value)
    }

    /// Adds a trailer. Envoy passes trailers on only over HTTP/2.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.trailers.append(HeaderName::from_static(name), value);
        self
    }

    /// Ends the connection after `length` bytes of the body, or after the pieces of a stream.
    #[must_use]
    pub fn cut_at(mut self, length: usize) -> Self {
        self.end = End::Cut(length);
        self
    }

    /// Delays the response.
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

/// The error that ends a connection as scripted.
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
    script: Arc<impl Fn(&Call) -> ScriptedResponse>,
    record: Arc<Mutex<Vec<Call>>>,
) -> Result<hyper::Response<BoxBody<Bytes, Reset>>, Reset> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Reset)?;
    let event = take_invocation(&mut head);
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
    let response = script(&call);
    tokio::time::sleep(response.delay).await;
    response.into_response()
}

/// Takes an invocation out of its header, as the invoker does. Returns the event, and makes `head` the head
/// of the invocation.
fn take_invocation(head: &mut hyper::http::request::Parts) -> Option<Bytes> {
    let value = head.headers.remove(headers::INVOCATION)?;
    let invocation = invocation_header::read(value.as_bytes()).expect("an invocation");
    let mut headers = HeaderMap::new();
    let invocation_type = HeaderValue::from_static(invocation.invocation_type.as_str());
    headers.insert(headers::INVOCATION_TYPE, invocation_type);
    let trace_id = HeaderValue::from_bytes(invocation.trace_id).expect("a header value");
    headers.insert(headers::TRACE_ID, trace_id);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in [
        "host",
        headers::ENVOY_REQUEST_ID,
        headers::ENVOY_TIMEOUT_MS,
        headers::TRACEPARENT,
        headers::TRACESTATE,
    ] {
        if let Some(value) = head.headers.remove(name) {
            headers.insert(name, value);
        }
    }
    for secret in head.headers.get_all(headers::SECRET) {
        headers.append(headers::SECRET, secret.clone());
    }
    head.headers = headers;
    head.method = hyper::Method::POST;
    head.uri = invocation.path_and_query.parse().expect("a path");
    Some(Bytes::copy_from_slice(invocation.event))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
