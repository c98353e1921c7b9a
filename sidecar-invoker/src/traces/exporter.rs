//! The export of spans over OTLP/HTTP.
//!
//! An invocation only puts its span into a queue. If the queue is full, because the collector is slow or down, the
//! span is dropped and counted.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::encode;
use super::span::EndedSpan;
use crate::metrics::SpanCounts;
use crate::net::proxy::ProxyConnector;
use crate::net::tls;
use crate::util::{Backoff, error_chain};

/// The most invocations whose spans wait. The defaults of OpenTelemetry's batch processor, but for the delay: a
/// developer who waits for a trace should not wait long.
const MAX_QUEUED: usize = 2_048;
/// The most invocations in one request.
const MAX_BATCH: usize = 512;
/// The longest that a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// The number of times that a request is sent.
const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a collector can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The time in which the last spans are sent when the invoker ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// At most one warning is logged in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// The largest response of a collector that is read.
const MAX_RESPONSE_BYTES: usize = 64 << 10;
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lambda-mesh/", env!("CARGO_PKG_VERSION")));

/// A task that sends spans to a collector.
pub(crate) struct Exporter {
    queue: Queue,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

/// The queue of spans.
#[derive(Clone)]
pub(super) struct Queue {
    spans: mpsc::Sender<EndedSpan>,
    counts: SpanCounts,
}

impl Queue {
    /// Adds a span, or counts it as dropped.
    pub(super) fn push(&self, span: EndedSpan) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped.inc();
        }
    }
}

impl Exporter {
    /// Starts the task.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub(crate) fn start(settings: Settings, counts: SpanCounts) -> Result<Self, rustls::Error> {
        let (sender, spans) = mpsc::channel(MAX_QUEUED);
        let ending = CancellationToken::new();
        let export = Export {
            http: client(&settings)?,
            settings,
            counts: counts.clone(),
            ending: ending.clone(),
            warned: None,
            is_failing: false,
        };
        let queue = Queue {
            spans: sender,
            counts,
        };
        Ok(Self {
            queue,
            ending,
            task: tokio::spawn(export.run(spans)),
        })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Sends the spans in the queue, and ends the task.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        let abort = self.task.abort_handle();
        if timeout(FLUSH_TIMEOUT, self.task).await.is_err() {
            abort.abort();
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

type Http = Client<HttpsConnector<ProxyConnector>, Full<Bytes>>;

fn client(settings: &Settings) -> Result<Http, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.timeout));
    // Reading the certificates of the system takes time.
    let tls = match settings.endpoint.is_encrypted() {
        true => tls::trusting_system()?,
        false => tls::trusting_nobody()?,
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(ProxyConnector::new(tcp));
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector))
}

struct Export {
    settings: Settings,
    http: Http,
    counts: SpanCounts,
    ending: CancellationToken,
    /// The time of the last warning.
    warned: Option<Instant>,
    is_failing: bool,
}

/// The reason why a collector did not take spans.
enum Refusal {
    /// The collector may take them after a pause, which it may name.
    ForNow(String, Option<Duration>),
    /// The collector does not take these spans, or this many of them.
    ForGood(String, Option<u64>),
}

impl Export {
    async fn run(mut self, mut spans: mpsc::Receiver<EndedSpan>) {
        let mut batch = Vec::new();
        while self.gather(&mut spans, &mut batch).await {
            self.export(&batch).await;
            batch.clear();
        }
    }

