//! The phases of an exchange, and what each of them holds.

use std::rc::Rc;

use super::attempts::{AttemptMarker, Attempts, HeaderMapState, RequestKey};
use super::host::{Host, Side};
use crate::config::{Config, ConfigCache};
use crate::metrics::Metric;
use crate::request::{HeaderMap, RequestAttributes, header_map};
use crate::response::StreamedResponse;
use crate::response::long_body::LongBody;

/// The filter state for access logs with the client's method and path:
/// `%FILTER_STATE(wasm.lambda.original:PLAIN)%`.
pub(super) const ORIGINAL: &str = "lambda.original";

/// The filter state with the [`AttemptMarker`].
pub(super) const MARKER: &str = "lambda.mark";

/// The filter state with the function's name or ARN, as configured.
pub(super) const FUNCTION: &str = "lambda.function";

/// The filter state with Lambda's id of the invocation, `x-amzn-requestid`, as in the function's log.
pub(super) const REQUEST_ID: &str = "lambda.request_id";

/// The filter state with the type of the error that AWS or the function gave, if there was an error.
pub(super) const ERROR_TYPE: &str = "lambda.error_type";

/// The filter state with the client's headers, for a host that cannot [put them
/// back](super::Capabilities::restores_headers) where they came from.
pub(super) const CLIENT_HEADERS: &str = "lambda.client_headers";

/// The filter state with the claims of verified tokens, for a host without dynamic metadata. The
/// listener's chain stores them there.
pub const CLAIMS: &str = "lambda.claims";

/// An attempt of a request whose headers have come.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) config: Rc<Config>,
    /// The client's headers, with the route's changes.
    pub(super) client_headers: Rc<HeaderMap>,
    pub(super) attributes: RequestAttributes,
    pub(super) key: RequestKey,
    /// The value of `x-envoy-expected-rq-timeout-ms`.
    pub(super) timeout: Option<Vec<u8>>,
    /// The request headers in Envoy are those of the invocation.
    pub(super) is_rewritten: bool,
    /// The time that decoding has taken so far in nanoseconds, if the attempt is timed.
    pub(super) decode_ns: Option<i64>,
}

impl Attempt {
    /// Returns the moment from which the time of decoding counts.
    pub(super) fn decode_start(&self, host: &impl Host) -> Option<i64> {
        self.decode_ns.map(|spent| host.clock_ns() - spent)
    }

    /// Counts the time of decoding since `start`.
    pub(super) fn decode_end(&mut self, host: &impl Host, start: Option<i64>) {
        self.decode_ns = start.map(|start| host.clock_ns() - start);
    }

    /// Records the time of decoding.
    pub(super) fn record_decode_time(&self, host: &impl Host) {
        if let Some(spent) = self.decode_ns {
            host.record(
                &self.config.metrics,
                Metric::DecodeTime,
                microseconds(spent),
            );
        }
    }
}

/// Returns nanoseconds as microseconds. A clock that was set back counts as none.
pub(super) fn microseconds(nanoseconds: i64) -> u64 {
    u64::try_from(nanoseconds / 1000).unwrap_or_default()
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing has come yet.
    New,
    /// The request's headers have come. Envoy holds them and the body.
    BufferingRequest(Attempt, BodyBuffer),
    /// The invocation is on its way.
    Invoking(Attempt),
    /// The response's headers have come. Envoy holds them and the body.
    BufferingResponse(Attempt, HeaderMap, BodyBuffer),
    /// The response's body is decoded as it comes. Envoy holds the headers and what is decoded.
    DecodingBody(Attempt, HeaderMap, Box<LongBody>),
    /// The response is streamed, and the client has nothing of it yet.
    DetectingPrelude(Attempt, HeaderMap, Box<StreamedResponse>),
    /// The client has status and headers, and the body passes as it comes.
    Streaming(Attempt, Box<StreamedResponse>),
    /// The attempt has failed, and waits for the result of another one.
    AwaitingOtherAttempt(Attempt),
    /// The client has its response, and the rest of the upstream's is dropped.
    DiscardingRest(Attempt),
    /// The response is complete, and Envoy passes it on.
    PassingThrough(Attempt),
    /// The request is refused, and nothing more of it passes.
    Refused,
}

/// The state of Envoy's buffer for a body. There is one only after a body callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyBuffer {
    Missing,
    Present,
}

/// An attempt of a request on its way through the filter.
#[derive(Debug)]
pub struct Exchange {
    pub(super) configs: Rc<ConfigCache>,
    pub(super) attempts: Rc<Attempts>,
    /// The context in Envoy.
    pub(super) context: u32,
    pub(super) phase: Phase,
}

impl Exchange {
    /// Returns an exchange of which nothing has come yet. Its configuration is found in `configs`, and
    /// the other attempts of its request in `attempts`. `context` is its identifier in Envoy.
    #[must_use]
    pub fn new(configs: Rc<ConfigCache>, attempts: Rc<Attempts>, context: u32) -> Self {
        Self {
            configs,
            attempts,
            context,
            phase: Phase::New,
        }
    }

    /// Takes the phase, and leaves one in which nothing passes.
    pub(super) fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Refused)
    }
}

/// Puts the client's own headers back.
pub(super) fn restore_client_headers(host: &impl Host, attempt: &mut Attempt) {
    put_back(host, attempt.key, &attempt.client_headers);
    attempt.is_rewritten = false;
}

/// Puts the client's headers in the place of those of an invocation.
pub(super) fn put_back(host: &impl Host, key: RequestKey, client_headers: &HeaderMap) {
    let headers = client_headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
    set_marker(host, key, HeaderMapState::Client);
}

/// Puts the client's headers back if the last attempt has not, for access logs and traces. For a filter in
/// the listener's chain, on a host that cannot [do it at the end of an
/// attempt](super::Capabilities::restores_headers).
pub fn restore_after_last_attempt(host: &impl Host) {
    let marker = host.filter_state(MARKER);
    if let Some(AttemptMarker {
        key,
        headers: HeaderMapState::Invocation,
    }) = marker.and_then(|bytes| AttemptMarker::decode(&bytes))
        && let Some(client_headers) = kept_headers(host)
    {
        put_back(host, key, &client_headers);
    }
}

/// Returns the client's headers that an attempt before has stored, on a host that may not have put them
/// back.
pub(super) fn kept_headers(host: &impl Host) -> Option<HeaderMap> {
    if host.capabilities().restores_headers {
        return None;
    }
    header_map::decode(&host.filter_state(CLIENT_HEADERS)?)
}

pub(super) fn set_marker(host: &impl Host, key: RequestKey, headers: HeaderMapState) {
    host.set_filter_state(MARKER, &AttemptMarker { key, headers }.encode());
}
