//! An HTTP client that gives a test control over the request, and the whole response. Each request has
//! a connection of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use crate::{TIMEOUT, block_on};

/// A builder of a request. [`Request::send`] sends it.
#[derive(Clone, Debug)]
pub struct Request {
    address: SocketAddr,
    method: hyper::Method,
    target: String,
    authority: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    trailers: HeaderMap,
    http2: bool,
}

impl Request {
    /// Returns a request to `address` over HTTP/1.1, without a body. Its host is one that no test has a
    /// route for.
    pub fn new(address: SocketAddr, method: &str, target: impl Into<String>) -> Self {
        Self {
            address,
            method: method.parse().expect("a method"),
            target: target.into(),
            authority: "service.test".to_owned(),
            headers: HeaderMap::new(),
            body: None,
            trailers: HeaderMap::new(),
            http2: false,
        }
    }

    /// Sets the `Host`, or `:authority`.
    #[must_use]
    pub fn host(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// Adds a header. A name that is added twice is sent twice. The value can be any bytes that HTTP
    /// allows, which need not be UTF-8.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.headers, name, value.as_ref());
        self
    }

    /// Sets the body. An empty body is sent with `content-length: 0`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.trailers, name, value.as_ref());
        self
    }

    /// Selects HTTP/2 with prior knowledge, without TLS.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sends the request and returns the whole response.
    ///
    /// # Panics
    /// As [`Self::try_send`] fails.
    pub fn send(self) -> Response {
        let line = format!("{} {}", self.method, self.target);
        self.try_send()
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Sends the request and returns the whole response.
    ///
    /// # Errors
    /// The connection is refused or ends, or the response is not HTTP, or not complete within [`TIMEOUT`].
    pub fn try_send(self) -> Result<Response> {
        block_on(self.exchange())
    }

    /// Sends the request, and returns the response with the time of each piece of its body.
    ///
    /// # Panics
    /// There is no response, or it does not end within [`TIMEOUT`].
    pub fn stream(self) -> StreamedResponse {
        let receive = async {
            let (response, connection) = self.open().await?;
            let streamed = StreamedResponse::collect(response).await;
            connection.abort();
            Ok::<_, anyhow::Error>(streamed)
        };
        let streamed = block_on(async { tokio::time::timeout(TIMEOUT, receive).await });
        let streamed = streamed.unwrap_or_else(|_| panic!("no end within {TIMEOUT:?}"));
        streamed.unwrap_or_else(|error| panic!("{error:#}"))
    }

    async fn exchange(self) -> Result<Response> {
        let exchange = async {
            let (response, connection) = self.open().await?;
            let response = Response::collect(response).await;
            connection.abort();
            response
        };
        let response = tokio::time::timeout(TIMEOUT, exchange).await;
        response.with_context(|| format!("no whole response within {TIMEOUT:?}"))?
    }

    /// Sends the request. Returns the head of the response, and the connection over which the body comes.
    async fn open(self) -> Result<(hyper::Response<Incoming>, AbortHandle)> {
        let stream = TokioIo::new(tokio::net::TcpStream::connect(self.address).await?);
        if self.http2 {
            let executor = TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, stream).await?;
            let connection = tokio::spawn(connection);
            let response = sender.send_request(self.message()).await?;
            Ok((response, connection.abort_handle()))
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
            let connection = tokio::spawn(connection);
            let response = sender.send_request(self.message()).await?;
            Ok((response, connection.abort_handle()))
        }
    }

    fn message(self) -> hyper::Request<BoxBody<Bytes, std::convert::Infallible>> {
        let body = match self.body {
            None if self.trailers.is_empty() => Empty::new().boxed(),
            body => {
                let body = Full::new(body.unwrap_or_default());
                if self.trailers.is_empty() {
                    body.boxed()
                } else {
                    let trailers = self.trailers;
                    body.with_trailers(async { Some(Ok(trailers)) }).boxed()
                }
            }
        };
        let mut request = hyper::Request::new(body);
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        let target = if self.http2 {
            format!("http://{}{}", self.authority, self.target)
        } else {
            let host = HeaderValue::from_str(&self.authority).expect("a host");
            request.headers_mut().insert(HOST, host);
            self.target
        };
        *request.uri_mut() = target
            .parse()
            .expect("a target that hyper sends; use `raw` for others");
        request
    }
}

