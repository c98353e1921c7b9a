//! A function on AWS, and its invocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::forward_body;
use super::client::{Client, is_unsent};
use super::credentials::{CredentialCache, LoadedCredentials};
use super::retry::RetryBudget;
use super::target::{Destination, RequestTarget, RequestTargets};
use super::{credential_errors, error_response, retry};
use crate::backend::concurrency_limit::ConcurrencyLimiter;
use crate::config::AwsCall;
use crate::invocation::{Step, Timeline};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::metrics::{FunctionMetrics, FunctionState};
use crate::sigv4::{Digest, SignedParts};
use crate::util::{admit_line, error_chain};
use lambda_api::{FunctionName, Operation, Qualifier};

/// The headers of the Invoke API. AWS gets no other headers of the caller.
static FORWARDED: [HeaderName; 6] = [
    CONTENT_TYPE,
    header::CLIENT_CONTEXT,
    header::DURABLE_EXECUTION_NAME,
    header::INVOCATION_TYPE,
    header::LOG_TYPE,
    header::TENANT_ID,
];
/// The number of headers of a usual request. A map that grows is built anew.
const USUAL_HEADERS: usize = 12;
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lambda-mesh/", env!("CARGO_PKG_VERSION")));

/// A function on AWS.
pub(crate) struct LambdaFunction {
    pub(super) name: FunctionName,
    pub(super) config: Arc<AwsCall>,
    pub(super) credentials: Arc<CredentialCache>,
    pub(super) targets: RequestTargets,
    limiter: ConcurrencyLimiter,
    retry_budget: RetryBudget,
    metrics: Arc<FunctionMetrics>,
    shared: Arc<Shared>,
    /// Set while AWS denies access to the function or does not find it.
    is_refused: AtomicBool,
}

/// The state that all functions on AWS share.
pub(super) struct Shared {
    pub(super) client: Client,
    /// The concurrency limit over all functions.
    pub(super) limit: Arc<Semaphore>,
    pub(super) clock: fn() -> SystemTime,
}

/// A request for a function on AWS, with headers that are not parsed.
pub(crate) struct LambdaRequest {
    /// The operation that the caller asked for.
    pub(crate) operation: Operation,
    /// The qualifier that the caller named.
    pub(crate) qualifier: Option<Qualifier>,
    /// The headers of the caller.
    pub(crate) headers: HeaderMap,
    /// The event, which may be empty.
    pub(crate) payload: Bytes,
    /// The course of the invocation.
    pub(crate) timeline: Arc<Timeline>,
}

impl LambdaFunction {
    /// Creates a function.
    pub(super) fn new(
        name: FunctionName,
        destination: Destination,
        config: Arc<AwsCall>,
        credentials: Arc<CredentialCache>,
        metrics: Arc<FunctionMetrics>,
        shared: Arc<Shared>,
    ) -> Self {
        let limit = Arc::clone(&shared.limit);
        Self {
            name,
            targets: RequestTargets::new(destination),
            credentials,
            limiter: ConcurrencyLimiter::new(config.max_concurrency, Some(limit)),
            retry_budget: RetryBudget::default(),
            metrics,
            config,
            shared,
            is_refused: AtomicBool::new(false),
        }
    }

    /// Returns the state of the function.
    pub(crate) fn state(&self) -> FunctionState {
        FunctionState {
            name: self.name.clone(),
            backend: "aws",
            concurrency: self.config.max_concurrency,
            environments: Vec::new(),
        }
    }

    /// Invokes the function, and forwards the response of AWS. Dropping the future gives up the
    /// invocation.
    ///
    /// # Errors
    /// Returns an error if AWS did not respond, or if it does not accept the invoker's credentials.
    pub(crate) async fn invoke(
        &self,
        request: LambdaRequest,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let envoy_limit = envoy_limit(&request.headers).unwrap_or(Duration::MAX);
        let limit = self.config.timeout.min(envoy_limit);
        request.timeline.reach(Step::Read);
        let deadline = request.timeline.arrival() + limit;
        let response = timeout_at(deadline, self.run(&request, deadline)).await;
        response.unwrap_or_else(|_| {
            if let Some(left_out) = admit_line!() {
                tracing::warn!(function = %self.name, "no response from AWS within {limit:?}{left_out}");
            }
            Err(ServiceError::AwsTimeout(limit))
        })
    }

