//! The first half of an exchange: the request is held until it is whole, and becomes an invocation.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use lambda_api::headers::{CLIENT_REQUEST, ENVOY_REQUEST_ID, ENVOY_TIMEOUT_MS, INVOCATION, SECRET};
use lambda_api::limits::MAX_HEADERS;

use super::attempts::{AttemptMarker, HeaderMapState, RequestKey};
use super::attributes;
use super::host::{Flow, Host, Side};
use super::invoke_request;
use super::phase::{
    Attempt, BodyBuffer, CLIENT_HEADERS, ERROR_TYPE, Exchange, FUNCTION, MARKER, ORIGINAL, Phase,
    kept_headers, microseconds, restore_client_headers, set_marker,
};
use super::report;
use crate::config::Config;
use crate::config::values::BodylessEvent;
use crate::error::{Error, single_line};
use crate::event;
use crate::metrics::{ErrorKind, Metric};
use crate::request::header_map::{first, text};
use crate::request::{HeaderMap, Request, header_map};
use crate::response::error_response;

impl Exchange {
    /// Takes the request's headers.
    pub fn on_request_headers(&mut self, host: &impl Host, end_of_stream: bool) -> Flow {
        let Some((key, client_headers, timeout)) = self.register(host) else {
            let error = Error::LostHeaders;
            log::error!("{error}");
            return self.refuse(host, &error, None);
        };
        if client_headers.len() > MAX_HEADERS {
            let error = Error::TooManyHeaders {
                found: client_headers.len(),
                limit: MAX_HEADERS,
            };
            log::warn!("{error}");
            return self.refuse(host, &error, None);
        }
        let place = || {
            // Without the query, in which secrets may stand.
            let [authority, path] = [":authority", ":path"].map(|name| {
                let value = first(&client_headers, name).unwrap_or_default();
                let value = value.split(|&byte| byte == b'?').next();
                single_line(&text(value.unwrap_or_default()))
            });
            format!("the route of {authority}{path}")
        };
        let config = match self.configs.find(host.route_settings(), place) {
            Ok(config) => config,
            Err(error) => return self.refuse(host, &error.into(), None),
        };
        if self.attempts.hold_check.refuses(host) {
            return self.refuse(host, &Error::HeadersNotHeld, None);
        }
        host.set_filter_state(FUNCTION, config.function.as_str().as_bytes());
        let announced = first(&client_headers, "content-length")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|length| length.parse().ok())
            .unwrap_or_default();
        let refusal = match event::check_size(announced, config.max_request_bytes) {
            Ok(()) if end_of_stream && !can_invoke_without_body(host, &config) => {
                Some(Error::NoBodyFilter)
            }
            checked => checked.err(),
        };
        if let Some(error) = refusal {
            return self.refuse(host, &error, Some(&config));
        }
        let attributes = attributes::collect(host, &client_headers, &config, key.time_ns);
        let attempt = Attempt {
            config,
            client_headers,
            attributes,
            key,
            timeout,
            is_rewritten: false,
            decode_ns: None,
        };
        if !end_of_stream {
            let hold_check = &self.attempts.hold_check;
            hold_check.begin(host, self.context, Some(&attempt.client_headers));
        }
        self.phase = Phase::BufferingRequest(attempt, BodyBuffer::Missing);
        if end_of_stream {
            self.invoke(host)
        } else {
            Flow::Pause
        }
    }

    /// Takes a part of the request's body, with which Envoy holds `body_bytes` of it.
    pub fn on_request_body(
        &mut self,
        host: &impl Host,
        body_bytes: usize,
        end_of_stream: bool,
    ) -> Flow {
        let Phase::BufferingRequest(attempt, body) = &mut self.phase else {
            return self.rest_of_request();
        };
        *body = BodyBuffer::Present;
        self.attempts.hold_check.prove();
        let config = Rc::clone(&attempt.config);
        if let Err(error) = event::check_size(body_bytes, config.max_request_bytes) {
            return self.refuse(host, &error, Some(&config));
        }
        if end_of_stream {
            self.invoke(host)
        } else {
            Flow::Pause
        }
    }

    /// Takes the request's trailers, after which no body callback has `end_of_stream`. An invocation
    /// has no trailers.
    pub fn on_request_trailers(&mut self, host: &impl Host) -> Flow {
        if !matches!(self.phase, Phase::BufferingRequest(..)) {
            return self.rest_of_request();
        }
        self.attempts.hold_check.prove();
        host.clear_trailers(Side::Request);
        self.invoke(host)
    }

    /// Ends the attempt, perhaps without a response.
    pub fn on_done(&mut self, host: &impl Host) {
        self.attempts.hold_check.end(self.context);
        let is_missing = matches!(
            self.phase,
            Phase::Invoking(_)
                | Phase::BufferingResponse(..)
                | Phase::DecodingBody(..)
                | Phase::DetectingPrelude(..)
        );
        let mut attempt = match self.take() {
            Phase::New | Phase::BufferingRequest(..) | Phase::Refused => return,
            Phase::Invoking(attempt)
            | Phase::BufferingResponse(attempt, ..)
            | Phase::DecodingBody(attempt, ..)
            | Phase::DetectingPrelude(attempt, ..)
            | Phase::Streaming(attempt, _)
            | Phase::AwaitingOtherAttempt(attempt)
            | Phase::DiscardingRest(attempt)
            | Phase::PassingThrough(attempt) => attempt,
        };
        if is_missing {
            let errors = Metric::Errors(ErrorKind::NoResponse);
            host.record(&attempt.config.metrics, errors, 1);
        }
        if let Some(context) = self.attempts.end(attempt.key, self.context) {
            // Not from here: Envoy is about to clear this attempt away.
            host.request_tick(Duration::from_millis(1), context);
        }
        if self.attempts.total(attempt.key) == 0
            && attempt.is_rewritten
            && host.capabilities().restores_headers
        {
            restore_client_headers(host, &mut attempt);
        }
    }

    /// Returns the request's key, its headers before any attempt changed them, and the timeout of this
    /// attempt. `None` if an attempt of another VM has replaced the headers and not put them back.
    fn register(&self, host: &impl Host) -> Option<(RequestKey, Rc<HeaderMap>, Option<Vec<u8>>)> {
        let mut headers = host.headers(Side::Request);
        let timeout = first(&headers, ENVOY_TIMEOUT_MS).map(<[u8]>::to_vec);
        let marker = host.filter_state(MARKER);
        if let Some(AttemptMarker {
            key,
            headers: state,
        }) = marker.and_then(|bytes| AttemptMarker::decode(&bytes))
        {
            // Clears the error of the previous attempt.
            host.set_filter_state(ERROR_TYPE, b"");
            let known = self.attempts.client_headers(key);
            let client_headers = match (known.or_else(|| kept_headers(host).map(Rc::new)), state) {
                (Some(headers), _) => headers,
                (None, HeaderMapState::Client) => Rc::new(headers),
                (None, HeaderMapState::RequestLineChanged) => {
                    let line = host.filter_state(ORIGINAL).unwrap_or_default();
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
            return Some((key, client_headers, timeout));
        }
        let line = [":method", ":path"].map(|name| first(&headers, name).unwrap_or_default());
        host.set_filter_state(ORIGINAL, &line.join(&b' '));
        let key = self.attempts.register(host.now_ns());
        Some((key, Rc::new(headers), timeout))
    }

    fn rest_of_request(&self) -> Flow {
        match self.phase {
            Phase::Refused => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    /// Sends the invocation in the place of the request, which is whole.
    fn invoke(&mut self, host: &impl Host) -> Flow {
        let Phase::BufferingRequest(mut attempt, body) = self.take() else {
            return Flow::Continue;
        };
        let metrics = Rc::clone(&attempt.config.metrics);
        let start = metrics.sample().then(|| host.clock_ns());
        let sent = match (body, attempt.config.bodyless_event) {
            (BodyBuffer::Present, _) => send(host, &mut attempt),
            (BodyBuffer::Missing, BodylessEvent::Header) => send_in_header(host, &attempt),
            (BodyBuffer::Missing, BodylessEvent::Body) if host.capabilities().makes_bodies => {
                send(host, &mut attempt)
            }
            (BodyBuffer::Missing, BodylessEvent::Body) => Err(Error::TrailersOnly),
        };
        match sent {
            Ok(()) => {
                if let Some(start) = start {
                    let spent = microseconds(host.clock_ns() - start);
                    host.record(&metrics, Metric::EncodeTime, spent);
                    attempt.decode_ns = Some(0);
                }
                host.record(&metrics, Metric::Invocations, 1);
                self.attempts.begin(attempt.key, &attempt.client_headers);
                self.phase = Phase::Invoking(attempt);
                Flow::Continue
            }
            Err(error) => self.refuse(host, &error, Some(&attempt.config)),
        }
    }

    /// Responds with an error. Without a configuration there is nothing to log: the resolver has logged
    /// a wrong configuration when it was first used.
    fn refuse(&mut self, host: &impl Host, error: &Error, config: Option<&Config>) -> Flow {
        if let Some(config) = config {
            let headers = host.headers(Side::Request);
            let id = single_line(&text(first(&headers, ENVOY_REQUEST_ID).unwrap_or_default()));
            log::warn!("{}: {error} (request {id})", config.function.as_str());
        }
        let metrics = config.map_or(&self.configs.unknown, |config| &config.metrics);
        host.record(metrics, Metric::Errors(error.kind()), 1);
        self.phase = Phase::Refused;
        host.respond(&error_response(error, config));
        Flow::Pause
    }
}

/// Returns whether a request without a body can become an invocation.
fn can_invoke_without_body(host: &impl Host, config: &Config) -> bool {
    config.bodyless_event == BodylessEvent::Header || host.capabilities().makes_bodies
}

/// Replaces the client's request by the invocation.
fn send(host: &impl Host, attempt: &mut Attempt) -> Result<(), Error> {
    let body = host.body(Side::Request);
    let request = request(attempt, &body)?;
    let event = event::encode(&request, &attempt.config)?;
    let scheme = first(&attempt.client_headers, ":scheme").unwrap_or(b"http");
    let timeout = attempt.timeout.as_deref();
    let mut headers =
        invoke_request::headers(&request, scheme, &attempt.config, event.len(), timeout);
    if let Some(report) = report::value(host, attempt, &request) {
        headers.push((CLIENT_REQUEST, report.into()));
    }
    let headers = headers.iter().map(|(name, value)| (*name, value.as_ref()));
    host.set_headers(Side::Request, headers.collect());
    host.set_body(Side::Request, &event);
    attempt.is_rewritten = true;
    if !host.capabilities().restores_headers {
        let kept = header_map::encode(&attempt.client_headers);
        host.set_filter_state(CLIENT_HEADERS, &kept);
    }
    set_marker(host, attempt.key, HeaderMapState::Invocation);
    Ok(())
}

/// Adds the invocation to the client's request. The invoker reads nothing else of it. The headers stay
/// the client's, because no filter can put headers back once Envoy has sent them without a body.
fn send_in_header(host: &impl Host, attempt: &Attempt) -> Result<(), Error> {
    let request = request(attempt, b"")?;
    let invocation = invoke_request::header_value(&request, &attempt.config)?;
    host.set_header(Side::Request, INVOCATION, &invocation);
    let secret = attempt.config.invoker_secret.as_ref();
    let secret = secret.map(|secret| secret.0.as_bytes());
    let report = report::value(host, attempt, &request);
    for (name, own) in [(SECRET, secret), (CLIENT_REQUEST, report.as_deref())] {
        if own.is_some() || first(&attempt.client_headers, name).is_some() {
            // Without a value of the filter, an empty one replaces the client's.
            host.set_header(Side::Request, name, own.unwrap_or_default());
        }
    }
    let mut headers = HeaderMapState::Client;
    if request.method == "HEAD" {
        // The response to HEAD would have no body.
        host.set_header(Side::Request, ":method", b"GET");
        headers = HeaderMapState::RequestLineChanged;
    }
    let path = first(&attempt.client_headers, ":path").unwrap_or_default();
    if let Cow::Owned(path) = invoke_request::encode_path_and_query(path) {
        // Servers refuse bytes in a request line that clients send.
        host.set_header(Side::Request, ":path", path.as_bytes());
        headers = HeaderMapState::RequestLineChanged;
    }
    set_marker(host, attempt.key, headers);
    Ok(())
}

fn request<'a>(attempt: &'a Attempt, body: &'a [u8]) -> Result<Request<'a>, Error> {
    let strip_prefix = attempt.config.strip_prefix.as_deref();
    Request::new(
        &attempt.client_headers,
        strip_prefix,
        &attempt.attributes,
        body,
    )
    .ok_or(Error::NoPath)
}