/// Sends `requests`, at most `concurrency` at a time, and returns the responses in the order in which they
/// came.
pub fn send_all(
    requests: impl IntoIterator<Item = Request>,
    concurrency: usize,
) -> Vec<Result<Response>> {
    block_on(async {
        let mut running = JoinSet::new();
        let mut responses = Vec::new();
        for request in requests {
            if running.len() == concurrency {
                responses.extend(running.join_next().await);
            }
            running.spawn(request.exchange());
        }
        responses.extend(running.join_all().await.into_iter().map(Ok));
        responses.into_iter().map(|response| response?).collect()
    })
}

/// Sends `request` byte by byte as given, and returns all bytes until the server closes the connection,
/// for which the request asks by `connection: close`. It is for requests that no HTTP library sends, and
/// for tests of the bytes on the wire.
///
/// # Panics
/// The connection is refused, or there is no response within [`TIMEOUT`].
pub fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    let sent = stream.write_all(request.as_ref());
    let mut response = Vec::new();
    let received = stream.read_to_end(&mut response);
    // A server that refuses a request early may reset the connection after its response.
    assert!(
        !response.is_empty(),
        "no response (sending: {sent:?}; receiving: {received:?})"
    );
    // Latin-1 shows every byte.
    response.into_iter().map(char::from).collect()
}

/// Returns the status of a GET request with `path` as given. HTTP libraries would change it.
///
/// # Panics
/// The response has no status.
pub fn raw_status(address: SocketAddr, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let response = raw(address, request);
    let status = response.split(' ').nth(1);
    let status = status.and_then(|status| status.parse().ok());
    status.expect("a status")
}

/// Returns a connection to `address` with the read timeout [`TIMEOUT`], for a test that disconnects early.
///
/// # Panics
/// The connection is refused.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the connection is accepted");
    stream
        .set_read_timeout(Some(TIMEOUT))
        .expect("a read timeout");
    stream
}

/// Appends bytes of the connection to `read` until it contains `text`.
///
/// # Panics
/// The server closes the connection before that, or sends nothing for [`TIMEOUT`].
pub fn read_until(stream: &mut TcpStream, read: &mut Vec<u8>, text: &str) {
    while !read.windows(text.len()).any(|part| part == text.as_bytes()) {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).expect("more of the response");
        assert_ne!(length, 0, "ended before {text}");
        read.extend(&piece[..length]);
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers. The values of a name are in their order.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers, if there were any.
    pub trailers: HeaderMap,
}

impl Response {
    /// Returns a response that did not come over HTTP, with the length of its body as `content-length`.
    pub fn new(status: u16, headers: &[(String, String)], body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            append(&mut map, name, value.as_bytes());
        }
        append(
            &mut map,
            "content-length",
            body.len().to_string().as_bytes(),
        );
        Self {
            status,
            headers: map,
            body,
            trailers: HeaderMap::new(),
        }
    }

    async fn collect(response: hyper::Response<Incoming>) -> Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        })
    }

    /// Returns the value of a header.
    ///
    /// # Panics
    /// The header is missing or repeated, or the value is not ASCII.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("one {name} expected, found {values:?} in {self:?}"),
        }
    }

    /// Returns the values of a header, in their order.
    ///
    /// # Panics
    /// A value is not ASCII.
    #[track_caller]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).into_iter();
        values
            .map(|value| value.to_str().expect("an ASCII value"))
            .collect()
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// The body is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// The body is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// A response in the pieces in which it came, which may be incomplete.
#[derive(Debug)]
pub struct StreamedResponse {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The pieces of the body, each with the time at which it came.
    pub pieces: Vec<(Instant, Bytes)>,
    /// The error that ended the body early.
    pub error: Option<hyper::Error>,
}

impl StreamedResponse {
    async fn collect(response: hyper::Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut streamed = Self {
            status: head.status.as_u16(),
            headers: head.headers,
            pieces: Vec::new(),
            error: None,
        };
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                // HTTP/2 may end a body with an empty piece.
                Ok(Ok(data)) if data.is_empty() => {}
                Ok(Ok(data)) => streamed.pieces.push((Instant::now(), data)),
                Ok(Err(_trailers)) => {}
                Err(error) => {
                    streamed.error = Some(error);
                    break;
                }
            }
        }
        streamed
    }

    /// Returns all pieces of the body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let pieces = self.pieces.iter();
        pieces
            .flat_map(|(_, piece)| piece.iter().copied())
            .collect()
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let name =
        HeaderName::from_bytes(name.as_bytes()).expect("a valid header name; use `raw` for others");
    let value = HeaderValue::from_bytes(value).expect("a valid header value; use `raw` for others");
    headers.append(name, value);
}
