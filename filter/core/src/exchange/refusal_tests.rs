//! Requests that the filter refuses.

use super::*;

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
