//! The phases of one request. Envoy's callbacks come in, effects go out through [`Host`].
//!
//! The upstream chain changes the one request header map that retries, access logs and tracing
//! share. So the first try keeps the client's headers in filter state, where the next try finds
//! them (no client can write there), and they are put back as soon as Envoy has sent them or
//! will not.

use std::rc::Rc;

use crate::config::Config;
use crate::error::Error;
use crate::event;
use crate::facts::facts;
use crate::host::{Flow, Host, MAX_HEADERS, Side};
use crate::invoke;
use crate::reply::{self, Invoked, Reply, failure, has_content};
use crate::request::{Facts, HeaderMap, Request, first, text};
use crate::state;
use crate::target::Targets;

/// The client's request line, for access logs: `%FILTER_STATE(wasm.lambda.original:PLAIN)%`.
pub const ORIGINAL: &str = "lambda.original";

/// The client's headers, for the next try.
pub const ORIGINAL_HEADERS: &str = "lambda.original_headers";

/// One request that is to become an invocation.
#[derive(Debug)]
struct Call {
    config: Rc<Config>,
    /// The client's headers, with the route's changes.
    original: HeaderMap,
    facts: Facts,
    /// The same for each try of a request.
    id: u64,
    /// Whether the client's headers are back in their place.
    is_restored: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has come yet.
    New,
    /// The request's headers have come; they and the body are held.
    Gathering(Call, Body),
    /// The invocation is on its way; the request headers are the Invoke API's.
    Invoking(Call),
    /// The answer's headers have come; they and the body are held.
    Answering(Call, HeaderMap, Body),
    /// Answered; what comes now passes.
    Done(Call),
    /// Refused; nothing more of the request passes.
    Refused,
}

/// Whether a body callback has come: only then has Envoy a place for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Unseen,
    Seen,
}

/// One request through the filter.
#[derive(Debug)]
pub struct Machine {
    targets: Rc<Targets>,
    phase: Phase,
}

impl Machine {
    /// For a request whose function is to be found in `targets`.
    #[must_use]
    pub fn new(targets: Rc<Targets>) -> Self {
        Self {
            targets,
            phase: Phase::New,
        }
    }

    /// The request's headers have come.
    pub fn on_request_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let original = original_headers(host);
        if original.len() > MAX_HEADERS {
            let error = Error::TooManyHeaders(original.len());
            log::warn!("{error}");
            return self.refuse(host, &error, None);
        }
        let place = || {
            let [authority, path] = [":authority", ":path"]
                .map(|name| text(first(&original, name).unwrap_or_default()).into_owned());
            format!("the route of {authority}{path}")
        };
        let config = match self.targets.find(levels(host), place) {
            Ok(config) => config,
            Err(error) => return self.refuse(host, &error, None),
        };
        let announced = first(&original, "content-length")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|length| length.parse().ok())
            .unwrap_or_default();
        let refusal = match event::within(announced, config.max_request_bytes) {
            Ok(()) if end_of_stream => Some(Error::NoBodyFilter),
            checked => checked.err(),
        };
        if let Some(error) = refusal {
            return self.refuse(host, &error, Some(&config));
        }
        let (facts, id) = facts(host, &original, &config);
        let call = Call {
            config,
            original,
            facts,
            id,
            is_restored: false,
        };
        self.phase = Phase::Gathering(call, Body::Unseen);
        Flow::Pause
    }

    /// A part of the request's body has come; `held` bytes are held by now.
    pub fn on_request_body(&mut self, host: &impl Host, held: usize, end_of_stream: bool) -> Flow {
        let Phase::Gathering(call, body) = &mut self.phase else {
            return self.rest_of_request();
        };
        *body = Body::Seen;
        let config = Rc::clone(&call.config);
        if let Err(error) = event::within(held, config.max_request_bytes) {
            return self.refuse(host, &error, Some(&config));
        }
        if end_of_stream {
            self.invoke(host)
        } else {
            Flow::Pause
        }
    }

    /// The request ends in trailers: its body never has `end_of_stream`. An invocation has none.
    pub fn on_request_trailers(&mut self, host: &impl Host) -> Flow {
        if !matches!(self.phase, Phase::Gathering(..)) {
            return self.rest_of_request();
        }
        host.clear_trailers(Side::Request);
        self.invoke(host)
    }

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
        if self.targets.tries(call.id).alive == 1 {
            restore(host, &mut call);
        }
        self.phase = Phase::Answering(call, host.headers(Side::Response), Body::Unseen);
        if end_of_stream {
            self.answer(host)
        } else {
            Flow::Pause
        }
    }

    /// A part of the answer's body has come.
    pub fn on_response_body(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let Phase::Answering(_, _, body) = &mut self.phase else {
            return Flow::Continue;
        };
        *body = Body::Seen;
        if end_of_stream {
            self.answer(host)
        } else {
            Flow::Pause
        }
    }

    /// The answer ends in trailers, which are the Invoke API's and not the client's.
    pub fn on_response_trailers(&mut self, host: &impl Host) -> Flow {
        if !matches!(self.phase, Phase::Answering(..)) {
            return Flow::Continue;
        }
        host.clear_trailers(Side::Response);
        self.answer(host)
    }

    /// The try is over, perhaps without an answer.
    pub fn on_done(&mut self, host: &impl Host) {
        let (Phase::Invoking(mut call) | Phase::Answering(mut call, ..) | Phase::Done(mut call)) =
            self.take()
        else {
            return;
        };
        self.targets.end(call.id);
        if self.targets.tries(call.id).alive == 0 && !call.is_restored {
            restore(host, &mut call);
        }
    }

    fn rest_of_request(&self) -> Flow {
        match self.phase {
            Phase::Refused => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Refused)
    }

    /// The request is whole: sends the invocation instead.
    fn invoke(&mut self, host: &impl Host) -> Flow {
        let Phase::Gathering(call, body) = self.take() else {
            return Flow::Continue;
        };
        let sent = match body {
            Body::Seen => send(host, &call),
            Body::Unseen => Err(Error::TrailersOnly),
        };
        match sent {
            Ok(()) => {
                self.targets.begin(call.id);
                self.phase = Phase::Invoking(call);
                Flow::Continue
            }
            Err(error) => self.refuse(host, &error, Some(&call.config)),
        }
    }

    /// The answer is whole: sends the response instead.
    fn answer(&mut self, host: &impl Host) -> Flow {
        let Phase::Answering(call, headers, body) = self.take() else {
            return Flow::Continue;
        };
        let payload = match body {
            Body::Seen => host.body(Side::Response),
            Body::Unseen => Vec::new(),
        };
        let invoked = Invoked {
            headers: &headers,
            body: &payload,
        };
        let reply = reply::decode(&invoked, &call.config).unwrap_or_else(|error| {
            let function = call.config.function.as_str();
            log::warn!("{function}: {error} (request {})", call.facts.request_id);
            failure::reply(&error, Some(&call.config))
        });
        let tries = self.targets.tries(call.id);
        if tries.alive > 1 && may_be_retried(&reply) {
            // The router would drop this answer's headers in favour of another try, and then get its
            // body, on which Envoy 1.36 to 1.40 end in a segmentation fault.
            if tries.held + 1 == tries.alive {
                self.phase = Phase::Done(call);
                host.respond(&reply);
            } else {
                self.targets.hold(call.id);
                self.phase = Phase::Answering(call, headers, body);
            }
            return Flow::Pause;
        }
        let is_head = first(&call.original, ":method") == Some(b"HEAD");
        deliver(host, &reply, is_head, body);
        self.phase = Phase::Done(call);
        Flow::Continue
    }

    fn refuse(&mut self, host: &impl Host, error: &Error, config: Option<&Config>) -> Flow {
        // A wrong configuration was logged when it was first met.
        if let Some(config) = config {
            let headers = host.headers(Side::Request);
            let id = text(first(&headers, "x-request-id").unwrap_or_default());
            log::warn!("{}: {error} (request {id})", config.function.as_str());
        }
        self.phase = Phase::Refused;
        host.respond(&failure::reply(error, config));
        Flow::Pause
    }
}

