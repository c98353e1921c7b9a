//! A route with a retry policy: each try is the same invocation, and what Envoy tells about the
//! request is the client's.

use std::time::Duration;

use lambda_mesh_tests::client::Answer;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::free_address;
use lambda_mesh_tests::mesh::{Builder, Endpoint, Mesh, on_each_envoy, route};
use lambda_mesh_tests::upstream::{Call, Reply, Upstream};
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

fn put(mesh: &Mesh) -> Answer {
    let request = mesh.request("PUT", TARGET).body("a body");
    let request = request.header("content-type", "text/plain");
    request
        .header("cookie", "a=1")
        .header("authorization", "Bearer t")
        .send()
}

/// That `calls` are the same invocation of what [`put`] sends.
#[track_caller]
fn assert_same(calls: &[Call]) {
    let event = calls[0].event();
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["rawPath"], "/cart/7");
    assert_eq!(event["rawQueryString"], "x=%201&x=2");
    assert_eq!(event["cookies"], json!(["a=1"]));
    assert_eq!(event["headers"]["authorization"], "Bearer t");
    assert_eq!(event["body"], "a body");
    // Each try is told the time that is left for it.
    let headers = |call: &Call| {
        let mut headers = call.headers.clone();
        let timeout = headers.remove("x-envoy-expected-rq-timeout-ms");
        assert!(timeout.is_some(), "try {}", call.index);
        headers
    };
    for call in calls {
        assert_eq!(call.body, calls[0].body, "try {}", call.index);
        assert_eq!(headers(call), headers(&calls[0]), "try {}", call.index);
        assert_eq!(call.method, "POST");
        assert_eq!(call.path, "/2015-03-31/functions/probe/invocations");
    }
}

/// That the access log has the client's request line, and `attempts` tries.
#[track_caller]
fn assert_logged(mesh: &Mesh, answer: &Answer, attempts: u64) {
    let entry = mesh.access_log(answer);
    assert_eq!(entry["method"], "PUT", "{entry}");
    assert_eq!(entry["path"], TARGET, "{entry}");
    assert_eq!(entry["original"], format!("PUT {TARGET}"), "{entry}");
    assert_eq!(entry["attempts"], attempts, "{entry}");
    assert_eq!(entry["status"], answer.status, "{entry}");
}

fn fine() -> Reply {
    Reply::payload(&json!({ "statusCode": 201, "body": "made" }))
}

fn fails_twice(failure: impl Fn() -> Reply + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |call| if call.index < 2 { failure() } else { fine() })
}

#[track_caller]
fn assert_third_try_wins(upstream: &Upstream) {
    let mesh = retrying(upstream, &json!({})).start();
    let answer = put(&mesh);
    assert_eq!((answer.status, answer.text()), (201, "made"));
    assert_eq!(upstream.calls().len(), 3);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &answer, 3);
}

#[test]
fn after_503() {
    let upstream = fails_twice(|| Reply::service_error(503, "ServiceUnavailableException"));
    assert_third_try_wins(&upstream);
}

#[test]
fn after_a_reset() {
    assert_third_try_wins(&fails_twice(Reply::reset));
}

#[test]
fn after_a_refused_connection() {
    let upstream = Upstream::start(|_| fine());
    // Round robin comes to the address where nobody listens in every second try.
    let mesh = retrying(&upstream, &json!({}))
        .endpoint(free_address())
        .start();
    let answers: Vec<_> = (0..4).map(|_| put(&mesh)).collect();
    let attempts = answers.iter().map(|answer| {
        assert_eq!((answer.status, answer.text()), (201, "made"));
        let attempts = mesh.access_log(answer)["attempts"]
            .as_u64()
            .expect("a number");
        assert_logged(&mesh, answer, attempts);
        attempts
    });
    assert!(attempts.max() > Some(1), "no try was refused");
    let calls = upstream.calls();
    assert_eq!(calls.len(), 4, "a refused try reaches no function");
    for call in calls {
        assert_same(&[call]);
    }
}

#[test]
fn after_a_try_that_takes_too_long() {
    let upstream = Upstream::start(|call| match call.index {
        0 => fine().after(Duration::from_secs(10)),
        _ => fine(),
    });
    let mesh = retrying(&upstream, &json!({ "per_try_timeout": "1s" })).start();
    let answer = put(&mesh);
    assert_eq!(answer.status, 201);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &answer, 2);
}

