//! A host that makes bodies, always holds headers alone and cannot put headers back at the end of an
//! attempt, as the native module.

use super::*;

fn native(body: &[u8]) -> FakeEnvoy {
    let envoy = envoy(body);
    envoy.is_native.set(true);
    envoy
}

#[test]
fn a_request_without_a_body_gets_one_and_so_does_its_response() {
    let envoy = native(b"");
    let mut exchange = exchange(HELLO);
    assert_eq!(exchange.on_request_headers(&envoy, true), Flow::Continue);
    assert_eq!(envoy.event()["rawPath"], "/hi");
    assert_eq!(envoy.value(Side::Request, ":method").unwrap(), "POST");
    respond_with(&envoy, "200", b"");
    assert_eq!(exchange.on_response_headers(&envoy, true), Flow::Continue);
    assert_eq!(envoy.value(Side::Response, ":status").unwrap(), "500");
    let body = envoy.body(Side::Response);
    assert_eq!(body, br#"{"message":"Internal Server Error"}"#);
}

#[test]
fn an_attempt_after_one_without_a_response_has_the_clients_headers() {
    let envoy = native(b"body");
    let mut client = client_headers();
    client.push(("x-empty".to_owned(), Vec::new()));
    envoy.request.borrow_mut().0 = client.clone();
    let mut first_attempt = invoke(&envoy, HELLO);
    let event = envoy.event();
    assert_eq!(event["headers"]["x-empty"], "");
    first_attempt.on_done(&envoy);
    assert_eq!(
        first(&envoy.headers(Side::Request), "x-empty"),
        None,
        "nothing is put back"
    );

    envoy.request.borrow_mut().1 = b"body".to_vec();
    let mut second = invoke(&envoy, HELLO);
    assert_eq!(envoy.event(), event);
    second.on_done(&envoy);
    restore_after_last_attempt(&envoy);
    assert_eq!(envoy.headers(Side::Request), client);
    // Once is enough, and a request that was not rewritten stays as it is.
    envoy.request.borrow_mut().0.clear();
    restore_after_last_attempt(&envoy);
    assert_eq!(envoy.headers(Side::Request), []);
}

#[test]
fn claims_come_from_filter_state() {
    for (text, expected) in [
        (r#"{"payload":{"sub":"user-1"}}"#, Some("user-1")),
        ("-", None),
        (r#"{"payload":{"alg":"RS256"}}"#, None),
    ] {
        let envoy = native(b"body");
        envoy.set_filter_state(CLAIMS, text.as_bytes());
        invoke(&envoy, HELLO);
        let event = envoy.event();
        let claims = &event["requestContext"]["authorizer"]["jwt"]["claims"];
        assert_eq!(claims["sub"].as_str(), expected, "{text}");
    }
}

#[test]
fn a_host_that_always_holds_headers_is_not_watched() {
    let envoy = native(b"body");
    let mut exchange = exchange(HELLO);
    assert_eq!(exchange.on_request_headers(&envoy, false), Flow::Pause);
    assert_eq!(envoy.tick.get(), None);
}
