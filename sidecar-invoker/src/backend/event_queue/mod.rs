//! Asynchronous invocations, of the type `Event`: queued at once, run in order, and tried again if the
//! function fails.
//!
//! Source: "How Lambda handles errors and retries with asynchronous invocation" in the AWS Lambda
//! developer guide.

mod record;
mod writer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Collected};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::local::LocalFunction;
use crate::backend::rie::EmulatedFunction;
use crate::config::EventConfig;
use crate::invocation::{FunctionPayload, FunctionResponse, Invocation};
use crate::invoke_api::error::ServiceError;
use crate::metrics::FunctionMetrics;
use crate::observation::Observer;
use crate::util::Backoff;
use lambda_api::FunctionName;
use lambda_api::function_error::{self, Members};
use lambda_api::limits::MAX_ASYNC_EVENT_BYTES;
use record::{Condition, Record};
use serde_json::{Map, Value};
use writer::{QueuedRecord, RecordWriter};

/// The first and the longest pause after the backend did not run the function, which does not count as
/// an attempt. AWS has the same pauses.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// The maximum size of the events in the queue of one function.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// The maximum size of the events in the queues of all functions.
const MAX_QUEUED_BYTES_OF_ALL: usize = 256 << 20;
/// The largest response of a failed attempt that is kept until the next attempt. A larger one is cut.
const MAX_KEPT_RESPONSE_BYTES: usize = 16 << 10;

/// The state that the event queues of all functions share.
#[derive(Clone)]
pub(crate) struct EventQueues {
    /// Returns the time, for records.
    pub(crate) clock: fn() -> SystemTime,
    /// The region in ARNs.
    pub(crate) region: String,
    observer: Arc<Observer>,
    /// Cancelled at the shutdown: queues accept no events, and events do not wait for another attempt.
    draining: CancellationToken,
    /// Cancelled to give up all events.
    stop: CancellationToken,
    tasks: TaskTracker,
    writer: RecordWriter,
    /// The permits of the bytes in all queues.
    bytes: Arc<Semaphore>,
}

impl EventQueues {
    /// Creates the state, and starts the thread that writes records.
    pub(crate) fn new(clock: fn() -> SystemTime, region: String, observer: Arc<Observer>) -> Self {
        Self {
            clock,
            region,
            observer,
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            writer: RecordWriter::start(),
            bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES_OF_ALL)),
        }
    }

    /// Waits until the queued events have run. Events that wait for their next attempt are given up.
    pub(crate) async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Gives up the remaining events.
    pub(crate) async fn give_up(&self) {
        self.stop.cancel();
        self.drain().await;
    }

    /// Waits a short time for the records of the events that were given up.
    pub(crate) async fn written(&self) {
        self.writer.finish().await;
    }
}

/// The backend that runs the events of a queue.
pub(crate) enum Runner {
    Rie(Arc<EmulatedFunction>),
    Local(Arc<LocalFunction>),
}

impl Runner {
    /// Invokes the function once.
    async fn attempt(&self, invocation: Invocation) -> Result<FunctionPayload, ServiceError> {
        match self {
            Self::Local(function) => match function.invoke(invocation).await? {
                FunctionResponse::Buffered { payload, .. } => Ok(payload),
                FunctionResponse::Streamed(_) => Err(ServiceError::ShuttingDown),
            },
            Self::Rie(function) => {
                let response = function.invoke(invocation).await?;
                let succeeded = response.status().is_success();
                let body = response.into_body().collect().await;
                let payload = body.map(Collected::to_bytes).unwrap_or_default();
                Ok(match succeeded && !is_emulated_error(&payload) {
                    true => FunctionPayload::Success(payload),
                    false => FunctionPayload::Error(payload),
                })
            }
        }
    }
}

/// Returns whether the payload of an emulator is a function error or a timeout. Emulators do not mark
/// these, so the form of the payload decides.
fn is_emulated_error(payload: &[u8]) -> bool {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(payload) else {
        return function_error::is_timeout(payload);
    };
    let mut members = Members::default();
    object.keys().for_each(|name| members.add(name));
    members.is_error()
}

/// The queue of events for one function.
pub(crate) struct EventQueue {
    name: FunctionName,
    config: EventConfig,
    runner: Runner,
    metrics: Arc<FunctionMetrics>,
    /// The permits of the events in the queue.
    slots: Arc<Semaphore>,
    /// The permits of the bytes of these events.
    bytes: Arc<Semaphore>,
    /// The permits of the events that run. Events wait for a permit in order.
    running: Semaphore,
    events: EventQueues,
}

