//! A route with a retry policy. Each attempt is the same invocation, and Envoy's logs and traces have the
//! client's request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::endpoint::Endpoint;
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::mesh::{Builder, Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::{Call, ScriptedResponse, Upstream};
use serde_json::{Value, json};

const TARGET: &str = "/cart/7?x=%201&x=2";

fn retrying(endpoint: impl Into<Endpoint>, policy: &Value) -> Builder {
    let mut retried = route(&json!({ "prefix": "/" }), &json!({ "function": "probe" }));
    retried["route"]["retry_policy"] = json!({
        "retry_on": "5xx,reset,connect-failure",
        "num_retries": 3,
        "retry_back_off": { "base_interval": "0.001s" },
    });
    for (key, value) in policy.as_object().into_iter().flatten() {
        retried["route"]["retry_policy"][key] = value.clone();
    }
    Mesh::to(endpoint).routes(&[retried])
}

fn put(mesh: &Mesh) -> Response {
    let request = mesh.request("PUT", TARGET).body("a body");
    let request = request.header("content-type", "text/plain");
    request
        .header("cookie", "a=1")
        .header("authorization", "Bearer t")
        .send()
}

/// Asserts that `calls` are the same invocation for the request of [`put`].
#[track_caller]
fn assert_same(calls: &[Call]) {
    let event = calls[0].event();
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["rawPath"], "/cart/7");
    assert_eq!(event["rawQueryString"], "x=%201&x=2");
    assert_eq!(event["cookies"], json!(["a=1"]));
    assert_eq!(event["headers"]["authorization"], "Bearer t");
    assert_eq!(event["body"], "a body");
    // This header has the time that is left for each attempt.
    let headers = |call: &Call| {
        let mut headers = call.headers.clone();
        let timeout = headers.remove("x-envoy-expected-rq-timeout-ms");
        assert!(timeout.is_some(), "attempt {}", call.index);
        headers
    };
    for call in calls {
        assert_eq!(call.body, calls[0].body, "attempt {}", call.index);
        assert_eq!(headers(call), headers(&calls[0]), "attempt {}", call.index);
        assert_eq!(call.method, "POST");
        assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    }
}

/// Asserts that the access log has the client's request line and this number of attempts.
#[track_caller]
fn assert_logged(mesh: &Mesh, response: &Response, attempts: u64) {
    let entry = mesh.access_log(response);
    assert_eq!(entry["method"], "PUT", "{entry}");
    assert_eq!(entry["path"], TARGET, "{entry}");
    assert_eq!(entry["original"], format!("PUT {TARGET}"), "{entry}");
    assert_eq!(entry["attempts"], attempts, "{entry}");
    assert_eq!(entry["status"], response.status, "{entry}");
}

fn fine() -> ScriptedResponse {
    ScriptedResponse::payload(&json!({ "statusCode": 201, "body": "made" }))
}

fn fails_twice(failure: impl Fn() -> ScriptedResponse + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |call| if call.index < 2 { failure() } else { fine() })
}

#[track_caller]
fn assert_third_attempt_succeeds(upstream: &Upstream) {
    let mesh = retrying(upstream, &json!({})).start();
    let response = put(&mesh);
    assert_eq!((response.status, response.text()), (201, "made"));
    assert_eq!(upstream.calls().len(), 3);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &response, 3);
}

#[test]
fn an_attempt_follows_503() {
    let upstream =
        fails_twice(|| ScriptedResponse::service_error(503, "ServiceUnavailableException"));
    assert_third_attempt_succeeds(&upstream);
}

#[test]
fn an_attempt_follows_a_reset() {
    assert_third_attempt_succeeds(&fails_twice(ScriptedResponse::reset));
}