/// A second try is sent beside the first when that takes longer than 0.3 s.
fn hedging(upstream: &Upstream) -> Builder {
    let policy = json!({ "per_try_timeout": "0.3s", "num_retries": 1 });
    retrying(upstream, &policy).edit(|config| {
        let route = &mut config.virtual_hosts()[0]["routes"][0]["route"];
        route["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
    })
}

#[track_caller]
fn assert_one_of_two_wins(mesh: &Mesh, upstream: &Upstream) {
    let answer = put(mesh);
    assert_eq!((answer.status, answer.text()), (201, "made"));
    assert_eq!(upstream.calls().len(), 2);
    assert_same(&upstream.calls());
    assert_logged(mesh, &answer, 2);
}

#[test]
fn with_a_hedged_try_beside_a_slow_one() {
    let upstream = Upstream::start(|call| match call.index {
        // The first try answers while the second still runs.
        0 => fine().after(Duration::from_secs(1)),
        _ => fine().after(Duration::from_secs(10)),
    });
    assert_one_of_two_wins(&hedging(&upstream).start(), &upstream);
}

/// The second try waits for the only connection when the first one fails; what it sends then is
/// the header map that both share.
#[test]
fn with_a_hedged_try_that_waits_for_a_connection() {
    let upstream = Upstream::start(|call| match call.index {
        0 => Reply::service_error(503, "ServiceException").after(Duration::from_secs(1)),
        _ => fine(),
    });
    let hedged = hedging(&upstream).edit(|config| {
        config.cluster()["circuit_breakers"]["thresholds"][0]["max_connections"] = json!(1);
    });
    assert_one_of_two_wins(&hedged.start(), &upstream);
}

/// Envoy ends in a segmentation fault if the failed answer, once held, passes.
#[test]
fn with_a_hedged_try_beside_one_whose_function_fails() {
    let failed = json!({ "statusCode": 503, "body": "failed" });
    let upstream = Upstream::start(move |call| match call.index {
        0 => Reply::payload(&failed).after(Duration::from_secs(1)),
        _ => fine().after(Duration::from_secs(2)),
    });
    assert_one_of_two_wins(&hedging(&upstream).start(), &upstream);
}

/// The older one fails first and is held back; the newest then tells the client.
#[test]
fn when_both_hedged_tries_fail() {
    on_each_envoy(|version| {
        let upstream = Upstream::start(|_| {
            Reply::payload(&json!({ "statusCode": 503 })).after(Duration::from_secs(1))
        });
        let mesh = hedging(&upstream).envoy(version).start();
        assert_eq!(put(&mesh).status, 503);
        assert_eq!(upstream.calls().len(), 2);
    });
}

#[test]
fn when_every_try_fails() {
    let upstream = Upstream::start(|_| Reply::service_error(503, "ServiceException"));
    let mesh = retrying(&upstream, &json!({})).start();
    let answer = put(&mesh);
    assert_eq!(answer.status, 503);
    assert_eq!(upstream.calls().len(), 4);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &answer, 4);
}

#[test]
fn when_every_try_is_reset() {
    let upstream = Upstream::start(|_| Reply::reset());
    let mesh = retrying(&upstream, &json!({})).start();
    let answer = put(&mesh);
    assert_eq!(answer.status, 503);
    assert_same(&upstream.calls());
    assert_logged(&mesh, &answer, 4);
}

#[test]
fn when_every_connection_is_refused() {
    let mesh = retrying(free_address(), &json!({})).start();
    let answer = put(&mesh);
    assert_eq!(answer.status, 503);
    assert_logged(&mesh, &answer, 4);
}

#[test]
fn traces_show_the_clients_request() {
    let collector = Upstream::start(|_| Reply::bytes("").status(202));
    let upstream = Upstream::start(|call| match call.index {
        // One request that a second try serves, one that none does.
        1 => fine(),
        _ => Reply::reset(),
    });
    let mesh = retrying(&upstream, &json!({ "num_retries": 1 }))
        .tracing(&collector)
        .start();
    for status in [201, 503] {
        let answer = put(&mesh);
        assert_eq!(answer.status, status);
        let id = answer.header("x-request-id").to_owned();
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