impl EventQueue {
    /// Creates an empty queue, of which at most `concurrency` events run at the same time.
    pub(crate) fn new(
        name: FunctionName,
        config: EventConfig,
        runner: Runner,
        concurrency: usize,
        (metrics, events): (Arc<FunctionMetrics>, EventQueues),
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            slots: Arc::new(Semaphore::new(config.queue)),
            bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
            config,
            runner,
            metrics,
            running: Semaphore::new(concurrency),
            events,
        })
    }

    /// Queues an event.
    ///
    /// # Errors
    /// Returns an error if the event is too large, the queue is full, or the invoker is shutting down.
    pub(crate) fn accept(self: &Arc<Self>, invocation: Invocation) -> Result<(), ServiceError> {
        if invocation.payload.len() > MAX_ASYNC_EVENT_BYTES {
            return Err(ServiceError::EventTooLarge {
                bytes: invocation.payload.len(),
                limit: MAX_ASYNC_EVENT_BYTES,
            });
        }
        if self.events.draining.is_cancelled() {
            return Err(ServiceError::ShuttingDown);
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| ServiceError::TooManyRequests)?;
        let bytes = u32::try_from(invocation.payload.len()).unwrap_or(u32::MAX);
        let room = |bytes_left: &Arc<Semaphore>| {
            let permit = Arc::clone(bytes_left).try_acquire_many_owned(bytes);
            permit.map_err(|_| ServiceError::TooManyRequests)
        };
        let place = [slot, room(&self.bytes)?, room(&self.events.bytes)?];
        let queue = Arc::clone(self);
        self.events.tasks.spawn(queue.process(invocation, place));
        Ok(())
    }

    async fn process(self: Arc<Self>, invocation: Invocation, _place: [OwnedSemaphorePermit; 3]) {
        let _queued = self.metrics.queue_event();
        let accepted = Instant::now();
        let expiry = accepted + self.config.maximum_event_age;
        let mut retry_delay = Backoff::new(self.config.retry_delay, Duration::MAX);
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        let mut record = Record::new(&invocation);
        let condition = loop {
            let attempt = tokio::select! {
                biased;
                () = self.events.stop.cancelled() => break Condition::ShuttingDown,
                attempt = self.attempt(&invocation, expiry) => attempt,
            };
            let wait = match attempt {
                None => break Condition::EventAgeExceeded,
                Some(Ok(FunctionPayload::Success(_))) => return,
                Some(Ok(FunctionPayload::Error(payload))) => {
                    record.attempts += 1;
                    record.response = Some(payload);
                    if record.attempts > self.config.maximum_retry_attempts {
                        break Condition::RetriesExhausted;
                    }
                    record.shorten_response(MAX_KEPT_RESPONSE_BYTES);
                    retry_delay.pause()
                }
                Some(Err(error)) => {
                    tracing::debug!(function = %self.name, "an event could not run and waits: {error:?}");
                    backoff.pause()
                }
            };
            tokio::select! {
                biased;
                () = self.events.draining.cancelled() => break Condition::ShuttingDown,
                () = sleep(wait) => {}
            }
        };
        self.fail(&record, condition);
    }

    /// Waits for a permit, and invokes the function once. Returns `None` if the event is too old by
    /// then.
    async fn attempt(
        &self,
        invocation: &Invocation,
        expiry: Instant,
    ) -> Option<Result<FunctionPayload, ServiceError>> {
        let Ok(_permit) = self.running.acquire().await else {
            return Some(Err(ServiceError::ShuttingDown));
        };
        if Instant::now() > expiry {
            return None;
        }
        let mut invocation = invocation.clone();
        let observation = self.events.observer.attempt(&mut invocation);
        let result = self.runner.attempt(invocation).await;
        observation.end(&result);
        Some(result)
    }

    /// Logs that an event was given up, and keeps a record of it if `on_failure` names a file.
    fn fail(&self, record: &Record, condition: Condition) {
        let Record {
            request_id,
            attempts,
            ..
        } = record;
        let times = if *attempts == 1 {
            "attempt"
        } else {
            "attempts"
        };
        tracing::warn!(
            function = %self.name,
            %request_id,
            "an event was given up after {attempts} {times} ({condition:?}){}: {}",
            match self.config.on_failure {
                Some(_) => "",
                None => "; `event.on_failure` names a file to keep such events in",
            },
            record.reason()
        );
        let Some(path) = self.config.on_failure.clone() else {
            return;
        };
        let record = QueuedRecord {
            function: self.name.clone(),
            request_id: *request_id,
            path,
            line: record.line(condition, &self.events.region, (self.events.clock)()),
        };
        if let Err(QueuedRecord { path, .. }) = self.events.writer.keep(record) {
            tracing::error!(
                function = %self.name,
                %request_id,
                "an event is lost: too many records wait to be written to {}; check that it can be written to",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_emulators_are_recognized_by_their_form() {
        assert!(is_emulated_error(
            br#"{"errorMessage":"x","errorType":"E","stackTrace":[]}"#
        ));
        assert!(is_emulated_error(b"Task timed out after 3.00 seconds"));
        for payload in [
            &b"{}"[..],
            b"[]",
            b"\"errorType\"",
            b"{\"errorType\":1}",
            b"",
        ] {
            assert!(!is_emulated_error(payload));
        }
    }
}
