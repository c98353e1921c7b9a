//! Requests with several attempts, one after the other or at a time.

use super::*;

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
