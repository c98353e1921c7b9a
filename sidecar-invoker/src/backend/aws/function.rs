//! One function on AWS, and one call of it.

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
use super::credentials::{CredentialCache, Session};
use super::retry::RetryBudget;
use super::route::{Destination, Route, Router};
use super::sign::{Digest, SignedParts};
use super::{credential_errors, error_response, retry};
use crate::backend::concurrency_limit::ConcurrencyLimiter;
use crate::config::AwsCall;
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::metrics::FunctionMetrics;
use crate::util::error_chain;
use lambda_api::{FunctionName, Operation, Qualifier};

/// The caller's headers that belong to the Invoke API. Nothing else of the caller's goes to AWS.
static FORWARDED: [HeaderName; 6] = [
    CONTENT_TYPE,
    header::CLIENT_CONTEXT,
    header::DURABLE_EXECUTION_NAME,
    header::INVOCATION_TYPE,
    header::LOG_TYPE,
    header::TENANT_ID,
];
/// Most headers of a usual request; a map that grows is built again.
const USUAL_HEADERS: usize = 12;
/// A larger payload is hashed where that delays no other caller.
const LARGE: usize = 128 << 10;
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lambda-mesh/", env!("CARGO_PKG_VERSION")));

/// A function on AWS.
pub(crate) struct Function {
    pub(super) name: FunctionName,
    pub(super) call: Arc<AwsCall>,
    pub(super) credentials: Arc<CredentialCache>,
    pub(super) router: Router,
    limiter: ConcurrencyLimiter,
    retry_budget: RetryBudget,
    metrics: Arc<FunctionMetrics>,
    shared: Arc<Shared>,
    /// Whether AWS has denied or not found it since it was last called with success.
    is_refused: AtomicBool,
}

/// What all functions on AWS share.
pub(super) struct Shared {
    pub(super) client: Client,
    /// The limit of invocations over all functions.
    pub(super) limit: Arc<Semaphore>,
    pub(super) clock: fn() -> SystemTime,
}

/// A call as it came.
pub(crate) struct Call {
    /// How the answer comes back.
    pub(crate) operation: Operation,
    /// The qualifier that the caller named.
    pub(crate) qualifier: Option<Qualifier>,
    /// The caller's headers.
    pub(crate) headers: HeaderMap,
    /// The event; may be empty.
    pub(crate) payload: Bytes,
    /// When the request came.
    pub(crate) arrival: Instant,
}

impl Function {
    pub(super) fn new(
        name: FunctionName,
        destination: Destination,
        call: Arc<AwsCall>,
        credentials: Arc<CredentialCache>,
        metrics: Arc<FunctionMetrics>,
        shared: Arc<Shared>,
    ) -> Self {
        let limit = Arc::clone(&shared.limit);
        Self {
            name,
            router: Router::new(destination),
            credentials,
            limiter: ConcurrencyLimiter::new(
                call.max_concurrency,
                Some(limit),
                Some(Arc::clone(&metrics)),
            ),
            retry_budget: RetryBudget::default(),
            metrics,
            call,
            shared,
            is_refused: AtomicBool::new(false),
        }
    }

    /// Calls the function; AWS's answer is passed on as it comes.
    ///
    /// Dropping the future gives the call up.
    pub(crate) async fn invoke(&self, call: Call) -> Result<Response<ResponseBody>, ServiceError> {
        let limit = self
            .call
            .timeout
            .min(envoy_limit(&call.headers).unwrap_or(Duration::MAX));
        let deadline = call.arrival + limit;
        let answer = timeout_at(deadline, self.run(&call, deadline)).await;
        answer.unwrap_or_else(|_| {
            tracing::warn!(function = %self.name, "no answer from AWS within {limit:?}");
            Err(ServiceError::AwsTimeout(limit))
        })
    }

