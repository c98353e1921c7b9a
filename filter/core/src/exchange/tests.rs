use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::attempts::AttemptMarker;
use super::phase::{ERROR_TYPE, FUNCTION, MARKER, ORIGINAL, REQUEST_ID};
use super::*;
use crate::ReportedRequest;
use crate::config::{ConfigCache, RouteSettings, Settings};
use crate::metrics::{FunctionMetrics, Metric};
use crate::request::HeaderMap;
use crate::request::header_map::{first, text};
use crate::response::{HttpResponse, PartBuffer};
use lambda_api::headers::{CLIENT_REQUEST, ENVOY_TIMEOUT_MS, INVOCATION, SECRET};
use lambda_api::limits::MAX_HEADER_EVENT_BYTES;

/// The state of Envoy for one request, over all its attempts.
#[derive(Default)]
struct FakeEnvoy {
    properties: RefCell<HashMap<String, Vec<u8>>>,
    request: RefCell<(HeaderMap, Vec<u8>)>,
    response: RefCell<(HeaderMap, Vec<u8>)>,
    /// The pieces of the part of the response's body that has just come.
    part: RefCell<Vec<Vec<u8>>>,
    cleared_trailers: RefCell<Vec<Side>>,
    responded: RefCell<Option<HttpResponse>>,
    is_reset: Cell<bool>,
    tick: Cell<Option<Duration>>,
    entered: RefCell<Vec<u32>>,
    now_ns: Cell<i64>,
    /// The time for measuring, which each look at it moves on by 7 µs.
    clock_ns: Cell<i64>,
    /// The name of a metric, and the value, for each call.
    recorded: RefCell<Vec<(String, u64)>>,
    is_native: Cell<bool>,
}

impl FakeEnvoy {
    fn side(&self, side: Side) -> &RefCell<(HeaderMap, Vec<u8>)> {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    fn value(&self, side: Side, name: &str) -> Option<String> {
        first(&self.side(side).borrow().0, name).map(|v| text(v).into_owned())
    }

    fn event(&self) -> Value {
        serde_json::from_slice(&self.request.borrow().1).unwrap()
    }

    fn status(&self) -> Option<u16> {
        self.responded
            .borrow()
            .as_ref()
            .map(|response| response.status)
    }
}

impl Host for FakeEnvoy {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            makes_bodies: self.is_native.get(),
            restores_headers: !self.is_native.get(),
            holds_headers: self.is_native.get(),
            has_dynamic_metadata: !self.is_native.get(),
            changes_parts: self.is_native.get(),
        }
    }

    fn route_settings(&self) -> RouteSettings {
        RouteSettings::Loaded(None)
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        self.filter_state(&property.path().join("."))
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        self.properties.borrow().get(name).cloned()
    }

    fn now_ns(&self) -> i64 {
        self.now_ns.get()
    }

    fn clock_ns(&self) -> i64 {
        self.clock_ns.set(self.clock_ns.get() + 7_000);
        self.clock_ns.get()
    }

    fn record(&self, function: &FunctionMetrics, metric: Metric, value: u64) {
        let record = (function.full_name(metric), value);
        self.recorded.borrow_mut().push(record);
    }

    fn set_filter_state(&self, name: &str, value: &[u8]) {
        self.properties
            .borrow_mut()
            .insert(name.to_owned(), value.to_vec());
    }

    fn headers(&self, side: Side) -> HeaderMap {
        self.side(side).borrow().0.clone()
    }

    fn set_header(&self, side: Side, name: &str, value: &[u8]) {
        let headers = &mut self.side(side).borrow_mut().0;
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_vec()));
    }

    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>) {
        self.side(side).borrow_mut().0 = map(&headers);
    }

    fn body(&self, side: Side) -> Vec<u8> {
        let held = self.side(side).borrow().1.clone();
        match side {
            Side::Request => held,
            Side::Response => [held, self.part.borrow().concat()].concat(),
        }
    }

    fn set_body(&self, side: Side, body: &[u8]) {
        self.side(side).borrow_mut().1 = body.to_vec();
        self.part.borrow_mut().clear();
    }

    fn change_part(&self, mut change: impl FnMut(&[u8], &mut PartBuffer) -> bool) -> bool {
        let mut bytes = PartBuffer::default();
        let mut part = self.part.borrow_mut();
        let is_changed = part.iter().all(|piece| change(piece, &mut bytes));
        if is_changed {
            *part = vec![bytes.bytes().to_vec()];
        }
        is_changed
    }

    fn clear_trailers(&self, side: Side) {
        self.cleared_trailers.borrow_mut().push(side);
    }

    fn respond(&self, response: &HttpResponse) {
        *self.responded.borrow_mut() = Some(response.clone());
    }

    fn request_tick(&self, delay: Duration, _context: u32) {
        self.tick.set(Some(delay));
    }

    fn enter(&self, context: u32) -> bool {
        self.entered.borrow_mut().push(context);
        true
    }

    fn reset(&self) {
        self.is_reset.set(true);
    }
}

