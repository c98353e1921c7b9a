//! Tests of streamed responses: what the client gets, and when.

use lambda_api::event_stream::{invoke_complete, payload_chunk};
use proptest::prelude::*;

use super::*;

const PLUGIN: &str = r#"{"function":"hello","invocation":"response-stream"}"#;
const EVENT_STREAM: &[u8] = b"application/vnd.amazon.eventstream";
const WITH_PRELUDE: &[u8] = b"application/vnd.awslambda.http-integration-response";
const PRELUDE: &[u8] =
    b"{\"statusCode\":201,\"headers\":{\"X-A\":\"1\"},\"cookies\":[\"a=1\"]}\0\0\0\0\0\0\0\0";

fn chunk(payload: &[u8]) -> Vec<u8> {
    payload_chunk(payload).to_vec()
}

fn complete() -> Vec<u8> {
    invoke_complete(b"{}").to_vec()
}

fn failure() -> Vec<u8> {
    let error = br#"{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"E\"}"}"#;
    invoke_complete(error).to_vec()
}

/// A streamed response on its way through the filter, as Envoy handles it.
struct StreamedExchange {
    envoy: FakeEnvoy,
    exchange: Exchange,
    /// The body that the client has got.
    body: Vec<u8>,
    has_begun: bool,
}

impl StreamedExchange {
    fn new(content_type: &[u8]) -> Self {
        Self::with(PLUGIN, "GET", content_type)
    }

    fn with(plugin: &str, method: &str, content_type: &[u8]) -> Self {
        Self::with_headers(plugin, method, &[("content-type", content_type)])
    }

    fn with_headers(plugin: &str, method: &str, headers: &[(&str, &[u8])]) -> Self {
        let envoy = envoy(b"");
        envoy.request.borrow_mut().0[2].1 = method.into();
        let mut exchange = invoke(&envoy, plugin);
        let all: [(&str, &[u8]); 2] = [(":status", b"200"), ("x-amzn-requestid", b"r")];
        *envoy.response.borrow_mut() = (map(&[&all, headers].concat()), Vec::new());
        assert_eq!(exchange.on_response_headers(&envoy, false), Flow::Pause);
        Self {
            envoy,
            exchange,
            body: Vec::new(),
            has_begun: false,
        }
    }

    /// Passes the next piece, which Envoy appends to the body that it holds.
    fn piece(&mut self, bytes: &[u8], end: bool) -> Flow {
        self.envoy.response.borrow_mut().1.extend_from_slice(bytes);
        let flow = self.exchange.on_response_body(&self.envoy, end);
        if flow == Flow::Continue {
            self.has_begun = true;
            let body = &mut self.envoy.response.borrow_mut().1;
            self.body.append(body);
        }
        flow
    }

    fn status(&self) -> String {
        self.envoy.value(Side::Response, ":status").unwrap()
    }

    fn value(&self, name: &str) -> Option<String> {
        self.envoy.value(Side::Response, name)
    }

    fn error_type(&self) -> Option<Vec<u8>> {
        self.envoy.filter_state(ERROR_TYPE)
    }
}

/// Returns the exchange after `stream` has come at once.
fn whole(content_type: &[u8], stream: &[Vec<u8>]) -> StreamedExchange {
    let mut exchange = StreamedExchange::new(content_type);
    let flow = exchange.piece(&stream.concat(), true);
    assert_eq!(flow, Flow::Continue);
    exchange
}

