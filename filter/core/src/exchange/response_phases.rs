//! The second half of an exchange: the upstream's response becomes the client's response, as a whole or piece
//! by piece.

use lambda_api::headers;

use super::attempts::{Attempts, WaitingResponse};
use super::client_response::{add_ids, is_head, send_beginning, send_whole};
use super::host::{Flow, Host, Side};
use super::long_response;
use super::phase::{
    Attempt, BodyBuffer, ERROR_TYPE, Exchange, Phase, REQUEST_ID, put_back, restore_client_headers,
};
use crate::config::values::Invocation;
use crate::error::{Error, single_line};
use crate::metrics::Metric;
use crate::request::HeaderMap;
use crate::request::header_map::{first, text};
use crate::response::http_response::has_content;
use crate::response::{self, HttpResponse, InvokeResponse, StreamedResponse, error_response};

impl Exchange {
    /// Takes the headers of the upstream's response.
    pub fn on_response_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let mut attempt = match self.take() {
            Phase::Invoking(attempt) => attempt,
            other => {
                self.phase = other;
                return Flow::Continue;
            }
        };
        // Another attempt may still be waiting for a connection, and would then send this header map.
        if attempt.is_rewritten && self.attempts.total(attempt.key) == 1 {
            restore_client_headers(host, &mut attempt);
        }
        let headers = host.headers(Side::Response);
        if let Some(id) = first(&headers, headers::REQUEST_ID) {
            host.set_filter_state(REQUEST_ID, id);
        }
        // A function that streams may send its first byte long after the headers.
        if !end_of_stream && !is_streamed(&attempt, &headers) {
            self.attempts.hold_check.begin(host, self.context, None);
        }
        self.phase = Phase::BufferingResponse(attempt, headers, BodyBuffer::Missing);
        if end_of_stream {
            self.decode_response(host)
        } else {
            Flow::Pause
        }
    }

    /// Takes a part of the body of the upstream's response.
    pub fn on_response_body(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        if matches!(self.phase, Phase::BufferingResponse(..)) {
            self.attempts.hold_check.prove();
        }
        let changes_parts = host.capabilities().changes_parts;
        self.phase = match self.take() {
            Phase::BufferingResponse(attempt, headers, BodyBuffer::Missing)
                if is_streamed(&attempt, &headers) =>
            {
                let stream = StreamedResponse::new(&headers, &attempt.config);
                Phase::DetectingPrelude(attempt, headers, Box::new(stream))
            }
            Phase::BufferingResponse(attempt, headers, BodyBuffer::Missing)
                if changes_parts && !end_of_stream =>
            {
                long_response::begin(host, attempt, headers)
            }
            Phase::BufferingResponse(attempt, headers, _) => {
                Phase::BufferingResponse(attempt, headers, BodyBuffer::Present)
            }
            Phase::DecodingBody(attempt, headers, body) if changes_parts => {
                long_response::go_on(host, attempt, headers, body)
            }
            other => other,
        };
        match self.phase {
            Phase::DecodingBody(..) if changes_parts && end_of_stream => {
                self.finish_long_response(host)
            }
            Phase::DecodingBody(..) => Flow::Pause,
            Phase::BufferingResponse(..) if end_of_stream => self.decode_response(host),
            Phase::BufferingResponse(..) => Flow::Pause,
            Phase::DetectingPrelude(..) => self.detect_prelude(host, end_of_stream),
            Phase::Streaming(..) => self.pass_part(host, end_of_stream),
            Phase::AwaitingOtherAttempt(_) => {
                host.set_body(Side::Response, b"");
                Flow::Pause
            }
            Phase::DiscardingRest(_) => {
                host.set_body(Side::Response, b"");
                Flow::Continue
            }
            _ => Flow::Continue,
        }
    }

    /// Takes the trailers of the upstream's response, which end it. They are the Invoke API's and do
    /// not reach the client.
    pub fn on_response_trailers(&mut self, host: &impl Host) -> Flow {
        match self.phase {
            Phase::BufferingResponse(..) => {
                self.attempts.hold_check.prove();
                host.clear_trailers(Side::Response);
                self.decode_response(host)
            }
            Phase::DecodingBody(..) if host.capabilities().changes_parts => {
                host.clear_trailers(Side::Response);
                self.finish_long_response(host)
            }
            Phase::DetectingPrelude(..) => {
                host.clear_trailers(Side::Response);
                self.detect_prelude(host, true)
            }
            Phase::Streaming(..) => {
                host.clear_trailers(Side::Response);
                self.end_stream(host)
            }
            Phase::DiscardingRest(_) => {
                host.clear_trailers(Side::Response);
                Flow::Continue
            }
            Phase::AwaitingOtherAttempt(_) => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    /// Decodes the upstream's response once it is complete.
    pub(super) fn decode_response(&mut self, host: &impl Host) -> Flow {
        let Phase::BufferingResponse(mut attempt, headers, buffer) = self.take() else {
            return Flow::Continue;
        };
        let start = attempt.decode_start(host);
        let body = match buffer {
            BodyBuffer::Present => host.body(Side::Response),
            BodyBuffer::Missing => Vec::new(),
        };
        let invoke_response = InvokeResponse {
            headers: &headers,
            body: &body,
        };
        let response = response::decode(&invoke_response, &attempt.config);
        attempt.decode_end(host, start);
        attempt.record_decode_time(host);
        let mut response = response.unwrap_or_else(|error| fail(host, &attempt, &headers, &error));
        add_ids(&mut response, &attempt, &headers);
        self.conclude(host, attempt, response, buffer, Phase::PassingThrough)
    }

    /// Reads the beginning of a streamed response. Nothing has been sent to the client yet.
    fn detect_prelude(&mut self, host: &impl Host, is_end: bool) -> Flow {
        let Phase::DetectingPrelude(attempt, headers, mut stream) = self.take() else {
            return Flow::Continue;
        };
        let bytes = host.body(Side::Response);
        match stream.is_framed(&bytes) {
            Some(true) => {}
            None if !is_end => {
                self.phase = Phase::DetectingPrelude(attempt, headers, stream);
                return Flow::Pause;
            }
            _ => {
                self.phase = Phase::BufferingResponse(attempt, headers, BodyBuffer::Present);
                return if is_end {
                    self.decode_response(host)
                } else {
                    Flow::Pause
                };
            }
        }
        host.set_body(Side::Response, b"");
        let progress = if is_end {
            let response = stream.finish(bytes, &headers, &attempt.config);
            response.map(Some)
        } else {
            stream.start(bytes)
        };
        let next = if is_end {
            Phase::PassingThrough
        } else {
            Phase::DiscardingRest
        };
        match progress {
            Ok(Some(mut response)) if is_end => {
                add_ids(&mut response, &attempt, &headers);
                self.conclude(host, attempt, response, BodyBuffer::Present, next)
            }
            Ok(Some(mut response)) => {
                add_ids(&mut response, &attempt, &headers);
                let has_body = !is_head(&attempt) && has_content(response.status);
                // Once the client has the status, no other attempt can replace this one.
                let may_be_replaced =
                    self.attempts.total(attempt.key) > 1 && may_be_retried(&response);
                if has_body && !may_be_replaced {
                    send_beginning(host, &response);
                    self.phase = Phase::Streaming(attempt, stream);
                    return Flow::Continue;
                }
                stream.hold(response, has_body);
                self.phase = Phase::DetectingPrelude(attempt, headers, stream);
                Flow::Pause
            }
            Ok(None) => {
                self.phase = Phase::DetectingPrelude(attempt, headers, stream);
                Flow::Pause
            }
            Err(error) => {
                let mut response = fail(host, &attempt, &headers, &error);
                add_ids(&mut response, &attempt, &headers);
                self.conclude(host, attempt, response, BodyBuffer::Present, next)
            }
        }
    }

    /// Passes on a part of a streamed body.
    fn pass_part(&mut self, host: &impl Host, is_end: bool) -> Flow {
        let Phase::Streaming(attempt, mut stream) = self.take() else {
            return Flow::Continue;
        };
        let mut bytes = host.body(Side::Response);
        let read = stream.next(&mut bytes);
        self.phase = Phase::Streaming(attempt, stream);
        match read {
            Ok(()) => {
                host.set_body(Side::Response, &bytes);
                match (is_end, bytes.is_empty()) {
                    (true, _) => self.end_stream(host),
                    (false, false) => Flow::Continue,
                    // Envoy would pass an empty part on as an empty HTTP/2 frame. A client may take several
                    // of them for an attack: Envoy as a client closes the connection on the second.
                    (false, true) => Flow::Pause,
                }
            }
            Err(error) => self.cut_stream(host, &error),
        }
    }

    /// Ends a streamed response if the function has sent everything. Otherwise cuts it.
    fn end_stream(&mut self, host: &impl Host) -> Flow {
        let Phase::Streaming(_, stream) = &self.phase else {
            return Flow::Continue;
        };
        match stream.complete() {
            Ok(()) => Flow::Continue,
            Err(error) => self.cut_stream(host, &error),
        }
    }

    /// Resets a streamed response that has failed: the client has a part of the body, and must not
    /// take it for the whole.
    fn cut_stream(&mut self, host: &impl Host, error: &Error) -> Flow {
        let Phase::Streaming(attempt, _) = self.take() else {
            return Flow::Continue;
        };
        fail(host, &attempt, &HeaderMap::new(), error);
        self.phase = Phase::DiscardingRest(attempt);
        host.reset();
        Flow::Pause
    }

    /// Sends a complete response, unless another attempt may still get a better one.
    fn conclude(
        &mut self,
        host: &impl Host,
        mut attempt: Attempt,
        response: HttpResponse,
        buffer: BodyBuffer,
        next: fn(Attempt) -> Phase,
    ) -> Flow {
        if self.attempts.total(attempt.key) <= 1 || !may_be_retried(&response) {
            send_whole(host, &response, is_head(&attempt), buffer, None);
            self.phase = next(attempt);
            return Flow::Continue;
        }
        // Envoy's router would drop the headers of this response in favour of another attempt. On the body
        // that follows, Envoy 1.36 to 1.40 crash with a segmentation fault.
        let waiting = WaitingResponse {
            context: self.context,
            response,
            is_rewritten: attempt.is_rewritten,
        };
        self.phase = match self.attempts.wait(attempt.key, waiting) {
            Some(last) => {
                if attempt.is_rewritten {
                    restore_client_headers(host, &mut attempt);
                }
                host.respond(&last.response);
                Phase::PassingThrough(attempt)
            }
            None => Phase::AwaitingOtherAttempt(attempt),
        };
        Flow::Pause
    }
}

/// Sends the waiting responses for which all other attempts have ended without a response, and refuses the
/// requests whose bodies the host keeps back.
pub fn on_tick(attempts: &Attempts, host: &impl Host) {
    attempts.hold_check.check(host);
    while let Some((key, client_headers, waiting)) = attempts.take_released() {
        if host.enter(waiting.context) {
            if waiting.is_rewritten {
                put_back(host, key, &client_headers);
            }
            host.respond(&waiting.response);
        }
    }
}

/// Returns whether the upstream may have sent a stream. Errors are never streamed.
fn is_streamed(attempt: &Attempt, headers: &HeaderMap) -> bool {
    attempt.config.invocation == Invocation::ResponseStream
        && first(headers, ":status") == Some(b"200")
}

/// Logs an error and returns the client's response to it. `headers` are the upstream's.
fn fail(host: &impl Host, attempt: &Attempt, headers: &HeaderMap, error: &Error) -> HttpResponse {
    let function = attempt.config.function.as_str();
    let id = single_line(&attempt.attributes.request_id);
    match first(headers, headers::REQUEST_ID) {
        Some(lambda) => {
            let lambda = single_line(&text(lambda));
            log::warn!("{function}: {error} (request {id}, Lambda's {lambda})");
        }
        None => log::warn!("{function}: {error} (request {id})"),
    }
    host.record(&attempt.config.metrics, Metric::Errors(error.kind()), 1);
    if let Some(error_type) = error.error_type() {
        host.set_filter_state(ERROR_TYPE, error_type.as_bytes());
    }
    error_response(error, Some(&attempt.config))
}

/// Returns whether a retry policy may count a response as a failure: a status other than success, or an error
/// status of gRPC.
fn may_be_retried(response: &HttpResponse) -> bool {
    let mut headers = response.headers.iter();
    response.status >= 300 || headers.any(|(name, value)| name == "grpc-status" && value != "0")
}
