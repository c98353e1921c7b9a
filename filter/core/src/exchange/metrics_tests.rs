//! The figures of exchanges.

use super::*;
use lambda_api::headers::FUNCTION_ERROR;

const ERRORS: &str = ".lambda_errors";

/// Returns what was recorded since the last call, without the function `hello`.
fn recorded(envoy: &FakeEnvoy) -> Vec<(String, u64)> {
    let recorded = envoy.recorded.take().into_iter();
    let short = |name: String| name.replacen("lambda.function.hello.", "", 1);
    recorded.map(|(name, value)| (short(name), value)).collect()
}

/// Returns the kinds of the errors that were recorded since the last call.
fn errors(envoy: &FakeEnvoy) -> Vec<String> {
    let names = recorded(envoy).into_iter().map(|(name, _)| name);
    let kind = |name: String| {
        Some(
            name.strip_prefix("error.")?
                .strip_suffix(ERRORS)?
                .to_owned(),
        )
    };
    names.filter_map(kind).collect()
}

/// Lets the response come, whole.
fn respond(envoy: &FakeEnvoy, exchange: &mut Exchange) {
    let _ = exchange.on_response_headers(envoy, false);
    let _ = exchange.on_response_body(envoy, true);
    exchange.on_done(envoy);
}

#[test]
fn an_invocation_is_counted_and_one_in_sixteen_is_timed() {
    let envoy = envoy(b"body");
    let settings = Settings::from_plugin(HELLO.as_bytes()).unwrap();
    let configs = Rc::new(ConfigCache::new(settings));
    let call = || {
        *envoy.request.borrow_mut() = (client_headers(), b"body".to_vec());
        envoy.properties.borrow_mut().remove(MARKER);
        let exchange = Exchange::new(Rc::clone(&configs), Rc::default(), 1);
        let mut exchange = buffer_request(&envoy, exchange);
        respond_with(&envoy, "200", b"{}");
        respond(&envoy, &mut exchange);
        recorded(&envoy)
    };
    let invocation = ("lambda_invocations".to_owned(), 1);
    let timed = [
        ("lambda_encode_time_us".to_owned(), 7),
        invocation.clone(),
        ("lambda_decode_time_us".to_owned(), 7),
    ];
    for index in 0..17 {
        match index % 16 {
            0 => assert_eq!(call(), timed),
            _ => assert_eq!(call(), std::slice::from_ref(&invocation)),
        }
    }
}

#[test]
fn each_kind_of_a_failure_is_counted() {
    let function_error = |payload: &str| {
        let headers = map(&[(":status", b"200"), (FUNCTION_ERROR, b"Unhandled")]);
        (headers, payload.as_bytes().to_vec())
    };
    let status = |status: &str, payload: &str| {
        let headers = map(&[(":status", status.as_bytes()), ("x-amzn-requestid", b"r")]);
        (headers, payload.as_bytes().to_vec())
    };
    for (response, expected) in [
        (function_error(r#"{"errorType":"KeyError"}"#), "unhandled"),
        (function_error("null"), "unhandled"),
        (
            function_error(r#"{"errorType":"Sandbox.Timedout"}"#),
            "timeout",
        ),
        (
            function_error("Task timed out after 3.00 seconds"),
            "timeout",
        ),
        (
            function_error(r#"{"errorType":"Runtime.ExitError"}"#),
            "runtime",
        ),
        (
            function_error(r#"{"errorType":"Extension.Crash"}"#),
            "runtime",
        ),
        (
            function_error(r#"{"errorType":"Function.ResponseSizeTooLarge"}"#),
            "response_too_large",
        ),
        (status("200", "nonsense"), "malformed"),
        (status("429", "{}"), "throttled"),
        (status("413", "{}"), "request_too_large"),
        (status("404", "{}"), "service"),
    ] {
        let envoy = envoy(b"body");
        let mut exchange = invoke(&envoy, HELLO);
        *envoy.response.borrow_mut() = response;
        respond(&envoy, &mut exchange);
        assert_eq!(errors(&envoy), [expected]);
    }
}

#[test]
fn a_request_that_is_refused_is_no_invocation() {
    let small = r#"{"function":"hello","max_request_bytes":100}"#;
    let json = r#"{"function":"hello","payload":"template","template":"${body_json}"}"#;
    for (plugin, expected) in [(small, "request_too_large"), (json, "bad_request")] {
        let envoy = envoy(b"body");
        let mut exchange = exchange(plugin);
        assert_eq!(exchange.on_request_headers(&envoy, false), Flow::Pause);
        assert_eq!(exchange.on_request_body(&envoy, 4, true), Flow::Pause);
        exchange.on_done(&envoy);
        assert_eq!(recorded(&envoy), [(format!("error.{expected}{ERRORS}"), 1)]);
    }
}

#[test]
fn a_request_without_a_function_counts_for_none() {
    let envoy = envoy(b"body");
    let mut exchange = exchange("{}");
    assert_eq!(exchange.on_request_headers(&envoy, false), Flow::Pause);
    let name = "lambda.function.(unknown).error.configuration.lambda_errors";
    assert_eq!(recorded(&envoy), [(name.to_owned(), 1)]);
}

#[test]
fn an_attempt_that_ends_early_has_no_response() {
    let envoy = envoy(b"body");
    let mut exchange = invoke(&envoy, HELLO);
    exchange.on_done(&envoy);
    assert_eq!(errors(&envoy), ["no_response"]);

    envoy.properties.borrow_mut().remove(MARKER);
    envoy.request.borrow_mut().1 = b"body".to_vec();
    let mut exchange = invoke(&envoy, HELLO);
    respond_with(&envoy, "200", b"{");
    let _ = exchange.on_response_headers(&envoy, false);
    let _ = exchange.on_response_body(&envoy, false);
    exchange.on_done(&envoy);
    assert_eq!(errors(&envoy), ["no_response"]);
}