#[test]
fn each_chunk_passes_as_it_comes() {
    for content_type in [EVENT_STREAM, WITH_PRELUDE] {
        let mut exchange = StreamedExchange::new(content_type);
        let request = exchange.envoy.value(Side::Request, ":path").unwrap();
        assert_eq!(request, "/hi?x=1", "the client's own is back");
        assert_eq!(exchange.piece(&chunk(PRELUDE), false), Flow::Continue);
        assert_eq!(
            exchange.envoy.headers(Side::Response),
            map(&[
                (":status", b"201"),
                ("x-a", b"1"),
                ("set-cookie", b"a=1"),
                ("content-type", b"application/octet-stream"),
            ])
        );
        assert_eq!(exchange.body, b"");
        exchange.piece(&chunk(b"one"), false);
        assert_eq!(exchange.body, b"one");
        exchange.piece(&chunk(b"\0two"), false);
        assert_eq!(exchange.piece(&complete(), true), Flow::Continue);
        assert_eq!(exchange.body, b"one\0two");
        assert!(!exchange.envoy.is_reset.get());
    }
}

#[test]
fn a_part_without_payload_passes_nothing() {
    let mut exchange = StreamedExchange::new(EVENT_STREAM);
    exchange.piece(&chunk(PRELUDE), false);
    let message = chunk(b"one");
    assert_eq!(exchange.piece(&message[..20], false), Flow::Pause);
    assert_eq!(exchange.piece(&message[20..], false), Flow::Continue);
    assert_eq!(exchange.piece(&complete(), false), Flow::Pause);
    assert_eq!(exchange.piece(b"", true), Flow::Continue);
    assert_eq!(exchange.body, b"one");
}

#[test]
fn the_invocation_asks_for_a_stream() {
    let envoy = envoy(b"");
    invoke(&envoy, PLUGIN);
    assert_eq!(
        envoy.value(Side::Request, ":path").unwrap(),
        "/2021-11-15/functions/hello/response-streaming-invocations"
    );
    let kind = envoy.value(Side::Request, "x-amz-invocation-type").unwrap();
    assert_eq!(kind, "RequestResponse");
}

#[test]
fn the_prelude_may_be_cut_at_every_byte() {
    for content_type in [EVENT_STREAM, WITH_PRELUDE] {
        for cut in 0..PRELUDE.len() {
            let (first, second) = PRELUDE.split_at(cut);
            let mut exchange = StreamedExchange::new(content_type);
            assert_eq!(exchange.piece(&chunk(first), false), Flow::Pause, "{cut}");
            assert_eq!(exchange.piece(&chunk(second), false), Flow::Continue);
            exchange.piece(&[chunk(b"body"), complete()].concat(), true);
            assert_eq!(exchange.body, b"body");
            assert_eq!(exchange.status(), "201");
        }
    }
}

#[test]
fn the_stream_may_be_cut_at_every_byte() {
    let stream = [chunk(PRELUDE), chunk(b"body"), complete()].concat();
    for cut in 0..stream.len() {
        let (first, second) = stream.split_at(cut);
        let mut exchange = StreamedExchange::new(EVENT_STREAM);
        exchange.piece(first, false);
        assert_eq!(exchange.piece(second, true), Flow::Continue, "{cut}");
        assert_eq!(
            (exchange.status().as_str(), exchange.body.as_slice()),
            ("201", &b"body"[..])
        );
        assert!(!exchange.envoy.is_reset.get());
    }
}

#[test]
fn a_stream_without_a_prelude_is_the_body() {
    for (content_type, expected) in [
        (EVENT_STREAM, "application/octet-stream"),
        (b"text/event-stream", "text/event-stream"),
        (b"application/octet-stream", "application/octet-stream"),
    ] {
        let mut exchange = StreamedExchange::new(content_type);
        assert_eq!(
            exchange.piece(&chunk(b"data: 1\n\n"), false),
            Flow::Continue
        );
        assert_eq!(exchange.body, b"data: 1\n\n");
        assert_eq!(exchange.status(), "200");
        assert_eq!(exchange.value("content-type").unwrap(), expected);
    }
}

