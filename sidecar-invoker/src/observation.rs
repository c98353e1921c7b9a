//! The observation of an invocation, from its arrival to the last byte of its response.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{HeaderMap, HeaderValue};
use lambda_api::{FunctionName, InvocationType, trace};

use crate::invocation::{FunctionPayload, Invocation, Step, Timeline};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::metrics::{FunctionMetrics, InFlight, Metrics, Outcome};
use crate::recorder::{Begin, Recorder, Recording};
use crate::traces::{Ended, Span, Tracer};
use crate::util::admit_line;

/// The largest part of an error's payload that is kept until the type of the error is read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// The error type of an invocation that reached the time limit of its function.
const TIMED_OUT: &str = "Sandbox.Timedout";

/// The recipients of what is observed.
pub(crate) struct Observer {
    /// The metrics that count invocations.
    pub(crate) metrics: Arc<Metrics>,
    /// The tracer that exports the spans of invocations.
    pub(crate) tracer: Tracer,
    /// Records invocations for the console, if there is one.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl Observer {
    /// Creates an observer.
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        tracer: Tracer,
        recorder: Option<Arc<Recorder>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            tracer,
            recorder,
        })
    }

    /// Begins to record an invocation for the console, if there is one.
    pub(crate) fn record<'b>(&self, begin: impl FnOnce() -> Begin<'b>) -> Option<Recording> {
        let recorder = self.recorder.as_ref()?;
        Some(Recording::begin(recorder, &begin()))
    }

    /// Begins to observe the call of a function. The trace in the headers of the call goes on to the function.
    pub(crate) fn call(
        &self,
        function: &FunctionName,
        headers: &mut HeaderMap,
        recording: Option<Recording>,
    ) -> Observation {
        let in_flight = self.metrics.of(function).begin();
        let mut observation = self.observation(function, recording);
        observation.in_flight = Some(in_flight);
        observation.span = self.tracer.begin(headers);
        observation
    }

    /// Begins to observe an attempt to run a queued event, and gives it a course of its own. The call that queued
    /// the event has been counted.
    pub(crate) fn attempt(&self, invocation: &mut Invocation) -> Observation {
        let recording = self.record(|| Begin {
            request_id: invocation.request_id,
            address: &invocation.address,
            operation: invocation.operation,
            invocation_type: InvocationType::Event,
            log_type: invocation.log_type,
            client_context: None,
            tenant_id: invocation.tenant_id.as_ref(),
            client_request: None,
            replay_of: None,
            is_attempt: true,
        });
        if let Some(recording) = &recording {
            recording.event(&invocation.payload);
        }
        let function = invocation.address.function.name();
        let mut observation = self.observation(function, recording);
        let timeline = Arc::clone(observation.timeline());
        if let Some(backend) = invocation.timeline.backend() {
            timeline.set_backend(backend);
        }
        timeline.reach(Step::Read);
        invocation.timeline = timeline;
        observation.request_id = Some(invocation.request_id.header());
        observation.span = self.tracer.begin_attempt(&mut invocation.trace_id);
        observation.trace = Some(invocation.trace_id.clone());
        observation.is_attempt = true;
        observation
    }

    fn observation(&self, function: &FunctionName, recording: Option<Recording>) -> Observation {
        let timeline = match &recording {
            Some(recording) => Arc::clone(recording.timeline()),
            None => Arc::new(Timeline::begin(false)),
        };
        Observation {
            function: function.clone(),
            metrics: self.metrics.of(function),
            timeline,
            in_flight: None,
            outcome: Outcome::Abandoned,
            request_id: None,
            trace: None,
            error: Vec::new(),
            recording,
            span: None,
            is_attempt: false,
            tracer: self.tracer.clone(),
        }
    }
}

/// The observation of one invocation, which ends when it is dropped.
pub(crate) struct Observation {
    function: FunctionName,
    metrics: Arc<FunctionMetrics>,
    timeline: Arc<Timeline>,
    /// The call, until it has a response.
    in_flight: Option<InFlight>,
    outcome: Outcome,
    request_id: Option<HeaderValue>,
    /// The trace, as the response names it.
    trace: Option<HeaderValue>,
    /// The beginning of the payload of a function error.
    error: Vec<u8>,
    /// The record of the call for the console.
    recording: Option<Recording>,
    /// The span of the invocation, if it is recorded.
    span: Option<Span>,
    /// The invocation is an attempt to run a queued event.
    is_attempt: bool,
    tracer: Tracer,
}

