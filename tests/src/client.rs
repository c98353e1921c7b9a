//! A client that sends what a test says and shows all of what came back. Each request has a
//! connection of its own.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use crate::{PATIENCE, block_on};

/// A request in the making; [`Request::send`] sends it.
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
    /// `method target` for `address`, over HTTP/1.1, without a body, under a host that no test
    /// routes by.
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

    /// The `Host`, or `:authority`.
    #[must_use]
    pub fn host(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// One more header. A name given twice is sent twice. The value may be any bytes that
    /// HTTP allows, which need not be UTF-8.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.headers, name, value.as_ref());
        self
    }

    /// The body. An empty one is a body too: it is announced with `content-length: 0`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// One more trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        append(&mut self.trailers, name, value.as_ref());
        self
    }

    /// Over HTTP/2 with prior knowledge, without TLS.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn send(self) -> Answer {
        let line = format!("{} {}", self.method, self.target);
        self.try_send()
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Errors
    /// The connection was refused or ended, or the answer is not HTTP or not whole.
    pub fn try_send(self) -> Result<Answer, String> {
        block_on(self.exchange())
    }

    /// Sends it, and notes when each piece of the answer comes and how it ends.
    ///
    /// # Panics
    /// There is no answer.
    pub fn receive(self) -> Received {
        let receive = async {
            let (answer, connection) = self.open().await?;
            let received = Received::collect(answer).await;
            connection.abort();
            Ok::<_, String>(received)
        };
        let received = block_on(async { tokio::time::timeout(PATIENCE, receive).await });
        let received = received.unwrap_or_else(|_| panic!("it does not end within {PATIENCE:?}"));
        received.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn exchange(self) -> Result<Answer, String> {
        let exchange = async {
            let (answer, connection) = self.open().await?;
            let answer = Answer::collect(answer).await;
            connection.abort();
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or_else(|_| Err(format!("no whole answer within {PATIENCE:?}")))
    }

    /// Sends it: the answer's head, and the connection that its body comes over.
    async fn open(self) -> Result<(hyper::Response<Incoming>, AbortHandle), String> {
        let stream = tokio::net::TcpStream::connect(self.address).await;
        let stream = TokioIo::new(stream.map_err(text)?);
        if self.http2 {
            let executor = TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
                .await
                .map_err(text)?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(self.message()).await.map_err(text)?;
            Ok((answer, connection.abort_handle()))
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
                .await
                .map_err(text)?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(self.message()).await.map_err(text)?;
            Ok((answer, connection.abort_handle()))
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
            .expect("a target that hyper sends; for others there is `raw`");
        request
    }
}

/// Sends all of `requests`, at most `concurrency` at a time, and gives the answers in the order
/// in which they came.
pub fn send_all(
    requests: impl IntoIterator<Item = Request>,
    concurrency: usize,
) -> Vec<Result<Answer, String>> {
    block_on(async {
        let mut running = JoinSet::new();
        let mut answers = Vec::new();
        for request in requests {
            if running.len() == concurrency {
                answers.extend(running.join_next().await);
            }
            running.spawn(request.exchange());
        }
        answers.extend(running.join_all().await.into_iter().map(Ok));
        let answers = answers.into_iter();
        answers.map(|answer| answer.map_err(text)?).collect()
    })
}

/// Sends `request` as it stands and gives what comes back until the other side closes, which
/// a `connection: close` in the request makes it do. For what no HTTP library sends, and to
/// see what is really on the wire.
///
/// # Panics
/// The connection was refused, or stays open without a byte for [`PATIENCE`].
pub fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    let sent = stream.write_all(request.as_ref());
    let mut answer = Vec::new();
    let received = stream.read_to_end(&mut answer);
    // A server that refuses a request early may reset the connection after its answer.
    assert!(
        !answer.is_empty(),
        "no answer (sending: {sent:?}; receiving: {received:?})"
    );
    // As Latin-1, so that no byte is lost from sight.
    answer.into_iter().map(char::from).collect()
}

/// A connection to `address` that gives up after [`PATIENCE`], for a test that leaves in the
/// middle of something.
///
/// # Panics
/// The connection was refused.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the connection is accepted");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time limit");
    stream
}

/// Reads on, adding to `read`, until `text` has come.
///
/// # Panics
/// The other side closes before, or sends nothing for [`PATIENCE`].
pub fn read_until(stream: &mut TcpStream, read: &mut Vec<u8>, text: &str) {
    while !read.windows(text.len()).any(|part| part == text.as_bytes()) {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).expect("the answer goes on");
        assert_ne!(length, 0, "ended before {text}");
        read.extend(&piece[..length]);
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers; values of one name in their order.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers, if there were any.
    pub trailers: HeaderMap,
}

impl Answer {
    /// An answer that did not come over HTTP. Its length is that of its body.
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

    async fn collect(answer: hyper::Response<Incoming>) -> Result<Self, String> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(text)?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        })
    }

    /// The value of a header that must be there once.
    ///
    /// # Panics
    /// It is not there, is there more than once, or is not ASCII.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("one {name} expected, found {values:?} in {self:?}"),
        }
    }

    /// The values of a header, in their order.
    ///
    /// # Panics
    /// One is not ASCII.
    #[track_caller]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).into_iter();
        values
            .map(|value| value.to_str().expect("an ASCII value"))
            .collect()
    }

    /// The body as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// An answer as it came, whole or not.
#[derive(Clone, Debug)]
pub struct Received {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The pieces of the body, with the time at which each came.
    pub pieces: Vec<(Instant, Bytes)>,
    /// Why the body did not come to its end, if it did not.
    pub broken: Option<String>,
}

impl Received {
    async fn collect(answer: hyper::Response<Incoming>) -> Self {
        let (head, mut body) = answer.into_parts();
        let mut received = Self {
            status: head.status.as_u16(),
            headers: head.headers,
            pieces: Vec::new(),
            broken: None,
        };
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                // HTTP/2 may end a body with an empty piece.
                Ok(Ok(data)) if data.is_empty() => {}
                Ok(Ok(data)) => received.pieces.push((Instant::now(), data)),
                Ok(Err(_trailers)) => {}
                Err(error) => {
                    received.broken = Some(text(error));
                    break;
                }
            }
        }
        received
    }

    /// All of the body that came.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let pieces = self.pieces.iter();
        pieces
            .flat_map(|(_, piece)| piece.iter().copied())
            .collect()
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name; else use `raw`");
    let value = HeaderValue::from_bytes(value).expect("a header value; else use `raw`");
    headers.append(name, value);
}

fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