#[test]
fn an_attempt_follows_a_refused_connection() {
    let upstream = Upstream::start(|_| fine());
    // Round robin selects the address without a listener for every second attempt.
    let mesh = retrying(&upstream, &json!({}))
        .endpoint(free_address())
        .start();
    let responses: Vec<_> = (0..4).map(|_| put(&mesh)).collect();
    let attempts = responses.iter().map(|response| {
        assert_eq!((response.status, response.text()), (201, "made"));
        let attempts = mesh.access_log(response)["attempts"]
            .as_u64()
            .expect("a number");
        assert_logged(&mesh, response, attempts);
        attempts
    });
    assert!(attempts.max() > Some(1), "no attempt was refused");
    let calls = upstream.calls();
    assert_eq!(calls.len(), 4, "a refused attempt reaches no function");
    for call in calls {
        assert_same(&[call]);
    }
}

#[test]
fn an_attempt_follows_a_timeout() {
    let upstream = Upstream::start(|call| match call.index {
        0 => fine().after(Duration::from_secs(10)),
        _ => fine(),
    });
    let mesh = retrying(&upstream, &json!({ "per_try_timeout": "1s" })).start();
    let response = put(&mesh);
    assert_eq!(response.status, 201);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &response, 2);
}

/// Builds an Envoy that starts a second attempt if the first takes longer than 0.3 s.
fn hedging(upstream: &Upstream) -> Builder {
    let policy = json!({ "per_try_timeout": "0.3s", "num_retries": 1 });
    retrying(upstream, &policy).edit(|config| {
        let route = &mut config.virtual_hosts()[0]["routes"][0]["route"];
        route["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
    })
}

#[track_caller]
fn assert_one_of_two_succeeds(mesh: &Mesh, upstream: &Upstream) {
    let response = put(mesh);
    assert_eq!((response.status, response.text()), (201, "made"));
    assert_eq!(upstream.calls().len(), 2);
    assert_same(&upstream.calls());
    assert_logged(mesh, &response, 2);
}

#[test]
fn a_hedged_attempt_runs_beside_a_slow_one() {
    let upstream = Upstream::start(|call| match call.index {
        // The first attempt responds while the second is running.
        0 => fine().after(Duration::from_secs(1)),
        _ => fine().after(Duration::from_secs(10)),
    });
    assert_one_of_two_succeeds(&hedging(&upstream).start(), &upstream);
}

/// The second attempt waits for the only connection when the first attempt fails. It then sends the header
/// map that both attempts share.
#[test]
fn a_hedged_attempt_may_wait_for_a_connection() {
    let upstream = Upstream::start(|call| match call.index {
        0 => ScriptedResponse::service_error(503, "ServiceException").after(Duration::from_secs(1)),
        _ => fine(),
    });
    let hedged = hedging(&upstream).edit(|config| {
        config.cluster()["circuit_breakers"]["thresholds"][0]["max_connections"] = json!(1);
    });
    assert_one_of_two_succeeds(&hedged.start(), &upstream);
}

/// Envoy crashes if the response of the failed attempt is held and then passed on.
#[test]
fn a_hedged_attempt_succeeds_beside_one_whose_function_fails() {
    let failed = json!({ "statusCode": 503, "body": "failed" });
    let upstream = Upstream::start(move |call| match call.index {
        0 => ScriptedResponse::payload(&failed).after(Duration::from_secs(1)),
        _ => fine().after(Duration::from_secs(2)),
    });
    assert_one_of_two_succeeds(&hedging(&upstream).start(), &upstream);
}

/// The older attempt fails first, and its response is held. The client gets the response of the newer one.
#[test]
fn the_client_gets_the_last_response_if_both_hedged_attempts_fail() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|_| {
            ScriptedResponse::payload(&json!({ "statusCode": 503 })).after(Duration::from_secs(1))
        });
        let mesh = hedging(&upstream).envoy(version).start();
        let response = put(&mesh);
        assert_eq!(response.status, 503);
        assert_eq!(upstream.calls().len(), 2);
        assert_logged(&mesh, &response, 2);
    });
}

