//! The phases of one request. Envoy's callbacks come in, effects go out through [`Host`].
//!
//! The upstream chain changes the one request header map that retries, access logs and tracing
//! share. So the first try keeps the client's headers in filter state, where the next try finds
//! them (no client can write there), and they are put back as soon as Envoy has sent them or
//! will not.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::config::{Config, Payload};
use crate::error::Error;
use crate::event;
use crate::identity::{self, ClientCert};
use crate::invoke;
use crate::reply::{self, Invoked, Reply};
use crate::request::{Facts, HeaderMap, Request, text};
use crate::state;
use crate::target::Targets;

/// The client's request line, for access logs: `%FILTER_STATE(wasm.lambda.original:PLAIN)%`.
pub const ORIGINAL: &str = "lambda.original";

/// The client's headers, for the next try.
pub const ORIGINAL_HEADERS: &str = "lambda.original_headers";

/// The two directions of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the upstream.
    Request,
    /// To the client.
    Response,
}

/// What Envoy is to do with what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Pass it on.
    Continue,
    /// Hold it.
    Pause,
}

/// What the machine asks of Envoy.
pub trait Host {
    /// A property or an object of filter state.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Keeps an object in filter state under `wasm.<name>`.
    fn set_filter_state(&self, name: &str, value: &[u8]);
    /// All headers.
    fn headers(&self, side: Side) -> HeaderMap;
    /// Replaces all headers.
    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>);
    /// The whole body as held so far.
    fn body(&self, side: Side) -> Vec<u8>;
    /// Replaces the whole body. Envoy has a place for one only after a body callback.
    fn set_body(&self, side: Side, body: &[u8]);
    /// Removes all trailers.
    fn clear_trailers(&self, side: Side);
    /// Answers the client without an upstream.
    fn respond(&self, reply: &Reply);
}

/// One request that is to become an invocation.
#[derive(Debug)]
struct Call {
    config: Rc<Config>,
    /// The client's headers, with the route's changes.
    original: HeaderMap,
    facts: Facts,
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
    /// What comes now passes.
    Done,
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
        let config = match self.targets.find(levels(host)) {
            Ok(config) => config,
            Err(error) => return self.refuse(host, &error, None),
        };
        let announced = value(&original, "content-length")
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
        let call = Call {
            facts: facts(host, &original, &config),
            config,
            original,
        };
        self.phase = Phase::Gathering(call, Body::Unseen);
        Flow::Pause
    }

    /// A part of the request's body has come; `held` bytes are held by now.
    pub fn on_request_body(&mut self, host: &impl Host, held: usize, end_of_stream: bool) -> Flow {
        let Phase::Gathering(call, body) = &mut self.phase else {
            return Flow::Continue;
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
            return Flow::Continue;
        }
        host.clear_trailers(Side::Request);
        self.invoke(host)
    }

    /// The answer's headers have come.
    pub fn on_response_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let Phase::Invoking(call) = self.take() else {
            return Flow::Continue;
        };
        restore(host, &call);
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
        if let Phase::Invoking(call) = self.take() {
            restore(host, &call);
        }
    }

    fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Done)
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
            error.reply(Some(&call.config))
        });
        let is_head = value(&call.original, ":method") == Some(b"HEAD");
        deliver(host, &reply, is_head, body);
        Flow::Continue
    }

    fn refuse(&mut self, host: &impl Host, error: &Error, config: Option<&Config>) -> Flow {
        // A wrong configuration was logged when it was first met.
        if let Some(config) = config {
            log::warn!("{}: {error}", config.function.as_str());
        }
        self.phase = Phase::Done;
        host.respond(&error.reply(config));
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
    let scheme = value(&call.original, ":scheme").unwrap_or(b"http");
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
    let has_content = !is_head && !matches!(reply.status, 204 | 304);
    let length = match body {
        Body::Seen => reply.body.len(),
        Body::Unseen => 0,
    };
    let status = reply.status.to_string();
    let content_length = length.to_string();
    let mut headers: Vec<(&str, &[u8])> = vec![(":status", status.as_bytes())];
    for (name, value) in &reply.headers {
        if body == Body::Seen || name != "content-type" {
            headers.push((name, value.as_bytes()));
        }
    }
    // For HEAD it is the length that GET would have; unknown if the function left the body out.
    if has_content || (is_head && length > 0) {
        headers.push(("content-length", content_length.as_bytes()));
    }
    host.set_headers(Side::Response, headers);
    if body == Body::Seen {
        host.set_body(Side::Response, if has_content { &reply.body } else { b"" });
    }
}

/// Puts the client's own headers back.
fn restore(host: &impl Host, call: &Call) {
    let headers = call.original.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_slice()));
    host.set_headers(Side::Request, headers.collect());
}

/// The headers before any try changed them.
fn original_headers(host: &impl Host) -> HeaderMap {
    let kept = host.property(&[ORIGINAL_HEADERS]);
    if let Some(headers) = kept.and_then(|bytes| state::decode(&bytes)) {
        return headers;
    }
    let headers = host.headers(Side::Request);
    let line = [":method", ":path"].map(|name| value(&headers, name).unwrap_or_default());
    host.set_filter_state(ORIGINAL, &line.join(&b' '));
    host.set_filter_state(ORIGINAL_HEADERS, &state::encode(&headers));
    headers
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut headers = headers.iter();
    headers
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_slice())
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

fn facts(host: &impl Host, headers: &HeaderMap, config: &Config) -> Facts {
    let string = |path: &[&str]| {
        let bytes = host.property(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let time = host.property(&["request", "time"]);
    let has_identity = matches!(
        config.payload,
        Payload::ApigatewayV1 | Payload::ApigatewayV2
    );
    let time = time.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Facts {
        source_ip: source_ip(&string(&["source", "address"])),
        protocol: string(&["request", "protocol"]),
        request_id: text(value(headers, "x-request-id").unwrap_or_default()).into_owned(),
        time_ns: time.map_or(0, i64::from_le_bytes),
        claims: has_identity.then(|| claims(host)).flatten(),
        client_cert: has_identity.then(|| client_cert(host, headers)).flatten(),
    }
}

fn claims(host: &impl Host) -> Option<Map<String, Value>> {
    identity::claims(&host.property(&["metadata"])?)
}

/// Without mutual TLS the header is the client's own word.
fn client_cert(host: &impl Host, headers: &HeaderMap) -> Option<ClientCert> {
    let header = value(headers, "x-forwarded-client-cert")?;
    let is_mutual = host.property(&["connection", "mtls"])? == [1];
    is_mutual
        .then(|| ClientCert::from_forwarded(&text(header)))
        .flatten()
}

/// The address of `198.51.100.23:4711` or `[2001:db8::7]:4711`. A caller on a Unix socket has
/// none, and is on this machine.
fn source_ip(address: &str) -> String {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => address.ip().to_string(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