    /// Waits for a batch. Returns `false` at the end.
    async fn gather(
        &self,
        spans: &mut mpsc::Receiver<EndedSpan>,
        batch: &mut Vec<EndedSpan>,
    ) -> bool {
        let ending = &self.ending;
        let first = ending
            .run_until_cancelled(spans.recv_many(batch, MAX_BATCH))
            .await;
        if first == Some(0) {
            return false;
        }
        let full = Instant::now() + BATCH_DELAY;
        while batch.len() < MAX_BATCH && !ending.is_cancelled() {
            let room = MAX_BATCH.saturating_sub(batch.len());
            tokio::select! {
                count = spans.recv_many(batch, room) => if count == 0 { break },
                () = sleep_until(full) => break,
                () = ending.cancelled() => break,
            }
        }
        if ending.is_cancelled() {
            // What is in the queue now is all that there will be.
            spans.close();
            let room = MAX_BATCH.saturating_sub(batch.len());
            if room > 0 {
                spans.recv_many(batch, room).await;
            }
        }
        !batch.is_empty()
    }

    /// Sends the spans of these invocations, again if the collector is away for a moment.
    async fn export(&mut self, batch: &[EndedSpan]) {
        let request = encode::request(&self.settings.resource, batch);
        let body = Bytes::from(request.encode_to_vec());
        let count = batch.len() as u64;
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        let mut attempts = 0;
        let lost = loop {
            attempts += 1;
            match self.send(body.clone()).await {
                Ok(()) => break 0,
                Err(Refusal::ForNow(cause, asked)) => {
                    self.warn(&cause);
                    let pause = asked.unwrap_or_else(|| backoff.pause()).min(MAX_PAUSE);
                    let ending = &self.ending;
                    if attempts >= MAX_ATTEMPTS
                        || ending.is_cancelled()
                        || ending.run_until_cancelled(sleep(pause)).await.is_none()
                    {
                        break count;
                    }
                }
                Err(Refusal::ForGood(cause, spans)) => {
                    self.warn(&cause);
                    break spans.unwrap_or(count).min(count);
                }
            }
        };
        self.counts.dropped.inc_by(lost);
        self.counts.exported.inc_by(count - lost);
        if lost == 0 && self.is_failing {
            self.is_failing = false;
            tracing::info!("the collector of traces takes spans again");
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), Refusal> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.endpoint.0.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.settings.headers.clone());
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        let deadline = Instant::now() + self.settings.timeout;
        let late = || {
            Refusal::ForNow(
                format!("no response within {:?}", self.settings.timeout),
                None,
            )
        };
        let response = timeout_at(deadline, self.http.request(request)).await;
        let response = response.map_err(|_| late())?;
        let response = response.map_err(|error| Refusal::ForNow(error_chain(&error), None))?;
        let status = response.status();
        let asked = retry_after(response.headers());
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect();
        let body = timeout_at(deadline, body).await.map_err(|_| late())?;
        match status {
            // The spans have been taken, even if what is said of them is lost.
            status if status.is_success() => {
                let body = body.map(Collected::to_bytes).unwrap_or_default();
                rejected(&body)
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(Refusal::ForNow(format!("it responds with {status}"), asked))
            }
            status => Err(Refusal::ForGood(format!("it responds with {status}"), None)),
        }
    }

    /// Logs why spans were not taken, at most once in a minute.
    fn warn(&mut self, cause: &str) {
        self.is_failing = true;
        let now = Instant::now();
        if self
            .warned
            .is_none_or(|warned| now.duration_since(warned) >= WARNING_INTERVAL)
        {
            self.warned = Some(now);
            tracing::warn!(
                "the collector of traces at {} does not take spans: {cause}; check that a collector listens there for \
                 OTLP/HTTP; lambda_mesh_spans_dropped_total counts what is lost",
                self.settings.endpoint.0
            );
        }
    }
}

/// Reads the pause that a collector asks for.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    seconds.ok().map(Duration::from_secs)
}

/// Returns an error if a collector has taken a part of the spans.
fn rejected(body: &[u8]) -> Result<(), Refusal> {
    let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    match response.partial_success {
        Some(partial) if partial.rejected_spans > 0 => Err(Refusal::ForGood(
            format!(
                "it rejects {} spans: {}",
                partial.rejected_spans, partial.error_message
            ),
            u64::try_from(partial.rejected_spans).ok(),
        )),
        _ => Ok(()),
    }
}