fn map(headers: &[(&str, &[u8])]) -> HeaderMap {
    let pair = |(name, value): &(&str, &[u8])| ((*name).to_owned(), value.to_vec());
    headers.iter().map(pair).collect()
}

fn client_headers() -> HeaderMap {
    map(&[
        (":authority", b"api.example.com"),
        (":path", b"/hi?x=1"),
        (":method", b"POST"),
        (":scheme", b"https"),
        ("authorization", b"Bearer secret"),
        ("cookie", b"a=1; b=2"),
        ("x-amz-invocation-type", b"Event"),
        ("x-request-id", b"id-1"),
    ])
}

fn envoy(body: &[u8]) -> FakeEnvoy {
    let envoy = FakeEnvoy::default();
    *envoy.request.borrow_mut() = (client_headers(), body.to_vec());
    let mut properties = envoy.properties.borrow_mut();
    properties.insert("connection_id".to_owned(), vec![1; 8]);
    properties.insert("source.address".to_owned(), b"198.51.100.23:4711".to_vec());
    properties.insert("request.protocol".to_owned(), b"HTTP/1.1".to_vec());
    envoy.now_ns.set(1_584_039_838_390_000_000);
    drop(properties);
    envoy
}

fn exchange(plugin: &str) -> Exchange {
    another_attempt(plugin, &Rc::default())
}

fn another_attempt(plugin: &str, attempts: &Rc<Attempts>) -> Exchange {
    let settings = Settings::from_plugin(plugin.as_bytes()).unwrap();
    thread_local! {
        static CONTEXTS: Cell<u32> = const { Cell::new(0) };
    }
    CONTEXTS.set(CONTEXTS.get() + 1);
    let configs = Rc::new(ConfigCache::new(settings));
    Exchange::new(configs, Rc::clone(attempts), CONTEXTS.get())
}

fn respond_with(envoy: &FakeEnvoy, status: &str, payload: &[u8]) {
    let headers = map(&[(":status", status.as_bytes()), ("x-amzn-requestid", b"r")]);
    *envoy.response.borrow_mut() = (headers, payload.to_vec());
}

/// Returns an exchange whose request has come whole.
fn invoke(envoy: &FakeEnvoy, plugin: &str) -> Exchange {
    buffer_request(envoy, exchange(plugin))
}

fn buffer_request(envoy: &FakeEnvoy, mut exchange: Exchange) -> Exchange {
    assert_eq!(exchange.on_request_headers(envoy, false), Flow::Pause);
    let length = envoy.body(Side::Request).len();
    assert_eq!(
        exchange.on_request_body(envoy, length, true),
        Flow::Continue
    );
    exchange
}

const HELLO: &str = r#"{"function":"hello"}"#;

#[test]
fn only_the_headers_of_the_invoke_api_leave() {
    let envoy = envoy(b"");
    invoke(&envoy, r#"{"function":"hello","qualifier":"live"}"#);
    let (headers, event) = envoy.request.borrow().clone();
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "content-length",
            "content-type",
            "x-amz-invocation-type",
            "x-amzn-trace-id",
            "x-request-id",
        ]
    );
    let sent = |name| envoy.value(Side::Request, name).unwrap();
    assert_eq!(
        sent(":path"),
        "/2015-03-31/functions/hello/invocations?Qualifier=live"
    );
    assert_eq!(sent(":method"), "POST");
    assert_eq!(sent("x-amz-invocation-type"), "RequestResponse");
    assert_eq!(sent("content-length"), event.len().to_string());
    assert_eq!(sent("x-request-id"), "id-1");
}

