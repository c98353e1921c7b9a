//! The course of one invocation: the times of its steps, the error that ended it, and its log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::util::lock;

/// The largest part of a log that is kept.
const MAX_LOG_BYTES: usize = 64 << 10;
/// The room for a log at first. It takes the lines that Lambda itself writes, and a few others.
const USUAL_LOG_BYTES: usize = 512;
/// The largest room for a log that another invocation takes over.
const MAX_SPARE_LOG_BYTES: usize = 4 << 10;
/// The longest error type that is kept. A function chooses the text.
const MAX_ERROR_TYPE_BYTES: usize = 128;
/// The largest payload of an error in which the type is looked for.
const MAX_ERROR_BYTES: usize = 256 << 10;

/// A step of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The event has been read and checked.
    Read,
    /// An execution environment, or a permit for AWS or an emulator, is free for the invocation.
    Assigned,
    /// The function's runtime, AWS or the emulator has the event.
    Delivered,
    /// The response begins.
    Responded,
    /// The function has completed its response.
    Completed,
    /// The caller has the whole response, or has left.
    Ended,
}

impl Step {
    const COUNT: usize = Self::Ended as usize + 1;
}

/// The course of one invocation. Each step is recorded by one task at a time.
#[derive(Debug)]
pub(crate) struct Timeline {
    arrival: Instant,
    /// The microseconds from the arrival to each step, plus one. Zero stands for a step that has not come.
    steps: [AtomicU64; Step::COUNT],
    /// The microseconds of the start of the environment for which the invocation waited.
    cold_start: AtomicU64,
    /// The microseconds that signing the request for AWS took.
    signing: AtomicU64,
    /// The kind of backend that runs the function.
    backend: OnceLock<&'static str>,
    error_type: OnceLock<String>,
    /// The log of the invocation, if it is wanted.
    log: Option<Mutex<CallLog>>,
}

/// The beginning of the log of an invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallLog {
    /// The lines, up to a limit.
    pub(crate) lines: Vec<u8>,
    /// The log went on after these lines.
    pub(crate) is_truncated: bool,
}

impl Timeline {
    /// Begins the course of an invocation that arrives now. `wants_log` keeps the lines of its log.
    pub(crate) fn begin(wants_log: bool) -> Self {
        Self {
            arrival: Instant::now(),
            steps: Default::default(),
            cold_start: AtomicU64::new(0),
            signing: AtomicU64::new(0),
            backend: OnceLock::new(),
            error_type: OnceLock::new(),
            log: wants_log.then(Mutex::default),
        }
    }

    /// Begins the course of another invocation in the memory of this one.
    pub(crate) fn begin_again(&mut self) {
        let mut log = self.log.take();
        if let Some(log) = log.as_mut().and_then(|log| log.get_mut().ok()) {
            log.lines.clear();
            log.lines.shrink_to(MAX_SPARE_LOG_BYTES);
            log.is_truncated = false;
        }
        *self = Self {
            log,
            ..Self::begin(false)
        };
    }

    /// Returns the time at which the invocation arrived.
    pub(crate) fn arrival(&self) -> Instant {
        self.arrival
    }

    /// Records that a step has come. Only the last time of a step counts.
    pub(crate) fn reach(&self, step: Step) {
        let passed = microseconds(self.arrival.elapsed()) + 1;
        if let Some(time) = self.steps.get(step as usize) {
            time.store(passed, Ordering::Relaxed);
        }
    }

    /// Returns the time from the arrival to a step, if it has come.
    pub(crate) fn at(&self, step: Step) -> Option<Duration> {
        let time = self.steps.get(step as usize)?.load(Ordering::Relaxed);
        time.checked_sub(1).map(Duration::from_micros)
    }

    /// Returns the time from one step to another, if both have come.
    pub(crate) fn between(&self, from: Step, to: Step) -> Option<Duration> {
        Some(self.at(to)?.saturating_sub(self.at(from)?))
    }

    /// Returns the time from the arrival to the end, or until now if it has not come.
    pub(crate) fn total(&self) -> Duration {
        let total = self.at(Step::Ended);
        total.unwrap_or_else(|| self.arrival.elapsed())
    }

    /// Records that the invocation waited for the start of an environment, which took `duration`.
    pub(crate) fn set_cold_start(&self, duration: Duration) {
        let duration = microseconds(duration).max(1);
        self.cold_start.store(duration, Ordering::Relaxed);
    }

    /// Returns the duration of the start for which the invocation waited.
    pub(crate) fn cold_start(&self) -> Option<Duration> {
        let duration = self.cold_start.load(Ordering::Relaxed);
        (duration > 0).then(|| Duration::from_micros(duration))
    }

    /// Adds time that signing a request took.
    pub(crate) fn add_signing(&self, duration: Duration) {
        self.signing
            .fetch_add(microseconds(duration).max(1), Ordering::Relaxed);
    }

    /// Returns the time that signing took, if a request was signed.
    pub(crate) fn signing(&self) -> Option<Duration> {
        let duration = self.signing.load(Ordering::Relaxed);
        (duration > 0).then(|| Duration::from_micros(duration))
    }

    /// Records the kind of backend that runs the function.
    pub(crate) fn set_backend(&self, backend: &'static str) {
        self.backend.get_or_init(|| backend);
    }

