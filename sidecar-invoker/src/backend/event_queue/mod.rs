//! Asynchronous invocations, of the type `Event`: taken at once, run when it is their turn, and
//! tried again if the function fails.
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

use crate::backend::local::Function;
use crate::backend::rie::Rie;
use crate::config::EventConfig;
use crate::invocation::FunctionResponse;
use crate::invocation::{FunctionPayload, Invocation};
use crate::invoke_api::error::ServiceError;
use crate::util::Backoff;
use lambda_api::FunctionName;
use lambda_api::function_error::{self, Members};
use lambda_api::limits::MAX_ASYNC_EVENT_BYTES;
use record::{Condition, Record};
use serde_json::{Map, Value};
use writer::{Entry, Writer};

/// How long after it could not be called at all a function is tried again, which is no attempt: at
/// first, and at most. As on AWS.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the queues of all functions share.
#[derive(Clone)]
pub(crate) struct Events {
    /// Tells the time, for records.
    pub(crate) clock: fn() -> SystemTime,
    /// The region in ARNs.
    pub(crate) region: String,
    /// The invoker is about to end: nothing new is taken, and nothing waits to be tried again.
    draining: CancellationToken,
    /// It cannot wait any longer.
    stop: CancellationToken,
    tasks: TaskTracker,
    writer: Writer,
}

impl Events {
    /// No event yet.
    pub(crate) fn new(clock: fn() -> SystemTime, region: String) -> Self {
        Self {
            clock,
            region,
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            writer: Writer::start(),
        }
    }

    /// Lets the events that are queued run; those that wait to be tried again are given up.
    pub(crate) async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Gives up what is left.
    pub(crate) async fn give_up(&self) {
        self.stop.cancel();
        self.drain().await;
    }

    /// Waits for the records of what was given up, but not for long.
    pub(crate) async fn written(&self) {
        self.writer.finish().await;
    }
}

/// What runs the events of a queue.
pub(crate) enum Runner {
    Rie(Arc<Rie>),
    Local(Arc<Function>),
}

impl Runner {
    /// Has the function called once.
    async fn attempt(&self, invocation: Invocation) -> Result<FunctionPayload, ServiceError> {
        match self {
            Self::Local(function) => match function.invoke(invocation).await? {
                FunctionResponse::Buffered { payload, .. } => Ok(payload),
                FunctionResponse::Streamed(_) => Err(ServiceError::ShuttingDown),
            },
            Self::Rie(rie) => {
                let response = rie.invoke(invocation).await?;
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

/// The emulator reports a function error, and a time-out, as any other answer.
fn is_emulated_error(payload: &[u8]) -> bool {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(payload) else {
        return function_error::is_timeout(payload);
    };
    let mut members = Members::default();
    object.keys().for_each(|name| members.add(name));
    members.is_error()
}

/// The events of one function.
pub(crate) struct EventQueue {
    name: FunctionName,
    config: EventConfig,
    runner: Runner,
    /// A permit for each event that may be queued.
    slots: Arc<Semaphore>,
    /// A permit for each event that may run at once; events wait for it in order.
    running: Semaphore,
    events: Events,
}

impl EventQueue {
    /// A queue of which at most `at_once` events run at once.
    pub(crate) fn new(
        name: FunctionName,
        config: EventConfig,
        runner: Runner,
        at_once: usize,
        events: Events,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            slots: Arc::new(Semaphore::new(config.queue)),
            config,
            runner,
            running: Semaphore::new(at_once),
            events,
        })
    }

    /// Takes an event.
    ///
    /// # Errors
    /// It is too large, the queue is full, or the invoker is about to end.
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
        let queue = Arc::clone(self);
        self.events.tasks.spawn(queue.process(invocation, slot));
        Ok(())
    }

    async fn process(self: Arc<Self>, invocation: Invocation, _slot: OwnedSemaphorePermit) {
        let accepted = Instant::now();
        let expiry = accepted + self.config.maximum_event_age;
        let mut retry_delay = Backoff::new(self.config.retry_delay, Duration::MAX);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
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
                    retry_delay.pause()
                }
                Some(Err(error)) => {
                    tracing::debug!(function = %self.name, "an event has to wait: {error:?}");
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

    /// One attempt, when it is its turn; `None` if the event is too old by then.
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
        Some(self.runner.attempt(invocation.clone()).await)
    }

    /// Says that an event was not processed, and keeps it if there is a file for that.
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
        let entry = Entry {
            function: self.name.clone(),
            request_id: *request_id,
            path,
            line: record.line(condition, &self.events.region, (self.events.clock)()),
        };
        if let Err(Entry { path, .. }) = self.events.writer.keep(entry) {
            tracing::error!(
                function = %self.name,
                %request_id,
                "an event is lost: too many wait to be written to {}; see what holds it up",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_s_errors_are_told_by_their_form() {
        assert!(is_emulated_error(
            br#"{"errorMessage":"x","errorType":"E","stackTrace":[]}"#
        ));
        assert!(is_emulated_error(b"Task timed out after 3.00 seconds"));
        for answer in [
            &b"{}"[..],
            b"[]",
            b"\"errorType\"",
            b"{\"errorType\":1}",
            b"",
        ] {
            assert!(!is_emulated_error(answer));
        }
    }
}
