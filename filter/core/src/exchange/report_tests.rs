//! The traces, ids, statuses and reports by which others know of an exchange, and what they say of the caller.

use super::*;

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