/// Puts the invocation in the place of the client's request.
fn send(host: &impl Host, call: &Call) -> Result<(), Error> {
    let body = host.body(Side::Request);
    let config = &call.config;
    let strip_prefix = config.strip_prefix.as_deref();
    let request = Request::new(&call.original, strip_prefix, &call.facts, &body);
    let request = request.ok_or(Error::NoPath)?;
    let event = event::encode(&request, config)?;
    let scheme = first(&call.original, ":scheme").unwrap_or(b"http");
    let headers = invoke::headers(&request, scheme, config, event.len());
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    host.set_body(Side::Request, &event);
    Ok(())
}

/// Puts the response in the place of the upstream's answer. An answer without a body has no
/// place for one; its status is delivered all the same, because a local reply in its stead would
/// pass by the route's retry policy.
fn deliver(host: &impl Host, reply: &Reply, is_head: bool, body: Body) {
    let content = match body {
        Body::Seen => reply.body.as_slice(),
        Body::Unseen => b"",
    };
    let length = match reply.status {
        204 | 304 => None,
        // What GET would have, which is unknown if the function left the body out and says nothing.
        _ if is_head && content.is_empty() => reply.declared_length,
        _ => Some(content.len() as u64),
    };
    let status = reply.status.to_string();
    let length = length.map(|length| length.to_string());
    let mut headers: Vec<(&str, &[u8])> = vec![(":status", status.as_bytes())];
    for (name, value) in &reply.headers {
        if body == Body::Seen || name != "content-type" {
            headers.push((name, value.as_bytes()));
        }
    }
    if let Some(length) = &length {
        headers.push(("content-length", length.as_bytes()));
    }
    host.set_headers(Side::Response, headers);
    if body == Body::Seen {
        let has_content = !is_head && has_content(reply.status);
        host.set_body(Side::Response, if has_content { content } else { b"" });
    }
}

/// Whether a retry policy may count an answer as a failure: any status but success, and the status
/// of gRPC.
fn may_be_retried(reply: &Reply) -> bool {
    let mut headers = reply.headers.iter();
    reply.status >= 300 || headers.any(|(name, value)| name == "grpc-status" && value != "0")
}

/// Puts the client's own headers back.
fn restore(host: &impl Host, call: &mut Call) {
    let headers = call.original.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    call.is_restored = true;
}

/// The headers before any try changed them.
fn original_headers(host: &impl Host) -> HeaderMap {
    let kept = host.property(&[ORIGINAL_HEADERS]);
    if let Some(headers) = kept.and_then(|bytes| state::decode(&bytes)) {
        return headers;
    }
    let headers = host.headers(Side::Request);
    let line = [":method", ":path"].map(|name| first(&headers, name).unwrap_or_default());
    host.set_filter_state(ORIGINAL, &line.join(&b' '));
    host.set_filter_state(ORIGINAL_HEADERS, &state::encode(&headers));
    headers
}

/// Nearest first.
fn levels(host: &impl Host) -> [Vec<u8>; 3] {
    [
        "route_metadata",
        "virtual_host_metadata",
        "cluster_metadata",
    ]
    .map(|name| host.property(&["xds", name]).unwrap_or_default())
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
