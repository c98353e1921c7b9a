//! A record with what the filter's code makes of it: the HTTP request, and the response that the client gets.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::StatusCode;
use lambda_api::event_stream::{End as StreamEnd, Reader};
use lambda_api::{InvocationType, Operation};
use lambda_filter_core::request::HeaderMap;
use lambda_filter_core::{DecodedResponse, Error, ReportedRequest, UpstreamResponse};

use super::why::{Why, is_timeout};
use crate::invoke_api::headers as header;
use crate::metrics::Outcome;
use crate::recorder::{End, Record, ResponseHead, Snapshot};

/// A record, decoded.
pub(super) struct View<'r> {
    pub(super) record: &'r Record,
    /// The client's request, as far as it is known.
    pub(super) request: ReportedRequest,
    /// The filter has reported the client's request.
    pub(super) is_http: bool,
    kept: Snapshot,
    /// The headers of the response of the Invoke API.
    upstream: HeaderMap,
    /// The response, if it has begun.
    pub(super) decoded: Option<DecodedResponse>,
}

/// The payload of a response.
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    /// The size of the whole payload, as far as it has come.
    pub(super) size: usize,
    /// The payload of the message that ends a stream.
    pub(super) complete: Option<Vec<u8>>,
}

impl<'r> View<'r> {
    pub(super) fn of(record: &'r Record) -> Self {
        let reported = record.client_request.as_ref();
        let reported = reported.and_then(|value| ReportedRequest::read(value).ok());
        let is_http = reported.is_some();
        let kept = record.snapshot();
        let mut view = Self {
            record,
            request: reported.unwrap_or_else(|| unreported(record)),
            is_http,
            upstream: upstream(kept.response.as_ref()),
            kept,
            decoded: None,
        };
        view.decoded = view.decode(None);
        view
    }

    /// Returns the response by the contract that goes with an event format, or that of the route.
    pub(super) fn decode(&self, format: Option<&str>) -> Option<DecodedResponse> {
        self.status()?;
        if self.record.invocation_type == InvocationType::DryRun {
            return None;
        }
        let config = self.request.config(format).ok()?;
        let pieces: Vec<&[u8]> = self
            .kept
            .body
            .pieces
            .iter()
            .map(|piece| &piece[..])
            .collect();
        let upstream = UpstreamResponse {
            headers: &self.upstream,
            body: &pieces,
            is_whole: self.is_whole(),
        };
        Some(self.request.response(&upstream, &config))
    }

    /// Returns the event, once it has been read.
    pub(super) fn event(&self) -> Option<&Bytes> {
        self.kept.event.as_ref()
    }

    /// Returns the end of the invocation, once it has come.
    pub(super) fn end(&self) -> Option<End> {
        self.kept.end
    }

    /// Returns whether the event is that of the reported request.
    pub(super) fn has_request(&self) -> bool {
        let replayed = self.record.replay_of;
        self.is_http && !replayed.is_some_and(|of| of.is_event_edited)
    }

    fn is_whole(&self) -> bool {
        let is_complete = self.kept.end.is_some_and(|end| end.is_complete);
        is_complete && !self.kept.body.is_cut
    }

