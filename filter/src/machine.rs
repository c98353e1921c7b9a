//! The phases of one request. Envoy's callbacks come in, effects go out through [`Host`].
//!
//! The upstream chain changes the one request header map that retries, access logs and tracing
//! share. So the first try keeps the client's headers in filter state, where the next try finds
//! them (no client can write there), and they are put back as soon as Envoy has sent them or
//! will not.

mod response;

use std::rc::Rc;

use crate::config::Config;
use crate::error::Error;
use crate::event;
use crate::facts::facts;
use crate::host::{Flow, Host, MAX_HEADERS, Side};
use crate::invoke;
use crate::reply::{Streamed, failure};
use crate::request::{Facts, HeaderMap, Request, first, text};
use crate::state;
use crate::target::Targets;

/// The client's request line, for access logs: `%FILTER_STATE(wasm.lambda.original:PLAIN)%`.
pub const ORIGINAL: &str = "lambda.original";

/// The client's headers, for the next try.
pub const ORIGINAL_HEADERS: &str = "lambda.original_headers";

/// The function of the route: its name or ARN, as configured.
pub const FUNCTION: &str = "lambda.function";

/// Lambda's own name of the invocation, `x-amzn-requestid`, as it stands in the function's logs.
pub const REQUEST_ID: &str = "lambda.request_id";

/// AWS's or the function's name of what went wrong, if something did.
pub const ERROR_TYPE: &str = "lambda.error_type";

/// One request that is to become an invocation.
#[derive(Debug)]
struct Call {
    config: Rc<Config>,
    /// The client's headers, with the route's changes.
    original: HeaderMap,
    facts: Facts,
    /// The same for each try of a request.
    id: u64,
    /// How long Envoy waits for this try, in its own header.
    timeout: Option<Vec<u8>>,
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
    /// The answer is streamed, and nothing of it has been passed on.
    Receiving(Call, HeaderMap, Box<Streamed>),
    /// The client has status and headers; what comes of the body passes.
    Streaming(Call, Box<Streamed>),
    /// The try has failed, and waits for another to do better.
    Held(Call),
    /// Answered; what still comes is dropped.
    Spent(Call),
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
        let (original, timeout) = original_headers(host);
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
        host.set_filter_state(FUNCTION, config.function.as_str().as_bytes());
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
            timeout,
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

    /// The try is over, perhaps without an answer.
    pub fn on_done(&mut self, host: &impl Host) {
        let mut call = match self.take() {
            Phase::New | Phase::Gathering(..) | Phase::Refused => return,
            Phase::Invoking(call)
            | Phase::Answering(call, ..)
            | Phase::Receiving(call, ..)
            | Phase::Streaming(call, _)
            | Phase::Held(call)
            | Phase::Spent(call)
            | Phase::Done(call) => call,
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
    let timeout = call.timeout.as_deref();
    let headers = invoke::headers(&request, scheme, config, event.len(), timeout);
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    host.set_body(Side::Request, &event);
    Ok(())
}

/// Puts the client's own headers back.
fn restore(host: &impl Host, call: &mut Call) {
    let headers = call.original.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    call.is_restored = true;
}

/// The headers before any try changed them, and how long Envoy waits for this try.
fn original_headers(host: &impl Host) -> (HeaderMap, Option<Vec<u8>>) {
    let headers = host.headers(Side::Request);
    let timeout = first(&headers, invoke::TIMEOUT).map(<[u8]>::to_vec);
    let kept = host.property(&[ORIGINAL_HEADERS]);
    if let Some(original) = kept.and_then(|bytes| state::decode(&bytes)) {
        // What the try before ran into says nothing about this one.
        host.set_filter_state(ERROR_TYPE, b"");
        return (original, timeout);
    }
    let line = [":method", ":path"].map(|name| first(&headers, name).unwrap_or_default());
    host.set_filter_state(ORIGINAL, &line.join(&b' '));
    host.set_filter_state(ORIGINAL_HEADERS, &state::encode(&headers));
    (headers, timeout)
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
