//! The invocation that the lines of a log belong to.

use std::time::Duration;

use hyper::header::HeaderValue;
use serde_json::Value;

use crate::invocation::RequestId;
use lambda_api::trace;

/// The invocation that lines belong to, for a log in JSON.
#[derive(Debug, Clone)]
pub(crate) struct LineContext {
    pub(crate) request_id: RequestId,
    pub(crate) trace_id: HeaderValue,
    /// The figures of the invocation, if the last line reports its end.
    pub(crate) report: Option<ReportFigures>,
}

/// The figures at the end of an invocation.
#[derive(Debug, Clone)]
pub(crate) struct ReportFigures {
    pub(crate) duration: Duration,
    pub(crate) error_type: Option<String>,
}

impl LineContext {
    /// Adds the members of the invocation to a line of JSON.
    pub(super) fn add_to(&self, record: &mut Value, is_last: bool) {
        record["request_id"] = self.request_id.to_string().into();
        if let Some(id) = trace::id_of(self.trace_id.as_bytes()) {
            record["trace_id"] = id.into();
        }
        if let Some(report) = self.report.as_ref().filter(|_| is_last) {
            record["duration_ms"] = (report.duration.as_micros() as f64 / 1_000.0).into();
            if let Some(error_type) = &report.error_type {
                record["error_type"] = error_type.as_str().into();
            }
        }
    }
}