    /// Returns the status of the response of the Invoke API, if it has begun.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.kept.response.as_ref().map(|head| match head {
            ResponseHead::Ok(status, _) => *status,
            ResponseHead::Failed(error) => error.status(),
        })
    }

    /// Returns the value of a header of the response of the Invoke API.
    pub(super) fn upstream_header(&self, name: &hyper::header::HeaderName) -> Option<String> {
        let mut headers = self.upstream.iter();
        let (_, value) = headers.find(|(known, _)| known == name.as_str())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Returns whether the response is, or was, an event stream.
    pub(super) fn is_streamed(&self) -> bool {
        self.record.operation == Operation::InvokeWithResponseStream
    }

    /// Returns the payload of the function, as far as it has come.
    pub(super) fn payload(&self) -> Option<Payload> {
        let status = self.status()?;
        let mut bytes = self.kept.body.pieces.concat();
        if !(self.is_streamed() && status == StatusCode::OK) {
            return Some(Payload {
                bytes,
                size: self.kept.body.size,
                complete: None,
            });
        }
        let cut = self.kept.body.size.saturating_sub(bytes.len());
        let end = Reader::new().read(&mut bytes);
        Some(Payload {
            size: bytes.len() + cut,
            bytes,
            complete: match end {
                Ok(Some(StreamEnd::Complete(payload))) => Some(payload),
                _ => None,
            },
        })
    }

    /// Returns the way in which the invocation ended, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let end = self.kept.end?;
        let Some(status) = self.status() else {
            return Some(Outcome::Abandoned);
        };
        let error = self.error();
        let is_error = matches!(error, Some(Error::Function { .. }));
        if let Some(Error::Function { payload }) = error
            && is_timeout(payload)
        {
            return Some(Outcome::TimedOut);
        }
        if !end.is_complete && !is_error {
            return Some(Outcome::Abandoned);
        }
        if matches!(error, Some(Error::InvalidResponse(_) | Error::Stream(_))) && self.is_http {
            return Some(Outcome::Failed);
        }
        Some(Outcome::of(status, is_error))
    }

    fn error(&self) -> Option<&Error> {
        self.decoded.as_ref()?.error.as_ref()
    }

    /// Returns the reason of a failure.
    pub(super) fn why(&self) -> Option<Why> {
        if let Some(ResponseHead::Failed(error)) = self.kept.response.as_ref() {
            return Some(Why::of_service(error));
        }
        match self.error() {
            // Without a client of HTTP, any bytes are a response.
            Some(Error::InvalidResponse(_)) if !self.is_http => None,
            Some(error) => {
                let body = self.kept.body.pieces.concat();
                Some(Why::of_filter(error, self.request.format(), &body))
            }
            None => match self.outcome()? {
                Outcome::Abandoned => {
                    Some(Why::plain("the caller left before the end of the response"))
                }
                _ => None,
            },
        }
    }

    /// Returns the time at which the invocation arrived, in milliseconds since 1970.
    pub(super) fn started_ms(&self) -> f64 {
        let since_1970 = self.record.started.duration_since(UNIX_EPOCH);
        since_1970.unwrap_or_default().as_secs_f64() * 1_000.0
    }

    /// Returns the id of the invocation, as in the function's log.
    pub(super) fn request_id(&self) -> String {
        self.upstream_header(&header::REQUEST_ID)
            .unwrap_or_else(|| self.record.request_id.to_string())
    }
}

/// Returns a request for an invocation that the filter has not reported.
fn unreported(record: &Record) -> ReportedRequest {
    let invocation = match (record.operation, record.invocation_type) {
        (Operation::InvokeWithResponseStream, _) => "response-stream",
        (_, InvocationType::Event) if !record.is_attempt => "event",
        _ => "request-response",
    };
    ReportedRequest::unknown(record.address.function.as_str(), invocation)
}

/// Returns the headers of the response in the filter's form.
fn upstream(response: Option<&ResponseHead>) -> HeaderMap {
    let mut map = HeaderMap::new();
    let mut add = |name: &str, value: &[u8]| map.push((name.to_owned(), value.to_vec()));
    match response {
        None => {}
        Some(ResponseHead::Ok(status, headers)) => {
            add(":status", status.as_str().as_bytes());
            headers
                .iter()
                .for_each(|(name, value)| add(name.as_str(), value));
        }
        Some(ResponseHead::Failed(error)) => {
            let response = error.response();
            add(":status", response.status().as_str().as_bytes());
            let headers = response.headers().iter();
            headers.for_each(|(name, value)| add(name.as_str(), value.as_bytes()));
        }
    }
    map
}