/// Serves each connection on a thread: the first gets a function's failure after 150 ms, all others get
/// `bytes` after 300 ms, and no more.
fn failing_once_and_then_sending(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("the listener has an address");
    let serve = move |index, mut stream: TcpStream| {
        let failed = r#"{"statusCode":500,"body":"failed"}"#;
        let failed = format!(
            "HTTP/1.1 200 OK\r\nx-amzn-requestid: 1\r\ncontent-length: {}\r\n\r\n{failed}",
            failed.len()
        );
        let (delay, bytes) = match index {
            0 => (150, failed.as_str()),
            _ => (300, bytes),
        };
        let read = stream.read(&mut [0; 65_536]);
        std::thread::sleep(Duration::from_millis(delay));
        let _ = read.and_then(|_| stream.write_all(bytes.as_bytes()));
        if index == 0 {
            // Open for as long as Envoy wants it.
            let _ = stream.read(&mut [0; 1]);
        }
    };
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().flatten().enumerate() {
            std::thread::spawn(move || serve(index, stream));
        }
    });
    address
}

/// The response that failed is held for the hedged attempt, which then ends without a response.
#[test]
fn a_failure_that_is_held_is_sent_when_the_hedged_attempt_breaks_off() {
    on_each_envoy(|version| {
        for bytes in [
            "",
            "garbage\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"statusCode\":200,",
        ] {
            for timeout in ["30s", "0s"] {
                let policy = json!({ "per_try_timeout": "0.05s", "num_retries": 1 });
                let endpoint = failing_once_and_then_sending(bytes);
                let mesh = retrying(endpoint, &policy).envoy(version).edit(|config| {
                    let route = &mut config.virtual_hosts()[0]["routes"][0]["route"];
                    route["timeout"] = json!(timeout);
                    route["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
                });
                let mesh = mesh.start();
                let started = Instant::now();
                let response = put(&mesh);
                let elapsed = started.elapsed();
                assert_eq!(
                    (response.status, response.text()),
                    (500, "failed"),
                    "{bytes}"
                );
                assert!(elapsed < Duration::from_secs(20), "{elapsed:?}: {bytes}");
                assert_logged(&mesh, &response, 2);
            }
        }
    });
}

#[test]
fn the_client_gets_503_if_every_attempt_fails() {
    let upstream = Upstream::start(|_| ScriptedResponse::service_error(503, "ServiceException"));
    let mesh = retrying(&upstream, &json!({})).start();
    let response = put(&mesh);
    assert_eq!(response.status, 503);
    assert_eq!(upstream.calls().len(), 4);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &response, 4);
}

#[test]
fn the_client_gets_503_if_every_attempt_is_reset() {
    let upstream = Upstream::start(|_| ScriptedResponse::reset());
    let mesh = retrying(&upstream, &json!({})).start();
    let response = put(&mesh);
    assert_eq!(response.status, 503);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &response, 4);
}

#[test]
fn the_client_gets_503_if_every_connection_is_refused() {
    let mesh = retrying(free_address(), &json!({})).start();
    let response = put(&mesh);
    assert_eq!(response.status, 503);
    assert_logged(&mesh, &response, 4);
}

#[test]
fn traces_show_the_clients_request() {
    let collector = Upstream::start(|_| ScriptedResponse::bytes("").status(202));
    let upstream = Upstream::start(|call| match call.index {
        // The second attempt of the first request succeeds. Both attempts of the second one fail.
        1 => fine(),
        _ => ScriptedResponse::reset(),
    });
    let mesh = retrying(&upstream, &json!({ "num_retries": 1 }))
        .tracing(&collector)
        .start();
    for status in [201, 503] {
        let response = put(&mesh);
        assert_eq!(response.status, status);
        let id = response.header("x-request-id").to_owned();
        let tags = eventually("the request's span", || {
            let spans = collector.calls().into_iter().flat_map(|call| {
                let spans = call.event();
                spans.as_array().cloned().unwrap_or_default()
            });
            let mut tags = spans.map(|span| span["tags"].clone());
            tags.find(|tags| tags["guid:x-request-id"] == id.as_str())
        });
        assert_eq!(tags["http.method"], "PUT", "{tags}");
        assert_eq!(
            tags["http.url"],
            format!("http://service.test{TARGET}"),
            "{tags}"
        );
    }
    assert_same(&upstream.calls()[..2]);
    assert_same(&upstream.calls()[2..]);
}
