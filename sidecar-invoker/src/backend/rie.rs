//! Functions inside Runtime Interface Emulators.
//!
//! An emulator crashes when two invocations overlap, and it goes on with an invocation whose caller
//! has hung up (both seen with the emulator of AWS SAM 1.170.0). So each emulator has one *permit*;
//! who holds it reads the emulator's response to its end, even if nobody waits for it any more. A
//! permit is given back early only when the connection ends, which means that the emulator is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, client};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::concurrency_limit::ConcurrencyLimiter;
use crate::config::{HostPort, RieConfig};
use crate::invocation::Invocation;
use crate::invoke_api::body::{self, ReadError, ResponseBody};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::util::Backoff;
use lambda_api::{FunctionName, Operation};

/// The only name by which the emulator knows its function.
const FUNCTION: &str = "function";
/// How long after a caller's arrival a refused connection is tried again: an emulator that starts
/// together with the invoker takes about a second.
const START_GRACE: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The emulators by address, so that functions that name the same one share its permit.
#[derive(Default)]
pub(crate) struct Emulators(HashMap<HostPort, Arc<Emulator>>);

impl Emulators {
    /// The backend of one function.
    pub(crate) fn function(&mut self, name: FunctionName, config: &RieConfig, queue: usize) -> Rie {
        // `localhost` and its address are one emulator. Other names cannot be told apart here:
        // they may not resolve before their container runs.
        let mut key = config.address.clone();
        if key.host == "localhost" {
            key.host = "127.0.0.1".to_owned();
        }
        let emulator = self.0.entry(key).or_insert_with(|| {
            Arc::new(Emulator {
                address: config.address.clone(),
                path: Operation::Invoke.path(FUNCTION),
                limiter: ConcurrencyLimiter::new(Some(1), None, None),
            })
        });
        Rie {
            name,
            emulator: Arc::clone(emulator),
            queue,
            timeout: config.timeout,
        }
    }
}

/// A function in an emulator.
pub(crate) struct Rie {
    name: FunctionName,
    emulator: Arc<Emulator>,
    queue: usize,
    timeout: Duration,
}

impl Rie {
    /// Calls the function when it is this caller's turn.
    ///
    /// Dropping the future gives up the place in the queue; an invocation that has begun runs on.
    pub(crate) async fn invoke(
        &self,
        invocation: Invocation,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let arrival = Instant::now();
        let call = async {
            let limiter = &self.emulator.limiter;
            let permit = limiter.acquire(self.queue, Duration::MAX).await?;
            let emulator = Arc::clone(&self.emulator);
            let name = self.name.clone();
            let call = tokio::spawn(async move {
                let answer = emulator.call(&name, invocation, arrival).await;
                drop(permit);
                answer
            });
            call.await.map_err(|_| ServiceError::EmulatorUnavailable)?
        };
        timeout(self.timeout, call).await.unwrap_or_else(|_| {
            tracing::warn!(function = %self.name, emulator = %self.emulator.address, "no answer within the time limit");
            Err(ServiceError::EmulatorTimeout(self.timeout))
        })
    }
}

struct Emulator {
    address: HostPort,
    path: String,
    limiter: ConcurrencyLimiter,
}

impl Emulator {
    async fn call(
        &self,
        name: &FunctionName,
        invocation: Invocation,
        arrival: Instant,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let unavailable = |error: &dyn std::error::Error, what: &str| {
            tracing::warn!(
                function = %name,
                "emulator {} {what}: {error}; see that its container runs and that `functions.{name}.rie` names it",
                self.address
            );
            ServiceError::EmulatorUnavailable
        };
        let stream = self
            .connect(arrival)
            .await
            .map_err(|error| unavailable(&error, "cannot be reached"))?;
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unavailable(&error, "broke off"))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(self.request(invocation)).await;
        let answer = match response {
            Ok(response) => self.read(name, response).await,
            Err(error) => Err(unavailable(&error, "broke off")),
        };
        connection.abort();
        answer
    }

    async fn connect(&self, arrival: Instant) -> std::io::Result<TcpStream> {
        let address = (self.address.host.as_str(), self.address.port);
        let mut backoff = Backoff::new(Duration::from_millis(25), START_GRACE);
        loop {
            let attempt = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
            match attempt.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    // A container that is killed may never close its connections; without probes
                    // its permit would never come back.
                    let keepalive = TcpKeepalive::new()
                        .with_time(Duration::from_secs(10))
                        .with_interval(Duration::from_secs(5))
                        .with_retries(3);
                    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                    return Ok(stream);
                }
                Err(error) => {
                    let pause = backoff.pause();
                    if arrival.elapsed() + pause > START_GRACE {
                        return Err(error);
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    fn request(&self, invocation: Invocation) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(invocation.payload));
        *request.method_mut() = hyper::Method::POST;
        if let Ok(uri) = self.path.parse() {
            *request.uri_mut() = uri;
        }
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::try_from(self.address.to_string()) {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::TRACE_ID, invocation.trace_id);
        let context = invocation
            .client_context
            .map(|json| BASE64_STANDARD.encode(json));
        if let Some(Ok(context)) = context.map(HeaderValue::try_from) {
            headers.insert(header::CLIENT_CONTEXT, context);
        }
        if let Some(tenant) = invocation.tenant_id {
            headers.insert(header::TENANT_ID, tenant);
        }
        request
    }

    async fn read(
        &self,
        name: &FunctionName,
        response: Response<Incoming>,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let (mut parts, mut body) = response.into_parts();
        let payload = match body::read(&mut body).await {
            Ok((payload, _)) => payload,
            Err(ReadError::TooLarge) => {
                body::drain(&mut body).await;
                return Err(ServiceError::EmulatorAnswerTooLarge);
            }
            Err(ReadError::BrokenOff(error)) => {
                tracing::warn!(function = %name, "emulator {} broke off its answer: {error}", self.address);
                return Err(ServiceError::EmulatorUnavailable);
            }
        };
        header::remove_hop_by_hop(&mut parts.headers);
        parts.headers.remove(CONTENT_LENGTH);
        Ok(Response::from_parts(parts, body::whole(payload)))
    }
}