#[test]
fn the_functions_content_type_takes_precedence_over_that_of_the_event_stream() {
    let typed = |function: &[u8]| {
        let headers = [
            ("content-type", EVENT_STREAM),
            ("x-lambda-mesh-function-content-type", function),
        ];
        StreamedExchange::with_headers(PLUGIN, "GET", &headers)
    };
    let mut exchange = typed(b"text/event-stream; charset=utf-8");
    assert_eq!(exchange.piece(&chunk(b"[1,"), false), Flow::Continue);
    assert_eq!(exchange.body, b"[1,");
    let kind = exchange.value("content-type").unwrap();
    assert_eq!(kind, "text/event-stream; charset=utf-8");

    let mut exchange = typed(b"application/vnd.awslambda.http-integration-response");
    let payload = chunk(b"{\"statusCode\":201}\0\0\0\0\0\0\0\0body");
    assert_eq!(exchange.piece(&payload, false), Flow::Continue);
    assert_eq!(
        (exchange.status().as_str(), &exchange.body[..]),
        ("201", &b"body"[..])
    );
}

#[test]
fn json_lines_are_the_body() {
    let mut exchange = StreamedExchange::new(EVENT_STREAM);
    assert_eq!(exchange.piece(&chunk(b"{\"a\":1}\n"), false), Flow::Pause);
    assert_eq!(
        exchange.piece(&chunk(b"{\"a\":2}\n"), false),
        Flow::Continue
    );
    assert_eq!(exchange.body, b"{\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn a_function_that_does_not_stream_responds_by_the_contract() {
    for content_type in [EVENT_STREAM, b"application/json"] {
        let answer = br#"{"statusCode":201,"body":"aGk=","isBase64Encoded":true}"#;
        let exchange = whole(
            content_type,
            &[chunk(&answer[..9]), chunk(&answer[9..]), complete()],
        );
        assert_eq!(
            (exchange.status().as_str(), exchange.body.as_slice()),
            ("201", &b"hi"[..])
        );
        assert_eq!(exchange.value("content-length").unwrap(), "2");

        let exchange = whole(content_type, &[chunk(b"\"hi\""), complete()]);
        assert_eq!(
            (exchange.status().as_str(), exchange.body.as_slice()),
            ("200", &b"hi"[..])
        );
        assert_eq!(exchange.value("content-type").unwrap(), "application/json");
    }
}

#[test]
fn a_response_beyond_lambdas_limit_can_only_be_a_stream() {
    let mut exchange = StreamedExchange::new(EVENT_STREAM);
    assert_eq!(exchange.piece(&chunk(b"{\"a\":\""), false), Flow::Pause);
    let mut pieces = 1;
    while exchange.piece(&chunk(&[b'x'; 1_000_000]), false) == Flow::Pause {
        pieces += 1;
    }
    assert_eq!(pieces, 7);
    assert_eq!(exchange.body.len(), 7_000_006);
}

#[test]
fn an_upstream_that_does_not_stream_is_decoded_as_a_whole() {
    let mut exchange = StreamedExchange::new(b"application/json");
    let answer = br#"{"statusCode":201,"body":"hi"}"#;
    assert_eq!(exchange.piece(&answer[..5], false), Flow::Pause);
    assert_eq!(exchange.piece(&answer[5..20], false), Flow::Pause);
    assert_eq!(exchange.piece(&answer[20..], true), Flow::Continue);
    assert_eq!(
        (exchange.status().as_str(), exchange.body.as_slice()),
        ("201", &b"hi"[..])
    );

    let mut short = StreamedExchange::new(b"application/json");
    assert_eq!(short.piece(b"null", true), Flow::Continue);
    assert_eq!(short.body, b"null");
}

#[test]
fn an_empty_stream_is_an_empty_response() {
    let types: [&[u8]; 4] = [EVENT_STREAM, b"text/html", b"application/json", b""];
    for content_type in types {
        let exchange = whole(content_type, &[complete()]);
        assert_eq!(
            (exchange.status().as_str(), exchange.body.as_slice()),
            ("200", &b""[..])
        );
    }
}

#[test]
fn a_stream_has_the_ids_of_its_invocation() {
    let plugin = r#"{"function":"hello","payload":"function-url","invocation":"response-stream"}"#;
    for end in [complete(), failure()] {
        let mut exchange = StreamedExchange::with(plugin, "GET", WITH_PRELUDE);
        if end == complete() {
            exchange.piece(&chunk(PRELUDE), false);
        }
        exchange.piece(&end, true);
        assert_eq!(exchange.value("x-amzn-requestid").as_deref(), Some("r"));
        assert!(exchange.value("x-amzn-trace-id").is_some());
    }
}

/// AWS's Rust runtime writes the values of a repeated header as an array.
#[test]
fn a_header_of_the_prelude_may_have_several_values() {
    let mut exchange = StreamedExchange::new(WITH_PRELUDE);
    let prelude = br#"{"headers":{"vary":["b","a"],"x-n":[1,true],"set-cookie":["c=1","d=2"]},"cookies":["e=3"]}"#;
    let prelude = [&prelude[..], &[0; 8]].concat();
    assert_eq!(exchange.piece(&chunk(&prelude), false), Flow::Continue);
    assert_eq!(
        exchange.envoy.headers(Side::Response),
        map(&[
            (":status", b"200"),
            ("vary", b"b"),
            ("vary", b"a"),
            ("x-n", b"1"),
            ("x-n", b"true"),
            ("set-cookie", b"c=1"),
            ("set-cookie", b"d=2"),
            ("set-cookie", b"e=3"),
            ("content-type", b"application/octet-stream"),
        ])
    );
    for headers in [r#"{"a":[["b"]]}"#, r#"{"a":[{}]}"#, r#"{"a":{"b":"c"}}"#] {
        let prelude = format!("{{\"headers\":{headers}}}\0\0\0\0\0\0\0\0");
        let exchange = whole(WITH_PRELUDE, &[chunk(prelude.as_bytes()), complete()]);
        assert_eq!(exchange.status(), "500", "{headers}");
    }
}

/// Clients of AWS's Node.js runtime write the prelude with the first bytes of the body:
/// `HttpResponseStream.from(stream, { statusCode: 403 }); stream.end()` sends none.
#[test]
fn a_prelude_that_does_not_come_is_an_error() {
    for (payload, status) in [
        ("apigateway-v1", "502"),
        ("apigateway-v2", "500"),
        ("function-url", "502"),
        ("alb", "502"),
        ("vpc-lattice-v2", "502"),
        ("envoy", "500"),
    ] {
        let plugin = format!(
            r#"{{"function":"hello","payload":"{payload}","invocation":"response-stream","expose_errors":true}}"#
        );
        for has_type_of_its_own in [false, true] {
            let mut exchange = if has_type_of_its_own {
                let headers = [
                    ("content-type", EVENT_STREAM),
                    ("x-lambda-mesh-function-content-type", WITH_PRELUDE),
                ];
                StreamedExchange::with_headers(&plugin, "GET", &headers)
            } else {
                StreamedExchange::with(&plugin, "GET", WITH_PRELUDE)
            };
            exchange.piece(&complete(), true);
            assert_eq!(exchange.status(), status, "{payload}");
            let body = String::from_utf8(exchange.body).unwrap();
            assert!(body.contains("without its prelude"), "{payload}: {body}");
        }
    }
}

#[test]
fn a_prelude_that_does_not_end_is_an_error() {
    let cases: [&[u8]; 4] = [b"{\"statusCode\":201}", b"{\"status", b"[]", b"hello"];
    for payload in cases {
        let exchange = whole(WITH_PRELUDE, &[chunk(payload), complete()]);
        assert_eq!(exchange.status(), "500", "{payload:?}");
    }
    let exchange = whole(EVENT_STREAM, &[chunk(b"{\"statusCode\":20"), complete()]);
    assert_eq!(exchange.status(), "500");

    let mut endless = StreamedExchange::new(WITH_PRELUDE);
    endless.piece(&chunk(b"{\"a\":\""), false);
    assert_eq!(
        endless.piece(&chunk(&[b'x'; 65_536]), false),
        Flow::Continue
    );
    assert_eq!(endless.status(), "500");
    endless.piece(&chunk(b"more"), false);
    endless.piece(&complete(), true);
    assert_eq!(endless.body, br#"{"message":"Internal Server Error"}"#);
}

#[test]
fn an_error_before_the_first_byte_is_the_formats_own() {
    let exchange = whole(EVENT_STREAM, &[failure()]);
    assert_eq!(exchange.status(), "500");
    assert_eq!(exchange.body, br#"{"message":"Internal Server Error"}"#);
    assert_eq!(exchange.error_type().unwrap(), b"E");

    let exposed = r#"{"function":"hello","invocation":"response-stream","expose_errors":true}"#;
    let mut exchange = StreamedExchange::with(exposed, "GET", EVENT_STREAM);
    exchange.piece(&[chunk(b"{\"half\":"), failure()].concat(), true);
    assert_eq!(exchange.body, br#"{"errorType":"E"}"#);
}

#[test]
fn an_error_after_the_first_byte_resets() {
    let mut broken = chunk(b"two");
    broken[30] ^= 1;
    for last in [failure(), broken, chunk(b"two")[..20].to_vec(), Vec::new()] {
        let mut exchange = StreamedExchange::new(EVENT_STREAM);
        exchange.piece(&chunk(PRELUDE), false);
        exchange.piece(&chunk(b"one"), false);
        assert_eq!(exchange.piece(&last, true), Flow::Pause);
        assert!(exchange.envoy.is_reset.get());
        assert_eq!(exchange.body, b"one");
        assert_eq!(exchange.envoy.headers(Side::Request), {
            let mut client = client_headers();
            client[2].1 = b"GET".to_vec();
            client
        });
    }
}

#[test]
fn a_broken_stream_before_the_first_byte_is_502() {
    let mut broken = chunk(PRELUDE);
    broken[3] ^= 1;
    for stream in [broken, chunk(PRELUDE)[..20].to_vec(), chunk(PRELUDE)] {
        let exchange = whole(EVENT_STREAM, &[stream]);
        assert_eq!(exchange.status(), "502");
        assert_eq!(exchange.body, br#"{"message":"Bad Gateway"}"#);
    }
}

#[test]
fn a_response_without_a_body_is_held_until_the_end() {
    let no_content = b"{\"statusCode\":204}\0\0\0\0\0\0\0\0";
    let with_length = b"{\"headers\":{\"content-length\":\"7\"}}\0\0\0\0\0\0\0\0";
    for (method, prelude, length) in [
        ("HEAD", PRELUDE, None),
        ("HEAD", &with_length[..], Some("7")),
        ("GET", no_content, None),
    ] {
        let mut exchange = StreamedExchange::with(PLUGIN, method, EVENT_STREAM);
        assert_eq!(exchange.piece(&chunk(prelude), false), Flow::Pause);
        assert_eq!(exchange.piece(&chunk(b"body"), false), Flow::Pause);
        assert_eq!(exchange.piece(&complete(), true), Flow::Continue);
        assert_eq!(exchange.body, b"");
        assert_eq!(exchange.value("content-length").as_deref(), length);
    }
}

#[test]
fn raw_passes_the_payload_unchanged() {
    let raw = r#"{"function":"hello","invocation":"response-stream","response":"raw"}"#;
    let mut exchange = StreamedExchange::with(raw, "GET", EVENT_STREAM);
    assert_eq!(exchange.piece(&chunk(PRELUDE), false), Flow::Continue);
    assert_eq!(exchange.body, PRELUDE);
    assert_eq!(exchange.status(), "200");
}

#[test]
fn trailers_end_a_stream() {
    for (last, is_reset) in [(complete(), false), (chunk(b"x"), true)] {
        let mut exchange = StreamedExchange::new(EVENT_STREAM);
        exchange.piece(&chunk(PRELUDE), false);
        exchange.piece(&last, false);
        exchange.exchange.on_response_trailers(&exchange.envoy);
        assert_eq!(exchange.envoy.is_reset.get(), is_reset);
        assert!(
            exchange
                .envoy
                .cleared_trailers
                .borrow()
                .contains(&Side::Response)
        );
    }
    let mut short = StreamedExchange::new(EVENT_STREAM);
    let stream = [chunk(b"{\"statusCode\":202}"), complete()].concat();
    assert_eq!(short.piece(&stream, false), Flow::Pause);
    let flow = short.exchange.on_response_trailers(&short.envoy);
    assert_eq!((flow, short.status().as_str()), (Flow::Continue, "202"));
}

/// While a hedged attempt is active, a failure is held back as without a stream.
#[test]
fn a_failed_stream_waits_for_another_attempt() {
    let envoy = envoy(b"");
    let attempts = Rc::default();
    let [mut first, mut second] =
        [(); 2].map(|()| buffer_request(&envoy, another_attempt(PLUGIN, &attempts)));
    let headers: [(&str, &[u8]); 2] = [(":status", b"200"), ("content-type", EVENT_STREAM)];
    let unavailable = chunk(b"{\"statusCode\":503}\0\0\0\0\0\0\0\0");
    *envoy.response.borrow_mut() = (map(&headers), unavailable);
    first.on_response_headers(&envoy, false);
    assert_eq!(first.on_response_body(&envoy, false), Flow::Pause);
    envoy.response.borrow_mut().1 = [chunk(b"sorry"), complete()].concat();
    assert_eq!(first.on_response_body(&envoy, true), Flow::Pause);
    assert_eq!(envoy.status(), None);

    *envoy.response.borrow_mut() = (map(&headers), chunk(PRELUDE));
    second.on_response_headers(&envoy, false);
    assert_eq!(second.on_response_body(&envoy, false), Flow::Continue);
    first.on_done(&envoy);
    second.on_done(&envoy);
    assert_eq!(envoy.headers(Side::Request), client_headers());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, the client gets a whole response or knows that it is cut off.
    #[test]
    fn every_stream_ends(
        payloads in prop::collection::vec(prop_oneof![
            Just(PRELUDE.to_vec()),
            Just(b"{\"statusCode\":".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40),
        ], 0..4),
        last in prop_oneof![Just(complete()), Just(failure()), Just(Vec::new())],
        flipped in prop::option::of((any::<prop::sample::Index>(), 0..8_u32)),
        cuts in prop::collection::vec(1..100_usize, 0..6),
        content_type in prop::sample::select(vec![EVENT_STREAM, WITH_PRELUDE, b"text/plain", b"application/json"]),
    ) {
        let mut stream: Vec<u8> = payloads.iter().flat_map(|payload| chunk(payload)).collect();
        stream.extend(&last);
        let is_whole = flipped.is_none() && last == complete();
        if let (Some((index, bit)), false) = (flipped, stream.is_empty()) {
            let index = index.index(stream.len());
            stream[index] ^= 1_u8 << bit;
        }
        let mut exchange = StreamedExchange::new(content_type);
        let mut rest = stream.as_slice();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            exchange.piece(piece, false);
        }
        let flow = exchange.piece(rest, true);
        let is_reset = exchange.envoy.is_reset.get();
        prop_assert!(is_reset || flow == Flow::Continue);
        prop_assert!(!(is_whole && is_reset));
        let status: u16 = exchange.status().parse().unwrap();
        prop_assert!((200..600).contains(&status));
        if !is_reset && let Some(length) = exchange.value("content-length") {
            prop_assert_eq!(length, exchange.body.len().to_string());
        }
    }
}
