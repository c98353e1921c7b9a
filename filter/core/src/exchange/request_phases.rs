//! The first half of an exchange: the request is held until it is whole, and becomes an invocation.

use std::borrow::Cow;
use std::rc::Rc;

use lambda_api::headers::{ENVOY_REQUEST_ID, ENVOY_TIMEOUT_MS, INVOCATION};
use lambda_api::limits::MAX_HEADERS;

use super::attempts::{AttemptMarker, HeaderMapState, RequestKey};
use super::attributes::attributes;
use super::host::{Flow, Host, Side};
use super::invoke_request;
use super::phase::{
    Body, Call, ERROR_TYPE, Exchange, FUNCTION, MARKER, ORIGINAL, Phase, mark, restore,
};
use crate::config::Config;
use crate::config::values::BodylessEvent;
use crate::error::Error;
use crate::event;
use crate::request::header_map::{first, text};
use crate::request::{HeaderMap, Request};
use crate::response::error_response;

impl Exchange {
    /// The request's headers have come.
    pub fn on_request_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let Some((key, original, timeout)) = self.meet(host) else {
            let error = Error::LostHeaders;
            log::error!("{error}");
            return self.refuse(host, &error, None);
        };
        if original.len() > MAX_HEADERS {
            let error = Error::TooManyHeaders {
                found: original.len(),
                limit: MAX_HEADERS,
            };
            log::warn!("{error}");
            return self.refuse(host, &error, None);
        }
        let place = || {
            let [authority, path] = [":authority", ":path"]
                .map(|name| text(first(&original, name).unwrap_or_default()).into_owned());
            format!("the route of {authority}{path}")
        };
        let config = match self.configs.find(levels(host), place) {
            Ok(config) => config,
            Err(error) => return self.refuse(host, &error.into(), None),
        };
        host.set_filter_state(FUNCTION, config.function.as_str().as_bytes());
        let announced = first(&original, "content-length")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|length| length.parse().ok())
            .unwrap_or_default();
        let refusal = match event::within(announced, config.max_request_bytes) {
            Ok(()) if end_of_stream && config.bodyless_event == BodylessEvent::Body => {
                Some(Error::NoBodyFilter)
            }
            checked => checked.err(),
        };
        if let Some(error) = refusal {
            return self.refuse(host, &error, Some(&config));
        }
        let attributes = attributes(host, &original, &config, key.time_ns);
        let call = Call {
            config,
            original,
            attributes,
            key,
            timeout,
            is_rewritten: false,
        };
        self.phase = Phase::BufferingRequest(call, Body::Unseen);
        if end_of_stream {
            self.invoke(host)
        } else {
            Flow::Pause
        }
    }

    /// A part of the request's body has come; `held` bytes are held by now.
    pub fn on_request_body(&mut self, host: &impl Host, held: usize, end_of_stream: bool) -> Flow {
        let Phase::BufferingRequest(call, body) = &mut self.phase else {
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
        if !matches!(self.phase, Phase::BufferingRequest(..)) {
            return self.rest_of_request();
        }
        host.clear_trailers(Side::Request);
        self.invoke(host)
    }

    /// The try is over, perhaps without an answer.
    pub fn on_done(&mut self, host: &impl Host) {
        let mut call = match self.take() {
            Phase::New | Phase::BufferingRequest(..) | Phase::Refused => return,
            Phase::Invoking(call)
            | Phase::BufferingResponse(call, ..)
            | Phase::DetectingPrelude(call, ..)
            | Phase::Streaming(call, _)
            | Phase::AwaitingOtherAttempt(call)
            | Phase::DiscardingRest(call)
            | Phase::PassingThrough(call) => call,
        };
        self.attempts.end(call.key);
        if self.attempts.count(call.key).alive == 0 && call.is_rewritten {
            restore(host, &mut call);
        }
    }

    /// Which request this is, its headers before any try changed them, and how long Envoy waits for
    /// this try. `None` if a try of another VM has changed them, and not put them back.
    fn meet(&self, host: &impl Host) -> Option<(RequestKey, Rc<HeaderMap>, Option<Vec<u8>>)> {
        let mut headers = host.headers(Side::Request);
        let timeout = first(&headers, ENVOY_TIMEOUT_MS).map(<[u8]>::to_vec);
        let mark = host.property(&[MARKER]);
        if let Some(AttemptMarker {
            key,
            headers: state,
        }) = mark.and_then(|bytes| AttemptMarker::decode(&bytes))
        {
            // What the try before ran into says nothing about this one.
            host.set_filter_state(ERROR_TYPE, b"");
            let original = match (self.attempts.original(key), state) {
                (Some(original), _) => original,
                (None, HeaderMapState::Client) => Rc::new(headers),
                (None, HeaderMapState::RequestLineChanged) => {
                    let line = host.property(&[ORIGINAL]).unwrap_or_default();
                    let mut words = line.splitn(2, |&byte| byte == b' ');
                    for name in [":method", ":path"] {
                        let word = words.next().unwrap_or_default();
                        let old = headers.iter_mut().filter(|(known, _)| known == name);
                        old.for_each(|(_, value)| *value = word.to_vec());
                    }
                    Rc::new(headers)
                }
                (None, HeaderMapState::Invocation) => return None,
            };
            return Some((key, original, timeout));
        }
        let line = [":method", ":path"].map(|name| first(&headers, name).unwrap_or_default());
        host.set_filter_state(ORIGINAL, &line.join(&b' '));
        let key = self.attempts.meet(host.now_ns());
        Some((key, Rc::new(headers), timeout))
    }

    fn rest_of_request(&self) -> Flow {
        match self.phase {
            Phase::Refused => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    /// The request is whole: sends the invocation instead.
    fn invoke(&mut self, host: &impl Host) -> Flow {
        let Phase::BufferingRequest(mut call, body) = self.take() else {
            return Flow::Continue;
        };
        let sent = match (body, call.config.bodyless_event) {
            (Body::Seen, _) => send(host, &mut call),
            (Body::Unseen, BodylessEvent::Header) => send_in_header(host, &call),
            (Body::Unseen, BodylessEvent::Body) => Err(Error::TrailersOnly),
        };
        match sent {
            Ok(()) => {
                self.attempts.begin(call.key, &call.original);
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
            let id = text(first(&headers, ENVOY_REQUEST_ID).unwrap_or_default());
            log::warn!("{}: {error} (request {id})", config.function.as_str());
        }
        self.phase = Phase::Refused;
        host.respond(&error_response(error, config));
        Flow::Pause
    }
}

/// Puts the invocation in the place of the client's request.
fn send(host: &impl Host, call: &mut Call) -> Result<(), Error> {
    let body = host.body(Side::Request);
    let request = request(call, &body)?;
    let event = event::encode(&request, &call.config)?;
    let scheme = first(&call.original, ":scheme").unwrap_or(b"http");
    let timeout = call.timeout.as_deref();
    let headers = invoke_request::headers(&request, scheme, &call.config, event.len(), timeout);
    let headers = headers.iter().map(|(name, value)| (*name, value.as_ref()));
    host.set_headers(Side::Request, headers.collect());
    host.set_body(Side::Request, &event);
    call.is_rewritten = true;
    mark(host, call.key, HeaderMapState::Invocation);
    Ok(())
}

/// Adds the invocation to the client's request, of which the invoker then takes nothing else. Envoy
/// lets no filter put headers back that have left without a body.
fn send_in_header(host: &impl Host, call: &Call) -> Result<(), Error> {
    let request = request(call, b"")?;
    let invocation = invoke_request::header(&request, &call.config)?;
    host.set_header(Side::Request, INVOCATION, &invocation);
    let mut headers = HeaderMapState::Client;
    if request.method == "HEAD" {
        // Its answer would have no body.
        host.set_header(Side::Request, ":method", b"GET");
        headers = HeaderMapState::RequestLineChanged;
    }
    let path = first(&call.original, ":path").unwrap_or_default();
    if let Cow::Owned(path) = invoke_request::strict(path) {
        // Servers are stricter than clients about what stands in a request line.
        host.set_header(Side::Request, ":path", path.as_bytes());
        headers = HeaderMapState::RequestLineChanged;
    }
    mark(host, call.key, headers);
    Ok(())
}

fn request<'a>(call: &'a Call, body: &'a [u8]) -> Result<Request<'a>, Error> {
    let strip_prefix = call.config.strip_prefix.as_deref();
    Request::new(&call.original, strip_prefix, &call.attributes, body).ok_or(Error::NoPath)
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