    /// Returns the kind of backend that runs the function, if it is known.
    pub(crate) fn backend(&self) -> Option<&'static str> {
        self.backend.get().copied()
    }

    /// Records the type of the error that ended the invocation. The first one counts.
    pub(crate) fn set_error_type(&self, error_type: &str) {
        let ends = (0..=MAX_ERROR_TYPE_BYTES.min(error_type.len())).rev();
        let mut kept = ends.filter_map(|end| error_type.get(..end));
        let error_type = kept.next().unwrap_or_default();
        self.error_type.get_or_init(|| error_type.to_owned());
    }

    /// Records the error type that the payload of a function error names.
    pub(crate) fn set_error_payload(&self, payload: &[u8]) {
        let is_small = payload.len() <= MAX_ERROR_BYTES;
        let members = is_small.then(|| serde_json::from_slice::<Map<String, Value>>(payload));
        let members = members.and_then(Result::ok).unwrap_or_default();
        let error_type = members.get("errorType").and_then(Value::as_str);
        self.set_error_type(error_type.unwrap_or("Unknown"));
    }

    /// Returns the type of the error that ended the invocation.
    pub(crate) fn error_type(&self) -> Option<&str> {
        self.error_type.get().map(String::as_str)
    }

    /// Returns whether the log of the invocation is wanted.
    pub(crate) fn wants_log(&self) -> bool {
        self.log.is_some()
    }

    /// Adds lines to the log, if it is wanted.
    pub(crate) fn log(&self, lines: &[u8]) {
        if let Some(log) = &self.log {
            let mut log = lock(log);
            if log.lines.capacity() == 0 {
                log.lines.reserve(USUAL_LOG_BYTES);
            }
            let room = MAX_LOG_BYTES.saturating_sub(log.lines.len());
            let kept = lines.get(..room).unwrap_or(lines);
            log.is_truncated |= kept.len() < lines.len();
            log.lines.extend_from_slice(kept);
        }
    }

    /// Returns the size of the log so far.
    pub(crate) fn log_bytes(&self) -> usize {
        self.log
            .as_ref()
            .map_or(0, |log| lock(log).lines.capacity())
    }

    /// Returns the log so far, if it is wanted.
    pub(crate) fn call_log(&self) -> Option<CallLog> {
        self.log.as_ref().map(|log| lock(log).clone())
    }
}

/// Returns a duration in whole microseconds.
fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn times_count_from_the_arrival() {
        let timeline = Timeline::begin(false);
        assert_eq!(timeline.at(Step::Read), None);
        timeline.reach(Step::Read);
        tokio::time::advance(Duration::from_millis(5)).await;
        timeline.reach(Step::Assigned);
        assert_eq!(timeline.at(Step::Read), Some(Duration::ZERO));
        let queue = timeline.between(Step::Read, Step::Assigned);
        assert_eq!(queue, Some(Duration::from_millis(5)));
        assert_eq!(timeline.between(Step::Read, Step::Completed), None);
        assert_eq!(timeline.cold_start(), None);
        timeline.set_cold_start(Duration::ZERO);
        assert!(timeline.cold_start().is_some());
    }

    #[test]
    fn another_course_shows_nothing_of_the_one_before() {
        let mut timeline = Timeline::begin(true);
        timeline.reach(Step::Ended);
        timeline.set_cold_start(Duration::ZERO);
        timeline.set_backend("local");
        timeline.set_error_type("KeyError");
        timeline.log(&[b'x'; MAX_LOG_BYTES + 1]);
        timeline.begin_again();
        assert_eq!(timeline.at(Step::Ended), None);
        assert_eq!(timeline.cold_start(), None);
        assert_eq!((timeline.backend(), timeline.error_type()), (None, None));
        assert_eq!(timeline.call_log(), Some(CallLog::default()));
        assert!(timeline.log_bytes() <= MAX_SPARE_LOG_BYTES);
    }

    #[test]
    fn the_error_type_is_that_of_the_first_error() {
        let timeline = Timeline::begin(false);
        timeline.set_error_payload(br#"{"errorMessage":"m","errorType":"KeyError"}"#);
        timeline.set_error_type("Runtime.ExitError");
        assert_eq!(timeline.error_type(), Some("KeyError"));
        let timeline = Timeline::begin(false);
        timeline.set_error_payload(b"no JSON");
        assert_eq!(timeline.error_type(), Some("Unknown"));
        let timeline = Timeline::begin(false);
        timeline.set_error_type(&"ä".repeat(MAX_ERROR_TYPE_BYTES));
        assert_eq!(timeline.error_type(), Some(&*"ä".repeat(64)));
    }

    #[test]
    fn only_the_beginning_of_a_long_log_is_kept() {
        let timeline = Timeline::begin(false);
        timeline.log(b"x");
        assert_eq!(timeline.call_log(), None);
        let timeline = Timeline::begin(true);
        timeline.log(b"first\n");
        timeline.log(&vec![b'x'; 1 << 20]);
        timeline.log(b"last\n");
        let log = timeline.call_log().unwrap();
        assert!(log.is_truncated && log.lines.starts_with(b"first\nxx"));
        assert_eq!(log.lines.len(), MAX_LOG_BYTES);
    }
}
