//! The console: the page on the admin port that shows each invocation, and its API.
//!
//! Everything that it shows of an event format or a contract comes from the filter's own code. Nothing is decoded before
//! somebody asks.

mod access;
mod api;
mod copy;
mod detail;
mod functions;
mod masking;
mod message;
mod page;
mod replay;
mod stream;
mod timings;
mod view;
mod why;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::backend::Backends;
use crate::metrics::Metrics;
use crate::recorder::{Record, Recorder};
use access::Access;
pub(crate) use api::is_path;
use masking::MaskedNames;
pub(crate) use replay::Replay;

/// The most readers of the stream at once.
const MAX_STREAMS: usize = 32;

/// Makes an invocation again, and returns the id of its record.
pub(crate) type Replayer = Box<dyn Fn(Arc<Record>, Replay) -> Option<u64> + Send + Sync>;

/// The console.
pub(crate) struct Console {
    recorder: Arc<Recorder>,
    backends: Arc<Backends>,
    metrics: Arc<Metrics>,
    access: Access,
    names: MaskedNames,
    replayer: Replayer,
    streams: Arc<Semaphore>,
    clock: fn() -> SystemTime,
}

impl Console {
    /// Creates a console. `token` is the secret of its users, and `mask` has further headers that are masked.
    pub(crate) fn new(
        recorder: Arc<Recorder>,
        (backends, metrics): (Arc<Backends>, Arc<Metrics>),
        (token, mask): (Option<String>, &[String]),
        replayer: Replayer,
        clock: fn() -> SystemTime,
    ) -> Arc<Self> {
        Arc::new(Self {
            recorder,
            backends,
            metrics,
            access: Access::new(token),
            names: MaskedNames::new(mask),
            replayer,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            clock,
        })
    }

    fn backend(&self, record: &Record) -> Option<&'static str> {
        self.backends.kind(record.address.function.name())
    }

    /// Returns the summary of a record as JSON.
    fn summary(&self, record: &Record) -> Arc<str> {
        record.summary(|| detail::summary(record, self.backend(record), &self.names))
    }

    /// Returns the states of all functions.
    fn functions(&self) -> Value {
        let states = self.backends.states();
        let now = (self.clock)();
        functions::functions(&states, &self.metrics, &self.recorder, now)
    }
}