#[test]
fn a_response_is_decoded_and_the_clients_headers_are_put_back() {
    let envoy = envoy(b"{}");
    let mut exchange = invoke(&envoy, HELLO);
    respond_with(
        &envoy,
        "200",
        br#"{"statusCode":201,"headers":{"X-A":1},"body":"ok"}"#,
    );
    assert_eq!(exchange.on_response_headers(&envoy, false), Flow::Pause);
    assert_eq!(envoy.headers(Side::Request), client_headers());
    assert_eq!(exchange.on_response_body(&envoy, false), Flow::Pause);
    assert_eq!(exchange.on_response_body(&envoy, true), Flow::Continue);
    assert_eq!(
        *envoy.response.borrow(),
        (
            map(&[
                (":status", b"201"),
                ("x-a", b"1"),
                ("content-type", b"text/plain; charset=utf-8"),
                ("content-length", b"2"),
            ]),
            b"ok".to_vec()
        )
    );
}

/// Returns the type, the trace, the path and the event of an invocation in a header.
fn in_header(envoy: &FakeEnvoy) -> (String, String, String, Value) {
    let value = envoy.value(Side::Request, INVOCATION).unwrap();
    let words: Vec<&str> = value.splitn(4, ' ').collect();
    let [kind, trace, path] = [words[0], words[1], words[2]].map(str::to_owned);
    (kind, trace, path, serde_json::from_str(words[3]).unwrap())
}

const IN_HEADER: &str = r#"{"function":"hello","bodyless_event":"header"}"#;

#[test]
fn a_request_without_a_body_may_carry_its_invocation_in_a_header() {
    for has_trailers in [false, true] {
        let envoy = envoy(b"");
        let mut exchange = exchange(IN_HEADER);
        let flow = exchange.on_request_headers(&envoy, !has_trailers);
        if has_trailers {
            assert_eq!(flow, Flow::Pause);
            assert_eq!(exchange.on_request_trailers(&envoy), Flow::Continue);
        } else {
            assert_eq!(flow, Flow::Continue);
        }
        let (kind, trace, path, event) = in_header(&envoy);
        assert_eq!(kind, "RequestResponse");
        assert_eq!(path, "/2015-03-31/functions/hello/invocations");
        assert_eq!(event["headers"]["x-amzn-trace-id"], trace);
        assert_eq!(event["rawPath"], "/hi");
        // Nothing was removed, so nothing is put back.
        let mut headers = envoy.headers(Side::Request);
        headers.pop();
        assert_eq!(headers, client_headers());

        respond_with(&envoy, "200", br#"{"statusCode":201}"#);
        exchange.on_response_headers(&envoy, false);
        assert_eq!(exchange.on_response_body(&envoy, true), Flow::Continue);
        assert_eq!(envoy.value(Side::Response, ":status").unwrap(), "201");
        exchange.on_done(&envoy);
        assert_eq!(in_header(&envoy).3, event);
    }
    // A request with a body has room for the event there.
    let with_body = envoy(b"text");
    invoke(&with_body, IN_HEADER);
    assert_eq!(with_body.value(Side::Request, INVOCATION), None);
    assert_eq!(with_body.event()["rawPath"], "/hi");
    // A header has less room than a request.
    let large = envoy(b"");
    let value = ("x-large".to_owned(), vec![b'a'; MAX_HEADER_EVENT_BYTES]);
    large.request.borrow_mut().0.push(value);
    assert_eq!(
        exchange(IN_HEADER).on_request_headers(&large, true),
        Flow::Pause
    );
    assert_eq!(large.status(), Some(431));
}

#[test]
fn trailers_end_a_request_and_a_response() {
    let envoy = envoy(b"text");
    let mut exchange = exchange(HELLO);
    exchange.on_request_headers(&envoy, false);
    assert_eq!(exchange.on_request_body(&envoy, 4, false), Flow::Pause);
    assert_eq!(exchange.on_request_trailers(&envoy), Flow::Continue);
    assert_eq!(envoy.event()["rawPath"], "/hi");

    respond_with(&envoy, "200", br#"{"statusCode":204}"#);
    exchange.on_response_headers(&envoy, false);
    exchange.on_response_body(&envoy, false);
    assert_eq!(exchange.on_response_trailers(&envoy), Flow::Continue);
    assert_eq!(
        *envoy.response.borrow(),
        (map(&[(":status", b"204")]), Vec::new())
    );
    assert_eq!(
        *envoy.cleared_trailers.borrow(),
        [Side::Request, Side::Response]
    );
}

#[path = "native_tests.rs"]
mod native_tests;

#[path = "stream_tests.rs"]
mod streaming;

#[path = "long_response_tests.rs"]
mod long_responses;

#[path = "metrics_tests.rs"]
mod metrics;

#[path = "attempt_tests.rs"]
mod several_attempts;

#[path = "refusal_tests.rs"]
mod refusals;

#[path = "report_tests.rs"]
mod reports;