    async fn run(
        &self,
        call: &Call,
        deadline: Instant,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let AwsCall {
            queue,
            queue_timeout,
            retries,
            ..
        } = *self.call;
        let permit = self.limiter.acquire(queue, queue_timeout).await?;
        let session = self.session().await?;
        let qualifier = call.qualifier.as_ref();
        let route = self.router.route(&session, call.operation, qualifier)?;
        let digest = digest(&call.payload).await?;
        let slot = self.shared.client.slot();
        let slot = slot.ok_or(ServiceError::TooManyRequests)?;
        let mut attempts = 0;
        let mut backoff = retry::backoff();
        loop {
            let request = self.request(call, &route, &digest).await?;
            if attempts > 0 {
                self.metrics.retries.inc();
            }
            attempts += 1;
            let mut may_retry = |asked| {
                let pause = retry::pause(backoff.pause(), asked);
                let left = deadline.saturating_duration_since(Instant::now());
                let worth = attempts <= retries && pause < left;
                (worth && self.retry_budget.take()).then_some(pause)
            };
            match slot.send(request).await {
                Ok(response) => {
                    let throttled = retry::throttled(response.status(), response.headers());
                    let Some(pause) = throttled.and_then(&mut may_retry) else {
                        let permits = (slot.into_permit(), permit);
                        return self.respond(response, deadline, permits).await;
                    };
                    tracing::debug!(function = %self.name, "throttled by AWS; next try in {pause:?}");
                    // Read, so that the connection can be used again.
                    let _ = Box::pin(error_response::message(response.into_body())).await;
                    sleep(pause).await;
                }
                Err(error) => {
                    let pause = is_unsent(&error).then(|| may_retry(None)).flatten();
                    let authority = &route.authority;
                    let Some(pause) = pause else {
                        let cause = format!(
                            "{authority} cannot be reached or broke off: {}; see that it can be reached from here, and that its certificate is trusted",
                            error_chain(&error)
                        );
                        tracing::warn!(function = %self.name, "{cause}");
                        return Err(ServiceError::AwsUnavailable(cause));
                    };
                    tracing::debug!(function = %self.name, "{authority} cannot be reached; next try in {pause:?}");
                    sleep(pause).await;
                }
            }
        }
    }

    /// A request that is signed now.
    async fn request(
        &self,
        call: &Call,
        route: &Route,
        digest: &Digest,
    ) -> Result<Request<Full<Bytes>>, ServiceError> {
        let session = self.session().await?;
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        for name in &FORWARDED {
            if let Some(value) = call.headers.get(name) {
                // Other bytes are not signed by everybody alike, and what AWS refuses then would
                // look like the invoker's own fault.
                if !value
                    .as_bytes()
                    .iter()
                    .all(|byte| (b' '..=b'~').contains(byte))
                {
                    let message = format!("the header {name} has other characters than ASCII's");
                    return Err(ServiceError::InvalidParameter(message));
                }
                headers.insert(name, value.clone());
            }
        }
        let signed = SignedParts {
            path: &route.path,
            query: &route.query,
            host: &route.authority,
            payload: digest,
            region: &route.region,
        };
        session
            .identity
            .sign(&mut headers, &signed, (self.shared.clock)());
        // Not signed: what stands between may change it.
        if let Some(trace) = call.headers.get(&header::TRACE_ID) {
            headers.insert(header::TRACE_ID, trace.clone());
        }
        headers.insert(USER_AGENT, AGENT);
        if call.payload.is_empty() {
            // hyper would leave it out.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        let mut request = Request::new(Full::new(call.payload.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = route.uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn session(&self) -> Result<Arc<Session>, ServiceError> {
        let session = self.credentials.session().await;
        session.map_err(|_| ServiceError::NoCredentials)
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
                "the endpoint answers with {status}, which ends no call of Lambda's; see that it is one of Lambda's"
            );
            tracing::warn!(function = %self.name, "{cause}");
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
            && !self.is_refused.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(function = %self.name, "AWS answers {status}, {error}; {cure}");
        }
        let (mut parts, body) = response.into_parts();
        header::remove_hop_by_hop(&mut parts.headers);
        let body = forward_body(body, deadline, permits, &self.name);
        Ok(Response::from_parts(parts, body))
    }
}

async fn digest(payload: &Bytes) -> Result<Digest, ServiceError> {
    if payload.len() < LARGE {
        return Ok(Digest::of(payload));
    }
    let payload = payload.clone();
    let digest = tokio::task::spawn_blocking(move || Digest::of(&payload));
    digest.await.map_err(|_| ServiceError::ShuttingDown)
}

fn envoy_limit(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers
        .get(header::ENVOY_TIMEOUT_MS)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    // Envoy says 0 where it has no limit.
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}