impl Observation {
    /// Returns the course of the invocation.
    pub(crate) fn timeline(&self) -> &Arc<Timeline> {
        &self.timeline
    }

    /// Notes the response to a call, whose body may follow.
    pub(crate) fn respond(&mut self, result: &Result<Response<ResponseBody>, ServiceError>) {
        match result {
            Ok(response) => {
                let headers = response.headers();
                let is_error = headers.contains_key(header::FUNCTION_ERROR);
                self.outcome = Outcome::of(response.status(), is_error);
                self.request_id = headers.get(header::REQUEST_ID).cloned();
                self.trace = headers.get(header::TRACE_ID).cloned();
            }
            Err(error) => {
                self.outcome = Outcome::of(error.status(), false);
                self.timeline.set_error_type(error.error_type());
            }
        }
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.end(self.outcome);
        }
        if let Some(recording) = &mut self.recording {
            recording.respond(result);
        }
    }

    /// Notes a part of the body of the response.
    pub(crate) fn body(&mut self, part: &Bytes) {
        if let Some(recording) = &mut self.recording {
            recording.piece(part);
        }
        if self.outcome == Outcome::FunctionError && self.timeline.error_type().is_none() {
            let room = MAX_ERROR_BYTES.saturating_sub(self.error.len());
            self.error
                .extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    /// Notes that the whole body of the response was taken.
    pub(crate) fn complete(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.complete();
        }
    }

    /// Ends the observation of an attempt.
    pub(crate) fn end(mut self, result: &Result<FunctionPayload, ServiceError>) {
        if let Some(recording) = self.recording.take() {
            recording.end(result);
        }
        self.outcome = match result {
            Ok(FunctionPayload::Success(_)) => Outcome::Success,
            Ok(FunctionPayload::Error(payload)) => {
                self.timeline.set_error_payload(payload);
                Outcome::FunctionError
            }
            Err(error) => {
                self.timeline.set_error_type(error.error_type());
                Outcome::of(error.status(), false)
            }
        };
    }

    /// Writes the line of the invocation into the log. Other failures have a line with their cause, where they
    /// were met.
    fn log(&self, error_type: &str) {
        let function = &self.function;
        let request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok());
        let trace = self.trace.as_ref();
        let trace_id = || trace.and_then(|trace| trace::id_of(trace.as_bytes()));
        let duration = self.timeline.total();
        let duration_ms = duration.as_micros() as f64 / 1_000.0;
        match self.outcome {
            Outcome::FunctionError => {
                if let Some(left_out) = admit_line!() {
                    tracing::warn!(%function, request_id, trace_id = trace_id(), duration_ms, error_type, "the function responded with an error{left_out}");
                }
            }
            Outcome::Throttled => {
                if let Some(left_out) = admit_line!() {
                    tracing::warn!(%function, request_id, trace_id = trace_id(), duration_ms, error_type, "an invocation was throttled{left_out}");
                }
            }
            Outcome::Success => {
                tracing::debug!(%function, request_id, trace_id = trace_id(), duration_ms, "invoked");
            }
            outcome => {
                tracing::debug!(%function, request_id, trace_id = trace_id(), duration_ms, error_type, ?outcome, "not invoked");
            }
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.timeline.reach(Step::Ended);
        let has_responded = self.timeline.at(Step::Responded).is_some();
        if has_responded && self.timeline.at(Step::Completed).is_none() {
            // AWS streams a response while the function runs.
            self.timeline.reach(Step::Completed);
        }
        if !self.error.is_empty() {
            self.timeline.set_error_payload(&self.error);
        }
        let error_type = self.timeline.error_type();
        let has_timed_out = self.outcome == Outcome::TimedOut || error_type == Some(TIMED_OUT);
        self.metrics.record(&self.timeline, has_timed_out);
        self.log(error_type.unwrap_or_default());
        if let Some(span) = self.span.take() {
            let request_id = self.request_id.take();
            let ended = Ended {
                function: self.function.clone(),
                timeline: Arc::clone(&self.timeline),
                outcome: self.outcome,
                request_id: request_id.and_then(|id| id.to_str().ok().map(str::to_owned)),
                is_attempt: self.is_attempt,
            };
            self.tracer.end(span, ended);
        }
    }
}
