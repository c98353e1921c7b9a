//! The second half of an exchange: what came back becomes the response, whole or as it comes.

use lambda_api::headers;

use super::host::{Flow, Host, Side};
use super::phase::{Body, Call, ERROR_TYPE, Exchange, Phase, REQUEST_ID, restore};
use crate::config::values::Invocation;
use crate::error::{Error, shown};
use crate::request::HeaderMap;
use crate::request::header_map::{first, text};
use crate::response::http_response::has_content;
use crate::response::{self, HttpResponse, InvokeResponse, StreamedResponse, error_response};

impl Exchange {
    /// The answer's headers have come.
    pub fn on_response_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let mut call = match self.take() {
            Phase::Invoking(call) => call,
            other => {
                self.phase = other;
                return Flow::Continue;
            }
        };
        // Another try may still wait for a connection; what it sends then is this one map.
        if call.is_rewritten && self.attempts.count(call.key).alive == 1 {
            restore(host, &mut call);
        }
        let headers = host.headers(Side::Response);
        if let Some(id) = first(&headers, headers::REQUEST_ID) {
            host.set_filter_state(REQUEST_ID, id);
        }
        self.phase = Phase::BufferingResponse(call, headers, Body::Unseen);
        if end_of_stream {
            self.answer(host)
        } else {
            Flow::Pause
        }
    }

    /// A part of the answer's body has come.
    pub fn on_response_body(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        self.phase = match self.take() {
            Phase::BufferingResponse(call, headers, Body::Unseen)
                if is_streamed(&call, &headers) =>
            {
                let stream = StreamedResponse::new(&headers, &call.config);
                Phase::DetectingPrelude(call, headers, Box::new(stream))
            }
            Phase::BufferingResponse(call, headers, _) => {
                Phase::BufferingResponse(call, headers, Body::Seen)
            }
            other => other,
        };
        match self.phase {
            Phase::BufferingResponse(..) if end_of_stream => self.answer(host),
            Phase::BufferingResponse(..) => Flow::Pause,
            Phase::DetectingPrelude(..) => self.receive(host, end_of_stream),
            Phase::Streaming(..) => self.pass(host, end_of_stream),
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

    /// The answer ends in trailers, which are the Invoke API's and not the client's.
    pub fn on_response_trailers(&mut self, host: &impl Host) -> Flow {
        match self.phase {
            Phase::BufferingResponse(..) => {
                host.clear_trailers(Side::Response);
                self.answer(host)
            }
            Phase::DetectingPrelude(..) => {
                host.clear_trailers(Side::Response);
                self.receive(host, true)
            }
            Phase::Streaming(..) => {
                host.clear_trailers(Side::Response);
                self.end(host)
            }
            Phase::DiscardingRest(_) => {
                host.clear_trailers(Side::Response);
                Flow::Continue
            }
            Phase::AwaitingOtherAttempt(_) => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    /// The answer is whole: sends the response instead.
    fn answer(&mut self, host: &impl Host) -> Flow {
        let Phase::BufferingResponse(call, headers, body) = self.take() else {
            return Flow::Continue;
        };
        let payload = match body {
            Body::Seen => host.body(Side::Response),
            Body::Unseen => Vec::new(),
        };
        let invoked = InvokeResponse {
            headers: &headers,
            body: &payload,
        };
        let response = response::decode(&invoked, &call.config);
        let response = response.unwrap_or_else(|error| failed(host, &call, &headers, &error));
        self.conclude(host, call, &response, body, Phase::PassingThrough)
    }

    /// A part of a streamed answer has come, of which the client has nothing yet.
    fn receive(&mut self, host: &impl Host, is_end: bool) -> Flow {
        let Phase::DetectingPrelude(call, headers, mut stream) = self.take() else {
            return Flow::Continue;
        };
        let bytes = host.body(Side::Response);
        match stream.is_framed(&bytes) {
            Some(true) => {}
            None if !is_end => {
                self.phase = Phase::DetectingPrelude(call, headers, stream);
                return Flow::Pause;
            }
            _ => {
                self.phase = Phase::BufferingResponse(call, headers, Body::Seen);
                return if is_end {
                    self.answer(host)
                } else {
                    Flow::Pause
                };
            }
        }
        host.set_body(Side::Response, b"");
        let progress = if is_end {
            let response = stream.finish(bytes, &headers, &call.config);
            response.map(Some)
        } else {
            stream.start(bytes)
        };
        let after = if is_end {
            Phase::PassingThrough
        } else {
            Phase::DiscardingRest
        };
        match progress {
            Ok(Some(response)) if is_end => self.conclude(host, call, &response, Body::Seen, after),
            Ok(Some(response)) => {
                let has_body = !is_head(&call) && has_content(response.status);
                // Once the client has the status there is no other try.
                let is_rivalled =
                    self.attempts.count(call.key).alive > 1 && may_be_retried(&response);
                if has_body && !is_rivalled {
                    begin(host, &response);
                    self.phase = Phase::Streaming(call, stream);
                    return Flow::Continue;
                }
                stream.hold(response, has_body);
                self.phase = Phase::DetectingPrelude(call, headers, stream);
                Flow::Pause
            }
            Ok(None) => {
                self.phase = Phase::DetectingPrelude(call, headers, stream);
                Flow::Pause
            }
            Err(error) => {
                let response = failed(host, &call, &headers, &error);
                self.conclude(host, call, &response, Body::Seen, after)
            }
        }
    }

    /// A part of a streamed answer has come, and passes.
    fn pass(&mut self, host: &impl Host, is_end: bool) -> Flow {
        let Phase::Streaming(call, mut stream) = self.take() else {
            return Flow::Continue;
        };
        let mut bytes = host.body(Side::Response);
        let taken = stream.next(&mut bytes);
        self.phase = Phase::Streaming(call, stream);
        match taken {
            Ok(()) => {
                host.set_body(Side::Response, &bytes);
                match (is_end, bytes.is_empty()) {
                    (true, _) => self.end(host),
                    (false, false) => Flow::Continue,
                    // An empty frame of HTTP/2 is passed on as one, and a client may take several
                    // for an attack: Envoy's own closes the connection on the second.
                    (false, true) => Flow::Pause,
                }
            }
            Err(error) => self.cut(host, &error),
        }
    }

    /// A streamed answer has ended; the response does so only if the function has said all.
    fn end(&mut self, host: &impl Host) -> Flow {
        let Phase::Streaming(_, stream) = &self.phase else {
            return Flow::Continue;
        };
        match stream.complete() {
            Ok(()) => Flow::Continue,
            Err(error) => self.cut(host, &error),
        }
    }

    /// A streamed answer has failed, and the client has a part of it: it must not take that for
    /// the whole.
    fn cut(&mut self, host: &impl Host, error: &Error) -> Flow {
        let Phase::Streaming(call, _) = self.take() else {
            return Flow::Continue;
        };
        failed(host, &call, &HeaderMap::new(), error);
        self.phase = Phase::DiscardingRest(call);
        host.reset();
        Flow::Pause
    }

    /// Sends a response that is whole, unless another try may still give a better one.
    fn conclude(
        &mut self,
        host: &impl Host,
        call: Call,
        response: &HttpResponse,
        body: Body,
        after: fn(Call) -> Phase,
    ) -> Flow {
        let attempts = self.attempts.count(call.key);
        if attempts.alive > 1 && may_be_retried(response) {
            // The router would drop this answer's headers in favour of another try, and then get its
            // body, on which Envoy 1.36 to 1.40 end in a segmentation fault.
            if attempts.held + 1 == attempts.alive {
                self.phase = Phase::PassingThrough(call);
                host.respond(response);
            } else {
                self.attempts.hold(call.key);
                self.phase = Phase::AwaitingOtherAttempt(call);
            }
            return Flow::Pause;
        }
        deliver(host, response, is_head(&call), body);
        self.phase = after(call);
        Flow::Continue
    }
}

/// Whether the upstream was asked for a stream, and may have sent one: an error comes whole.
fn is_streamed(call: &Call, headers: &HeaderMap) -> bool {
    call.config.invocation == Invocation::ResponseStream
        && first(headers, ":status") == Some(b"200")
}

fn is_head(call: &Call) -> bool {
    first(&call.original, ":method") == Some(b"HEAD")
}

/// Tells the operator what went wrong, and gives what the client gets. `headers` are the
/// upstream's.
fn failed(host: &impl Host, call: &Call, headers: &HeaderMap, error: &Error) -> HttpResponse {
    let function = call.config.function.as_str();
    let id = &call.attributes.request_id;
    match first(headers, headers::REQUEST_ID) {
        Some(lambda) => {
            let lambda = shown(&text(lambda));
            log::warn!("{function}: {error} (request {id}, Lambda's {lambda})");
        }
        None => log::warn!("{function}: {error} (request {id})"),
    }
    if let Some(error_type) = error.error_type() {
        host.set_filter_state(ERROR_TYPE, error_type.as_bytes());
    }
    error_response(error, Some(&call.config))
}

/// Puts the response in the place of the upstream's answer. An answer without a body has no
/// place for one; its status is delivered all the same, because a local response in its stead would
/// pass by the route's retry policy.
fn deliver(host: &impl Host, response: &HttpResponse, is_head: bool, body: Body) {
    let content = match body {
        Body::Seen => response.body.as_slice(),
        Body::Unseen => b"",
    };
    let length = match response.status {
        204 | 304 => None,
        // What GET would have, which is unknown if the function left the body out and says nothing.
        _ if is_head && content.is_empty() => response.declared_length,
        _ => Some(content.len() as u64),
    };
    let status = response.status.to_string();
    let length = length.map(|length| length.to_string());
    let mut headers: Vec<(&str, &[u8])> = vec![(":status", status.as_bytes())];
    for (name, value) in &response.headers {
        if body == Body::Seen || name != "content-type" {
            headers.push((name, value.as_bytes()));
        }
    }
    if let Some(length) = &length {
        headers.push(("content-length", length.as_bytes()));
    }
    host.set_headers(Side::Response, headers);
    if body == Body::Seen {
        let has_content = !is_head && has_content(response.status);
        host.set_body(Side::Response, if has_content { content } else { b"" });
    }
}

/// Puts the beginning of a response in the place of the upstream's answer; how long it will be is
/// not known.
fn begin(host: &impl Host, response: &HttpResponse) {
    let status = response.status.to_string();
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers = [(":status", status.as_bytes())].into_iter().chain(headers);
    host.set_headers(Side::Response, headers.collect());
    host.set_body(Side::Response, &response.body);
}

/// Whether a retry policy may count an answer as a failure: any status but success, and the status
/// of gRPC.
fn may_be_retried(response: &HttpResponse) -> bool {
    let mut headers = response.headers.iter();
    response.status >= 300 || headers.any(|(name, value)| name == "grpc-status" && value != "0")
}
