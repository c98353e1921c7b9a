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

#[test]
fn each_attempt_carries_the_same_event() {
    let envoy = envoy(b"body");
    let attempts = Rc::default();
    let mut first_attempt = buffer_request(&envoy, another_attempt(HELLO, &attempts));
    let first = envoy.request.borrow().1.clone();
    // A hedged attempt starts on the headers that the first one, which is still active, has
    // rewritten. The body is the client's again.
    envoy.request.borrow_mut().1 = b"body".to_vec();
    envoy.now_ns.set(envoy.now_ns.get() + 300_000_000);
    let mut hedged = buffer_request(&envoy, another_attempt(HELLO, &attempts));
    assert_eq!(envoy.request.borrow().1, first);
    assert_eq!(envoy.event()["rawPath"], "/hi");
    assert_eq!(envoy.filter_state(ORIGINAL).unwrap(), b"POST /hi?x=1");
    // Nothing is kept of a request whose attempts have ended.
    first_attempt.on_done(&envoy);
    hedged.on_done(&envoy);
    assert_eq!(envoy.headers(Side::Request), client_headers());
    let marker = AttemptMarker::decode(&envoy.filter_state(MARKER).unwrap()).unwrap();
    assert_eq!(attempts.client_headers(marker.key), None);
}

/// A VM that was restarted, or that is another plugin's, does not have them.
#[test]
fn an_attempt_without_the_clients_headers_is_refused() {
    let envoy = envoy(b"body");
    let mut first = invoke(&envoy, HELLO);
    let mut second = exchange(HELLO);
    assert_eq!(second.on_request_headers(&envoy, false), Flow::Pause);
    assert_eq!(envoy.status(), Some(500));
    first.on_done(&envoy);
    envoy.request.borrow_mut().1 = b"body".to_vec();
    invoke(&envoy, HELLO);
    assert_eq!(envoy.event()["rawPath"], "/hi");
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
fn each_attempt_carries_the_filters_secret_and_never_the_clients() {
    const OWN: &str = "0123456789abcdef0123456789abcdef";
    let with_secret = format!(r#"{{"function":"f","invoker_secret":"{OWN}"}}"#);
    let without = r#"{"function":"f"}"#;
    for is_sent_by_client in [false, true] {
        for (plugin, in_body, in_header) in [
            (with_secret.as_str(), Some(OWN), Some(OWN)),
            (without, None, is_sent_by_client.then_some("")),
        ] {
            let header_plugin = plugin.replace('}', r#","bodyless_event":"header"}"#);
            let attempts = Rc::new(Attempts::default());
            let (with_body, bodyless) = (envoy(b"{}"), envoy(b""));
            if is_sent_by_client {
                for envoy in [&with_body, &bodyless] {
                    let forged = (SECRET.to_owned(), b"forged".to_vec());
                    envoy.request.borrow_mut().0.push(forged);
                }
            }
            for _ in 0..2 {
                buffer_request(&with_body, another_attempt(plugin, &attempts));
                let secret = with_body.value(Side::Request, SECRET);
                assert_eq!(secret.as_deref(), in_body, "{plugin}");
                let event = with_body.event().to_string();
                assert!(!event.contains("forged") && !event.contains(OWN), "{event}");

                let mut attempt = another_attempt(&header_plugin, &attempts);
                attempt.on_request_headers(&bodyless, true);
                let secret = bodyless.value(Side::Request, SECRET);
                assert_eq!(secret.as_deref(), in_header, "{plugin}");
                let invocation = bodyless.value(Side::Request, INVOCATION).unwrap();
                assert!(!invocation.contains("forged") && !invocation.contains(OWN));
            }
        }
    }
}

#[test]
fn each_attempt_carries_the_same_event_in_a_header() {
    for (method, path) in [
        ("GET", "/hi?x=1"),
        ("HEAD", "/hi"),
        ("GET", "/a`b?q=\"<x>\" y"),
    ] {
        let envoy = envoy(b"");
        envoy.request.borrow_mut().0[2].1 = method.into();
        envoy.request.borrow_mut().0[1].1 = path.into();
        let forged = (INVOCATION.to_owned(), b"Event - /x {}".to_vec());
        envoy.request.borrow_mut().0.push(forged);
        let mut first = exchange(IN_HEADER);
        first.on_request_headers(&envoy, true);
        let invocation = in_header(&envoy);
        assert_eq!(invocation.3["requestContext"]["http"]["method"], method);
        assert!(!invocation.3.to_string().contains("x-lambda-mesh"));
        let sent = envoy.value(Side::Request, ":path").unwrap();
        assert_eq!(sent == path, !path.contains('"'), "{sent}");
        // The response to HEAD would have no body.
        assert_eq!(envoy.value(Side::Request, ":method").unwrap(), "GET");
        first.on_done(&envoy);
        envoy.now_ns.set(0);
        exchange(IN_HEADER).on_request_headers(&envoy, true);
        assert_eq!(in_header(&envoy), invocation);
    }
}

#[test]
fn each_attempt_carries_its_own_timeout() {
    let envoy = envoy(b"");
    let attempts = Rc::default();
    for timeout in [b"300", b"200"] {
        let timeout = (ENVOY_TIMEOUT_MS.to_owned(), timeout.to_vec());
        let mut headers = envoy.headers(Side::Request);
        headers.retain(|(name, _)| *name != timeout.0);
        headers.push(timeout.clone());
        *envoy.request.borrow_mut() = (headers, Vec::new());
        buffer_request(&envoy, another_attempt(HELLO, &attempts));
        let sent = envoy.value(Side::Request, ENVOY_TIMEOUT_MS);
        assert_eq!(sent.unwrap().as_bytes(), timeout.1);
        assert!(!envoy.event().to_string().contains("x-envoy"));
    }
}

#[test]
fn an_attempt_without_a_response_puts_the_headers_back() {
    let envoy = envoy(b"");
    let mut exchange = invoke(&envoy, HELLO);
    assert_ne!(envoy.headers(Side::Request), client_headers());
    exchange.on_done(&envoy);
    assert_eq!(envoy.headers(Side::Request), client_headers());
}

/// With a hedging policy a second attempt may still wait for a connection when the first one ends.
/// It will send the header map that both share.
#[test]
fn headers_are_put_back_when_no_other_attempt_is_active() {
    let envoy = envoy(b"");
    let attempts = Rc::default();
    let [mut first, mut second] =
        [(); 2].map(|()| buffer_request(&envoy, another_attempt(HELLO, &attempts)));
    respond_with(&envoy, "503", b"{}");
    first.on_response_headers(&envoy, false);
    assert_eq!(first.on_response_body(&envoy, true), Flow::Pause);
    assert_eq!(envoy.value(Side::Request, ":method").unwrap(), "POST");
    assert_eq!(envoy.value(Side::Request, "authorization"), None);

    respond_with(&envoy, "200", b"{}");
    second.on_response_headers(&envoy, false);
    assert_eq!(second.on_response_body(&envoy, true), Flow::Continue);
    first.on_done(&envoy);
    second.on_done(&envoy);
    assert_eq!(envoy.headers(Side::Request), client_headers());
}

/// With Envoy's tracer, `traceparent` names the span of the attempt.
#[test]
fn the_trace_of_a_request_goes_on_in_both_forms() {
    let sent = |headers: &[(&str, &[u8])]| {
        let envoy = envoy(b"{}");
        envoy.request.borrow_mut().0.extend(map(headers));
        let _ = invoke(&envoy, r#"{"function":"hello"}"#);
        let event: Value = serde_json::from_slice(&envoy.body(Side::Request)).unwrap();
        let sent = ["x-amzn-trace-id", "traceparent", "tracestate"]
            .map(|name| envoy.value(Side::Request, name));
        assert_eq!(
            event["headers"]["x-amzn-trace-id"],
            sent[0].clone().unwrap()
        );
        sent
    };
    let xray = "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";
    let parent = "00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";
    let both = [Some(xray.to_owned()), Some(parent.to_owned()), None];
    let state: (&str, &[u8]) = ("tracestate", b"a=1");
    let traceparent = ("traceparent", parent.as_bytes());
    assert_eq!(sent(&[("x-amzn-trace-id", xray.as_bytes())]), both);
    assert_eq!(sent(&[traceparent, ("tracestate", b"")]), both);
    assert_eq!(sent(&[traceparent, state])[2].as_deref(), Some("a=1"));
    // A state without its parent says nothing.
    assert_eq!(sent(&[("x-amzn-trace-id", xray.as_bytes()), state]), both);
    assert_eq!(sent(&[("traceparent", b"00"), state])[1..], [None, None]);
}

/// The id that a client sees is the one in the function's log.
#[test]
fn a_client_gets_the_ids_of_its_invocation_where_aws_names_them() {
    let ids = |envoy: &FakeEnvoy| {
        ["x-amzn-requestid", "x-amzn-trace-id"].map(|name| {
            let headers = envoy.headers(Side::Response);
            let values = headers.iter().filter(|(known, _)| known == name);
            let values = values.map(|(_, value)| text(value).into_owned());
            values.collect::<Vec<_>>().join(",")
        })
    };
    let own =
        br#"{"statusCode":200,"headers":{"X-Amzn-RequestId":"mine","x-amzn-trace-id":"mine"}}"#;
    let failed: (&str, &[u8]) = ("x-amz-function-error", b"Unhandled");
    let given: (&str, &[u8]) = ("x-amzn-trace-id", b"Root=1-c-d;Sampled=0");
    let no_ids = ["mine".to_owned(), "mine".to_owned()];
    for (settings, more, expected) in [
        (
            r#""payload":"function-url""#,
            None,
            Some("Root=1-58406520-a006649127e371903a2de979"),
        ),
        (
            r#""payload":"apigateway-v1""#,
            None,
            Some("Root=1-58406520-a006649127e371903a2de979"),
        ),
        (
            r#""payload":"apigateway-v1""#,
            Some(given),
            Some("Root=1-c-d;Sampled=0"),
        ),
        (
            r#""payload":"function-url""#,
            Some(failed),
            Some("Root=1-58406520-a006649127e371903a2de979"),
        ),
        (r#""payload":"function-url","expose_ids":false"#, None, None),
        (r#""payload":"apigateway-v2""#, None, None),
        (
            r#""payload":"alb","expose_ids":true"#,
            None,
            Some("Root=1-58406520-a006649127e371903a2de979"),
        ),
    ] {
        let envoy = envoy(b"");
        let trace = (
            "x-amzn-trace-id".to_owned(),
            b"Root=1-58406520-a006649127e371903a2de979".to_vec(),
        );
        envoy.request.borrow_mut().0.push(trace);
        let mut exchange = invoke(&envoy, &format!(r#"{{"function":"hello",{settings}}}"#));
        let mut headers: Vec<(&str, &[u8])> = vec![(":status", b"200"), ("x-amzn-requestid", b"r")];
        headers.extend(more);
        *envoy.response.borrow_mut() = (map(&headers), own.to_vec());
        exchange.on_response_headers(&envoy, false);
        assert_eq!(exchange.on_response_body(&envoy, true), Flow::Continue);
        let expected = match expected {
            Some(trace) => ["r".to_owned(), trace.to_owned()],
            None => no_ids.clone(),
        };
        assert_eq!(ids(&envoy), expected, "{settings} {more:?}");
    }
    // An emulator names no request.
    let envoy = envoy(b"");
    let mut exchange = invoke(&envoy, r#"{"function":"hello","payload":"function-url"}"#);
    *envoy.response.borrow_mut() = (map(&[(":status", b"200")]), b"{}".to_vec());
    exchange.on_response_headers(&envoy, false);
    exchange.on_response_body(&envoy, true);
    let [request_id, trace_id] = ids(&envoy);
    assert_eq!(request_id, "");
    assert!(trace_id.starts_with("Root=1-"), "{trace_id}");
}

/// Envoy without `allow_on_headers_stop_iteration`: no body comes after the pause at the headers.
#[test]
fn a_host_that_does_not_hold_headers_alone_is_noticed() {
    const SECOND: i64 = 1_000_000_000;
    let after = |envoy: &FakeEnvoy, ns| envoy.now_ns.set(envoy.now_ns.get() + ns);
    for is_response in [false, true] {
        let envoy = envoy(b"body");
        let attempts = Rc::default();
        let mut stuck = if is_response {
            let mut stuck = another_attempt(IN_HEADER, &attempts);
            assert_eq!(stuck.on_request_headers(&envoy, true), Flow::Continue);
            respond_with(&envoy, "200", b"{}");
            assert_eq!(stuck.on_response_headers(&envoy, false), Flow::Pause);
            stuck
        } else {
            let mut stuck = another_attempt(HELLO, &attempts);
            assert_eq!(stuck.on_request_headers(&envoy, false), Flow::Pause);
            after(&envoy, 2 * SECOND);
            on_tick(&attempts, &envoy);
            assert_eq!(envoy.status(), None, "no body has come to Envoy either");
            let total = (
                "request.total_size".to_owned(),
                1000_u64.to_le_bytes().to_vec(),
            );
            envoy.properties.borrow_mut().extend([total]);
            stuck
        };
        if is_response {
            on_tick(&attempts, &envoy);
            assert_eq!(envoy.status(), None, "it may still come");
            after(&envoy, 2 * SECOND);
        }
        assert_eq!(envoy.tick.get(), Some(Duration::from_millis(100)));
        on_tick(&attempts, &envoy);
        assert_eq!(*envoy.entered.borrow().last().unwrap(), stuck.context);
        assert_eq!(envoy.responded.take().unwrap().status, 500);
        stuck.on_done(&envoy);

        // Others are refused before their functions run, but for one now and then.
        envoy.properties.borrow_mut().remove(MARKER);
        let mut next = another_attempt(HELLO, &attempts);
        assert_eq!(next.on_request_headers(&envoy, true), Flow::Pause);
        assert_eq!(envoy.responded.take().unwrap().status, 500);
        next.on_done(&envoy);
        after(&envoy, 11 * SECOND);
        envoy.properties.borrow_mut().remove(MARKER);
        let mut next = another_attempt(HELLO, &attempts);
        assert_eq!(next.on_request_headers(&envoy, false), Flow::Pause);
        assert_eq!(next.on_request_body(&envoy, 4, true), Flow::Continue);
        after(&envoy, 2 * SECOND);
        on_tick(&attempts, &envoy);
        assert!(envoy.responded.take().is_none());
    }
}

/// Once a body has come after a pause, nothing is checked any more.
#[test]
fn a_host_that_holds_headers_is_not_doubted() {
    for (has_trailers, settings) in [(false, HELLO), (true, IN_HEADER)] {
        let envoy = envoy(b"body");
        let attempts = Rc::default();
        let mut exchange = another_attempt(settings, &attempts);
        assert_eq!(exchange.on_request_headers(&envoy, false), Flow::Pause);
        let flow = match has_trailers {
            true => exchange.on_request_trailers(&envoy),
            false => exchange.on_request_body(&envoy, 4, true),
        };
        assert_eq!(flow, Flow::Continue);
        envoy.tick.take();
        respond_with(&envoy, "200", b"{}");
        assert_eq!(exchange.on_response_headers(&envoy, false), Flow::Pause);
        assert_eq!(envoy.tick.get(), None);
        envoy.now_ns.set(envoy.now_ns.get() + 5_000_000_000);
        on_tick(&attempts, &envoy);
        assert_eq!(envoy.status(), None);
    }
}

/// A hedged attempt that is reset, before its response or within it, is not worth waiting for.
#[test]
fn a_failure_that_waits_is_sent_when_the_other_attempt_ends_without_a_response() {
    for has_begun in [false, true] {
        let envoy = envoy(b"");
        let attempts = Rc::default();
        let mut first = buffer_request(&envoy, another_attempt(HELLO, &attempts));
        let mut second = buffer_request(&envoy, another_attempt(HELLO, &attempts));
        respond_with(&envoy, "200", br#"{"statusCode":503,"body":"failed"}"#);
        first.on_response_headers(&envoy, false);
        assert_eq!(first.on_response_body(&envoy, true), Flow::Pause);
        on_tick(&attempts, &envoy);
        assert_eq!(envoy.status(), None);
        if has_begun {
            second.on_response_headers(&envoy, false);
            second.on_response_body(&envoy, false);
        }
        second.on_done(&envoy);
        assert_eq!(envoy.tick.get(), Some(Duration::from_millis(1)));
        assert_eq!(envoy.status(), None, "only once the other attempt is gone");

        on_tick(&attempts, &envoy);
        assert_eq!(*envoy.entered.borrow(), [first.context]);
        assert_eq!(envoy.responded.borrow().as_ref().unwrap().body, b"failed");
        assert_eq!(envoy.status(), Some(503));
        // Access logs show the client's request.
        assert_eq!(envoy.headers(Side::Request), client_headers());
        on_tick(&attempts, &envoy);
        assert_eq!(envoy.entered.borrow().len(), 1);
        first.on_done(&envoy);
        assert_eq!(envoy.headers(Side::Request), client_headers());
    }
}

/// Envoy gives no access to the headers of such a request once they have passed, and a call ends the VM.
#[test]
fn a_failure_that_waits_leaves_the_headers_of_a_request_without_a_body_alone() {
    let envoy = envoy(b"");
    let attempts = Rc::default();
    let attempt = || {
        let mut attempt = another_attempt(IN_HEADER, &attempts);
        assert_eq!(attempt.on_request_headers(&envoy, true), Flow::Continue);
        attempt
    };
    let (mut first, mut second) = (attempt(), attempt());
    let sent = envoy.headers(Side::Request);
    respond_with(&envoy, "200", br#"{"statusCode":503,"body":"failed"}"#);
    first.on_response_headers(&envoy, false);
    assert_eq!(first.on_response_body(&envoy, true), Flow::Pause);
    second.on_done(&envoy);
    on_tick(&attempts, &envoy);
    assert_eq!(envoy.status(), Some(503));
    assert_eq!(envoy.headers(Side::Request), sent);
}

#[test]
fn nothing_of_a_refused_request_passes() {
    let envoy = envoy(b"");
    let mut exchange = exchange(r#"{"function":"hello","max_request_bytes":10}"#);
    exchange.on_request_headers(&envoy, false);
    assert_eq!(exchange.on_request_body(&envoy, 11, false), Flow::Pause);
    assert_eq!(envoy.status(), Some(413));
    assert_eq!(exchange.on_request_body(&envoy, 12, true), Flow::Pause);
    assert_eq!(exchange.on_request_trailers(&envoy), Flow::Pause);
}

/// A mirrored request has no connection whose address could be asked for.
#[test]
fn without_a_connection_the_caller_is_the_last_hop() {
    let envoy = envoy(b"");
    envoy.properties.borrow_mut().remove("connection_id");
    let hops = (
        "x-forwarded-for".to_owned(),
        b"203.0.113.7, 198.51.100.9".to_vec(),
    );
    envoy.request.borrow_mut().0.push(hops);
    invoke(&envoy, HELLO);
    let event = envoy.event();
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "198.51.100.9");
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

#[test]
fn a_request_without_room_for_its_event_is_refused() {
    for trailers in [false, true] {
        let envoy = envoy(b"");
        let mut exchange = exchange(HELLO);
        assert_eq!(exchange.on_request_headers(&envoy, !trailers), Flow::Pause);
        if trailers {
            assert_eq!(exchange.on_request_trailers(&envoy), Flow::Pause);
        }
        let status = if trailers { 501 } else { 500 };
        assert_eq!(envoy.status(), Some(status));
        assert_eq!(envoy.headers(Side::Request), client_headers());
    }
}

#[test]
fn a_request_that_is_too_large_is_refused_at_the_first_sign() {
    let plugin = r#"{"function":"hello","max_request_bytes":1000}"#;
    // Announced.
    let announced = envoy(b"");
    let length = ("content-length".to_owned(), b"1001".to_vec());
    announced.request.borrow_mut().0.push(length);
    exchange(plugin).on_request_headers(&announced, false);
    assert_eq!(announced.status(), Some(413));
    // Arrived.
    let arrived = envoy(b"");
    let mut gathering = exchange(plugin);
    gathering.on_request_headers(&arrived, false);
    assert_eq!(
        gathering.on_request_body(&arrived, 1000, false),
        Flow::Pause
    );
    assert_eq!(arrived.status(), None);
    gathering.on_request_body(&arrived, 1001, false);
    assert_eq!(arrived.status(), Some(413));
    // Encoded.
    let encoded = envoy(&[0; 900]);
    let mut whole = exchange(plugin);
    whole.on_request_headers(&encoded, false);
    whole.on_request_body(&encoded, 900, true);
    assert_eq!(encoded.status(), Some(413));
    assert_eq!(encoded.headers(Side::Request), client_headers());
}

#[test]
fn more_headers_than_can_be_set_are_refused() {
    let envoy = envoy(b"");
    let many = (0..1000).map(|number| (format!("x-{number}"), Vec::new()));
    envoy.request.borrow_mut().0.extend(many);
    exchange(HELLO).on_request_headers(&envoy, false);
    assert_eq!(envoy.status(), Some(431));
}

#[test]
fn a_route_without_a_function_responds_500() {
    let envoy = envoy(b"");
    exchange("{}").on_request_headers(&envoy, false);
    assert_eq!(envoy.status(), Some(500));
}

#[test]
fn head_has_no_body_and_the_length_of_get() {
    for (headers, body, length) in [
        ("", "hello", Some("5")),
        ("", "", None),
        (r#""Content-Length":"7""#, "", Some("7")),
        (r#""Content-Length":"x""#, "", None),
    ] {
        let envoy = envoy(b"");
        envoy.request.borrow_mut().0[2].1 = b"HEAD".to_vec();
        let mut exchange = invoke(&envoy, HELLO);
        let payload = format!(r#"{{"statusCode":200,"headers":{{{headers}}},"body":"{body}"}}"#);
        respond_with(&envoy, "200", payload.as_bytes());
        exchange.on_response_headers(&envoy, false);
        exchange.on_response_body(&envoy, true);
        assert_eq!(envoy.body(Side::Response), b"");
        let found = envoy.value(Side::Response, "content-length");
        assert_eq!(found.as_deref(), length);
    }
}

#[test]
fn a_response_without_a_body_keeps_its_status() {
    let envoy = envoy(b"");
    let mut exchange = invoke(&envoy, HELLO);
    respond_with(&envoy, "429", b"");
    assert_eq!(exchange.on_response_headers(&envoy, true), Flow::Continue);
    assert_eq!(
        envoy.headers(Side::Response),
        map(&[
            (":status", b"429"),
            ("retry-after", b"1"),
            ("content-length", b"0")
        ])
    );
}

#[test]
fn an_asynchronous_event_is_accepted_without_a_body() {
    for status in ["200", "202"] {
        let envoy = envoy(b"{}");
        let plugin = r#"{"function":"hello","invocation":"event"}"#;
        let mut exchange = invoke(&envoy, plugin);
        let kind = envoy.value(Side::Request, "x-amz-invocation-type").unwrap();
        assert_eq!(kind, "Event");
        respond_with(&envoy, status, b"null");
        exchange.on_response_headers(&envoy, false);
        assert_eq!(exchange.on_response_body(&envoy, true), Flow::Continue);
        assert_eq!(
            *envoy.response.borrow(),
            (
                map(&[(":status", b"202"), ("content-length", b"0")]),
                Vec::new()
            )
        );
    }
}

#[test]
fn access_logs_have_the_function_and_the_error() {
    let envoy = envoy(b"");
    let mut exchange = invoke(&envoy, HELLO);
    assert_eq!(envoy.filter_state(FUNCTION).unwrap(), b"hello");
    respond_with(&envoy, "429", b"{}");
    let kind = b"TooManyRequestsException:http://x".to_vec();
    let kind = ("x-amzn-errortype".to_owned(), kind);
    envoy.response.borrow_mut().0.push(kind);
    exchange.on_response_headers(&envoy, false);
    exchange.on_response_body(&envoy, true);
    assert_eq!(envoy.filter_state(REQUEST_ID).unwrap(), b"r");
    let error_type = envoy.filter_state(ERROR_TYPE).unwrap();
    assert_eq!(error_type, b"TooManyRequestsException");
    // The next attempt.
    envoy.request.borrow_mut().1.clear();
    invoke(&envoy, HELLO);
    assert_eq!(envoy.filter_state(ERROR_TYPE).unwrap(), b"");
}

#[path = "native_tests.rs"]
mod native_tests;

#[path = "stream_tests.rs"]
mod streaming;

#[path = "long_response_tests.rs"]
mod long_responses;

#[test]
fn the_clients_request_is_reported_and_a_clients_own_report_is_dropped() {
    const REPORTING: &str = r#"{"function":"f","report_request":true,"payload":"alb",
        "invoker_secret":"0123456789abcdef0123456789abcdef"}"#;
    let forged = "1|6.6.6.6||||{}|:path|/forged";
    for (plugin, is_reported) in [(REPORTING, true), (r#"{"function":"f"}"#, false)] {
        let header_plugin = plugin.replacen('{', r#"{"bodyless_event":"header","#, 1);
        let attempts = Rc::new(Attempts::default());
        let (with_body, bodyless) = (envoy(b"{\"a\":1}"), envoy(b""));
        for envoy in [&with_body, &bodyless] {
            let forged = (CLIENT_REQUEST.to_owned(), forged.as_bytes().to_vec());
            envoy.request.borrow_mut().0.push(forged);
        }
        for _ in 0..2 {
            with_body.request.borrow_mut().1 = b"{\"a\":1}".to_vec();
            buffer_request(&with_body, another_attempt(plugin, &attempts));
            let mut attempt = another_attempt(&header_plugin, &attempts);
            attempt.on_request_headers(&bodyless, true);
            for envoy in [&with_body, &bodyless] {
                let sent = envoy.value(Side::Request, CLIENT_REQUEST);
                if !is_reported {
                    assert_eq!(sent.unwrap_or_default(), "");
                    continue;
                }
                let sent = sent.unwrap();
                assert!(
                    !sent.contains("forged") && !sent.contains("0123456789"),
                    "{sent}"
                );
                let report = ReportedRequest::read(sent.as_bytes()).unwrap();
                assert_eq!(report.attributes.source_ip, "198.51.100.23");
                assert_eq!(report.attributes.protocol, "HTTP/1.1");
                assert_eq!(report.header(":path").unwrap(), "/hi?x=1");
                assert_eq!(report.write(), sent.as_bytes());
            }
        }
        if is_reported {
            let report = with_body.value(Side::Request, CLIENT_REQUEST).unwrap();
            let report = ReportedRequest::read(report.as_bytes()).unwrap();
            let event = with_body.request.borrow().1.clone();
            let body = report.body(&event).unwrap();
            assert_eq!(body, b"{\"a\":1}");
            let config = report.config(None).unwrap();
            assert_eq!(report.event(&config, &body).unwrap(), event);
        }
    }
}

#[path = "metrics_tests.rs"]
mod metrics;
