//! Functions inside Runtime Interface Emulators.
//!
//! An emulator crashes when two invocations overlap, and it continues an invocation whose caller has left
//! (both seen with the emulator of AWS SAM 1.170.0). Each emulator therefore has one permit. The
//! invocation that holds the permit reads the emulator's response to its end, even if its caller has
//! left. Only the end of the connection returns the permit earlier, because the emulator is gone then.
//!
//! Each invocation has a connection of its own, by hyper's low-level client. A pool would hide the end
//! of a connection, on which the permit depends.

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
use crate::invocation::{Invocation, Step};
use crate::invoke_api::body::{self, ReadError, ResponseBody};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::metrics::{EnvironmentPhase, EnvironmentState, FunctionMetrics, FunctionState};
use crate::util::{Backoff, admit_line};
use lambda_api::{FunctionName, Operation, Qualifier};

/// The only name that an emulator has for its function.
const FUNCTION: &str = "function";
/// The time from the arrival of an invocation in which failed connections are tried again. An emulator
/// that starts together with the invoker needs about a second.
const START_GRACE: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The emulators by address. Functions with the same address share the permit of one emulator.
#[derive(Default)]
pub(crate) struct Emulators(HashMap<HostPort, Arc<Emulator>>);

impl Emulators {
    /// Returns a function in the emulator that `config` names.
    pub(crate) fn function(
        &mut self,
        name: FunctionName,
        config: &RieConfig,
        queue: usize,
        metrics: Arc<FunctionMetrics>,
    ) -> EmulatedFunction {
        // `localhost` and its address are one emulator. Other names cannot be compared by address,
        // because they may not resolve before their container runs.
        let mut key = config.address.clone();
        if key.host == "localhost" {
            key.host = "127.0.0.1".to_owned();
        }
        let emulator = self.0.entry(key).or_insert_with(|| {
            Arc::new(Emulator {
                address: config.address.clone(),
                path: Operation::Invoke.path(FUNCTION),
                limiter: ConcurrencyLimiter::new(Some(1), None),
                created: Instant::now(),
            })
        });
        EmulatedFunction {
            name,
            emulator: Arc::clone(emulator),
            queue,
            metrics,
            timeout: config.timeout,
        }
    }
}

/// A function in an emulator.
pub(crate) struct EmulatedFunction {
    name: FunctionName,
    emulator: Arc<Emulator>,
    queue: usize,
    metrics: Arc<FunctionMetrics>,
    timeout: Duration,
}

impl EmulatedFunction {
    /// Returns the state of the function. An emulator is one environment.
    pub(crate) fn state(&self) -> FunctionState {
        let phase = match self.emulator.limiter.is_used_up() {
            true => EnvironmentPhase::Busy,
            false => EnvironmentPhase::Idle,
        };
        FunctionState {
            name: self.name.clone(),
            backend: "rie",
            concurrency: Some(1),
            environments: vec![EnvironmentState {
                id: self.emulator.address.to_string(),
                version: Qualifier::latest().to_string(),
                phase,
                memory_mib: None,
                age: self.emulator.created.elapsed(),
            }],
        }
    }

    /// Waits for the emulator's permit, and invokes the function.
    ///
    /// Dropping the future leaves the queue. An invocation that has begun continues.
    ///
    /// # Errors
    /// Returns an error if the queue is full, or if the emulator fails or does not respond in time.
    pub(crate) async fn invoke(
        &self,
        invocation: Invocation,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let arrival = Instant::now();
        let invoked = async {
            let limiter = &self.emulator.limiter;
            let permit = limiter
                .acquire(self.queue, Duration::MAX, || self.metrics.wait())
                .await?;
            invocation.timeline.reach(Step::Assigned);
            let emulator = Arc::clone(&self.emulator);
            let name = self.name.clone();
            let task = tokio::spawn(async move {
                let response = emulator.invoke(&name, invocation, arrival).await;
                drop(permit);
                response
            });
            task.await.map_err(|_| ServiceError::EmulatorUnavailable)?
        };
        timeout(self.timeout, invoked).await.unwrap_or_else(|_| {
            if let Some(left_out) = admit_line!() {
                tracing::warn!(function = %self.name, emulator = %self.emulator.address, "no response within the time limit{left_out}");
            }
            Err(ServiceError::EmulatorTimeout(self.timeout))
        })
    }
}

struct Emulator {
    address: HostPort,
    path: String,
    limiter: ConcurrencyLimiter,
    created: Instant,
}

impl Emulator {
    async fn invoke(
        &self,
        name: &FunctionName,
        invocation: Invocation,
        arrival: Instant,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let unavailable = |error: &dyn std::error::Error, what: &str| {
            if let Some(left_out) = admit_line!() {
                tracing::warn!(
                    function = %name,
                    "emulator {} {what}: {error}; see that its container runs and that `functions.{name}.rie` names it{left_out}",
                    self.address
                );
            }
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
        let timeline = Arc::clone(&invocation.timeline);
        timeline.reach(Step::Delivered);
        let response = sender.send_request(self.request(invocation)).await;
        let response = match response {
            Ok(response) => self.read(name, response).await,
            Err(error) => Err(unavailable(&error, "broke off")),
        };
        if response.is_ok() {
            timeline.reach(Step::Responded);
            timeline.reach(Step::Completed);
        }
        connection.abort();
        response
    }

    async fn connect(&self, arrival: Instant) -> std::io::Result<TcpStream> {
        let address = (self.address.host.as_str(), self.address.port);
        let mut backoff = Backoff::new(Duration::from_millis(25), START_GRACE);
        loop {
            let attempt = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
            match attempt.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    // A killed container may never close its connections. Without probes, the permit
                    // would never be returned.
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
                return Err(ServiceError::EmulatorResponseTooLarge);
            }
            Err(ReadError::BrokenOff(error)) => {
                if let Some(left_out) = admit_line!() {
                    tracing::warn!(function = %name, "emulator {} broke off its response: {error}{left_out}", self.address);
                }
                return Err(ServiceError::EmulatorUnavailable);
            }
        };
        header::remove_hop_by_hop(&mut parts.headers);
        parts.headers.remove(CONTENT_LENGTH);
        Ok(Response::from_parts(parts, body::whole(payload)))
    }
}
