//! The phases of an exchange, and what each of them holds.

use std::rc::Rc;

use super::attempts::{AttemptMarker, Attempts, HeaderMapState, RequestKey};
use super::host::{Host, Side};
use crate::config::{Config, ConfigCache};
use crate::request::{HeaderMap, RequestAttributes};
use crate::response::StreamedResponse;

/// The client's request line, for access logs: `%FILTER_STATE(wasm.lambda.original:PLAIN)%`.
pub(super) const ORIGINAL: &str = "lambda.original";

/// The [`AttemptMarker`] of a request.
pub(super) const MARKER: &str = "lambda.mark";

/// The function of the route: its name or ARN, as configured.
pub(super) const FUNCTION: &str = "lambda.function";

/// Lambda's own name of the invocation, `x-amzn-requestid`, as it stands in the function's logs.
pub(super) const REQUEST_ID: &str = "lambda.request_id";

/// AWS's or the function's name of what went wrong, if something did.
pub(super) const ERROR_TYPE: &str = "lambda.error_type";

/// One request that is to become an invocation.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) config: Rc<Config>,
    /// The client's headers, with the route's changes.
    pub(super) original: Rc<HeaderMap>,
    pub(super) attributes: RequestAttributes,
    pub(super) key: RequestKey,
    /// How long Envoy waits for this try, in its own header.
    pub(super) timeout: Option<Vec<u8>>,
    /// Whether the headers are at present those of the invocation.
    pub(super) is_rewritten: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing has come yet.
    New,
    /// The request's headers have come; they and the body are held.
    BufferingRequest(Call, Body),
    /// The invocation is on its way; the request headers are the Invoke API's.
    Invoking(Call),
    /// The answer's headers have come; they and the body are held.
    BufferingResponse(Call, HeaderMap, Body),
    /// The answer is streamed, and nothing of it has been passed on.
    DetectingPrelude(Call, HeaderMap, Box<StreamedResponse>),
    /// The client has status and headers; what comes of the body passes.
    Streaming(Call, Box<StreamedResponse>),
    /// The try has failed, and waits for another to do better.
    AwaitingOtherAttempt(Call),
    /// Answered; what still comes is dropped.
    DiscardingRest(Call),
    /// Answered; what comes now passes.
    PassingThrough(Call),
    /// Refused; nothing more of the request passes.
    Refused,
}

/// Whether a body callback has come: only then has Envoy a place for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Unseen,
    Seen,
}

/// One request through the filter.
#[derive(Debug)]
pub struct Exchange {
    pub(super) configs: Rc<ConfigCache>,
    pub(super) attempts: Rc<Attempts>,
    pub(super) phase: Phase,
}

impl Exchange {
    /// For a request whose function is to be found in `configs`, and whose other attempts, if there
    /// are any, in `attempts`.
    #[must_use]
    pub fn new(configs: Rc<ConfigCache>, attempts: Rc<Attempts>) -> Self {
        Self {
            configs,
            attempts,
            phase: Phase::New,
        }
    }

    pub(super) fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Refused)
    }
}

/// Puts the client's own headers back.
pub(super) fn restore(host: &impl Host, call: &mut Call) {
    let headers = call.original.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    call.is_rewritten = false;
    mark(host, call.key, HeaderMapState::Client);
}

pub(super) fn mark(host: &impl Host, key: RequestKey, headers: HeaderMapState) {
    host.set_filter_state(MARKER, &AttemptMarker { key, headers }.encode());
}