    async fn run(
        &self,
        request: &LambdaRequest,
        deadline: Instant,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let AwsCall {
            queue,
            queue_timeout,
            retries,
            ..
        } = *self.config;
        let permit = self
            .limiter
            .acquire(queue, queue_timeout, || self.metrics.wait_for_aws())
            .await?;
        let credentials = self.credentials().await?;
        let qualifier = request.qualifier.as_ref();
        let target = self
            .targets
            .target(&credentials, request.operation, qualifier)?;
        let digest = Digest::of_payload(&request.payload).await;
        let digest = digest.ok_or(ServiceError::ShuttingDown)?;
        let slot = self.shared.client.slot();
        let slot = slot.ok_or(ServiceError::TooManyRequests)?;
        request.timeline.reach(Step::Assigned);
        let mut attempts = 0;
        let mut backoff = retry::backoff();
        loop {
            let begun = Instant::now();
            let signed = self.sign(request, &target, &digest).await?;
            request.timeline.add_signing(begun.elapsed());
            match attempts {
                0 => request.timeline.reach(Step::Delivered),
                _ => _ = self.metrics.retries.inc(),
            }
            attempts += 1;
            let mut next_pause = |retry_after| {
                let pause = retry::pause(backoff.pause(), retry_after);
                let left = deadline.saturating_duration_since(Instant::now());
                let is_allowed = attempts <= retries && pause < left;
                (is_allowed && self.retry_budget.take()).then_some(pause)
            };
            match slot.send(signed).await {
                Ok(response) => {
                    let (status, headers) = (response.status(), response.headers());
                    let pause = retry::is_throttled(status, headers)
                        .then(|| next_pause(retry::retry_after(headers)))
                        .flatten();
                    let Some(pause) = pause else {
                        let permits = (slot.into_permit(), permit);
                        request.timeline.reach(Step::Responded);
                        if request.operation == Operation::Invoke {
                            // AWS responds once the function has ended.
                            request.timeline.reach(Step::Completed);
                        }
                        return self.respond(response, deadline, permits).await;
                    };
                    tracing::debug!(function = %self.name, "throttled by AWS; next attempt in {pause:?}");
                    // The connection can be used again once the body has been read.
                    let _ = Box::pin(error_response::message(response.into_body())).await;
                    sleep(pause).await;
                }
                Err(error) => {
                    let pause = is_unsent(&error).then(|| next_pause(None)).flatten();
                    let authority = &target.authority;
                    let Some(pause) = pause else {
                        let cause = format!(
                            "{authority} cannot be reached or broke off: {}; check that it can be reached from here, and that its certificate is trusted",
                            error_chain(&error)
                        );
                        if let Some(left_out) = admit_line!() {
                            tracing::warn!(function = %self.name, "{cause}{left_out}");
                        }
                        return Err(ServiceError::AwsUnavailable(cause));
                    };
                    tracing::debug!(function = %self.name, "{authority} cannot be reached; next attempt in {pause:?}");
                    sleep(pause).await;
                }
            }
        }
    }

    /// Returns the HTTP request for AWS, signed with the current time.
    async fn sign(
        &self,
        request: &LambdaRequest,
        target: &RequestTarget,
        digest: &Digest,
    ) -> Result<Request<Full<Bytes>>, ServiceError> {
        let credentials = self.credentials().await?;
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        for name in &FORWARDED {
            if let Some(value) = request.headers.get(name) {
                // Signers treat other bytes in different ways. If AWS refused the signature, the
                // invoker's credentials would seem to be the cause.
                let bytes = value.as_bytes();
                if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                    let message = format!("the header {name} has characters outside ASCII");
                    return Err(ServiceError::InvalidParameter(message));
                }
                headers.insert(name, value.clone());
            }
        }
        let parts = SignedParts {
            path: &target.path,
            query: &target.query,
            host: &target.authority,
            payload: digest,
            region: &target.region,
        };
        let now = (self.shared.clock)();
        credentials.identity.sign(&mut headers, &parts, now);
        // Not signed, because proxies on the way may change the header.
        if let Some(trace) = request.headers.get(&header::TRACE_ID) {
            headers.insert(header::TRACE_ID, trace.clone());
        }
        headers.insert(USER_AGENT, AGENT);
        if request.payload.is_empty() {
            // hyper would leave the header out.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        let mut signed = Request::new(Full::new(request.payload.clone()));
        *signed.method_mut() = Method::POST;
        *signed.uri_mut() = target.uri.clone();
        *signed.headers_mut() = headers;
        Ok(signed)
    }

    async fn credentials(&self) -> Result<Arc<LoadedCredentials>, ServiceError> {
        let credentials = self.credentials.current().await;
        credentials.map_err(|_| ServiceError::NoCredentials)
    }

    async fn respond<T: Send + Unpin + 'static>(
        &self,
        response: Response<Incoming>,
        deadline: Instant,
        permits: T,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let status = response.status();
        if status.is_informational() {
            let cause = format!(
                "the endpoint responds with {status}, which Lambda never does; check that it is an endpoint of Lambda"
            );
            if let Some(left_out) = admit_line!() {
                tracing::warn!(function = %self.name, "{cause}{left_out}");
            }
            return Err(ServiceError::AwsUnavailable(cause));
        }
        let error =
            error_response::error_type(response.headers()).filter(|_| status.is_client_error());
        if let Some(name) = error.and_then(credential_errors::name) {
            let message = Box::pin(error_response::message(response.into_body())).await;
            let message = message.unwrap_or_default();
            let cause = credential_errors::explain(name, &message);
            self.credentials.refused(&cause);
            return Err(ServiceError::CredentialsRefused { name, cause });
        }
        if !status.is_server_error() {
            self.credentials.accepted();
        }
        if status.is_success() {
            self.retry_budget.refill();
            if self.is_refused.load(Ordering::Relaxed) {
                self.is_refused.store(false, Ordering::Relaxed);
            }
        } else if let Some(error) = error
            && let Some(cure) = error_response::cure(error)
            && !self.is_refused.load(Ordering::Relaxed)
            && let Some(left_out) = admit_line!()
        {
            self.is_refused.store(true, Ordering::Relaxed);
            tracing::warn!(function = %self.name, "AWS responds with {status}, {error}; {cure}{left_out}");
        }
        let (mut parts, body) = response.into_parts();
        header::remove_hop_by_hop(&mut parts.headers);
        let body = forward_body(body, deadline, permits, &self.name);
        Ok(Response::from_parts(parts, body))
    }
}

fn envoy_limit(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers
        .get(header::ENVOY_TIMEOUT_MS)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    // 0 means that Envoy has no limit.
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}
