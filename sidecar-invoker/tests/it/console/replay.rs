use hyper::Method;
use lambda_api::headers::CLIENT_REQUEST;
use serde_json::{Value, json};

use super::{INVOKE, TOKEN, call, client_headers, ended, get, invocations, post, report, start};
use crate::support::Invoker;

/// Replays the first invocation, and returns the detail of the new one, with its secrets.
async fn replay(invoker: &Invoker, body: Value) -> Value {
    let response = post(invoker, "invocations/1/replay", &body).await;
    assert_eq!(response.status, 200, "{:?}", response.body);
    let id = response.json()["id"].as_u64().unwrap();
    ended(invoker, id).await;
    get(invoker, &format!("invocations/{id}?reveal=true")).await
}

fn event(detail: &Value) -> Value {
    serde_json::from_str(detail["event"]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_invocation_is_repeated_with_the_same_or_another_event() {
    let invoker = start("").await;
    call(
        &invoker,
        &json!({ "do": "return", "value": { "statusCode": 200 } }),
    )
    .await;
    let first = get(&invoker, "invocations/1?reveal=true").await;
    let same = replay(&invoker, json!({})).await;
    assert_eq!(same["replay_of"], 1);
    for member in [
        "event",
        "payload",
        "http_request",
        "http_response",
        "target",
    ] {
        assert_eq!(same[member], first[member], "{member}");
    }
    assert_ne!(same["request_id"], first["request_id"]);
    let edited = r#"{ "do": "return", "value": 7 }"#;
    let other = replay(&invoker, json!({ "event": edited })).await;
    assert_eq!(other["event"]["text"], edited);
    assert_eq!(other["payload"]["text"], "7");
    assert_eq!(
        other["http_request"],
        Value::Null,
        "the request was another"
    );
    assert_eq!(other["outcome"], "success");
}

#[tokio::test]
async fn an_edited_request_becomes_an_event_as_in_envoy() {
    let invoker = start("").await;
    let settings = json!({ "function": "f", "payload": "apigateway-v2", "strip_prefix": "/pets" });
    let report = report(&settings, &client_headers());
    let headers = [(CLIENT_REQUEST, report.as_str())];
    let original = r#"{"version":"2.0","body":"{\"a\":1}","isBase64Encoded":false}"#;
    invoker
        .request(Method::POST, INVOKE, &headers, original)
        .await;
    let detail = get(&invoker, "invocations/1").await;
    assert_eq!(detail["http_request"]["body"]["text"], "{\"a\":1}");
    let mut headers = detail["http_request"]["headers"].clone();
    headers.as_array_mut().unwrap().push(json!(["x-new", "1"]));
    let request = json!({ "method": "PUT", "target": "/pets/9?b=2", "headers": headers, "body": { "text": "new" } });
    let detail = replay(&invoker, json!({ "http_request": request })).await;
    let event = event(&detail);
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["rawPath"], "/9");
    assert_eq!(event["rawQueryString"], "b=2");
    assert_eq!(event["headers"]["x-new"], "1");
    assert_eq!(event["headers"]["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(event["headers"]["host"], "shop.test");
    assert_eq!(event["cookies"], json!(["sid=session-99"]));
    assert_eq!(event["headers"]["content-length"], "3");
    assert_eq!(event["body"], "new");
    assert_eq!(detail["http_request"]["method"], "PUT");
    assert_eq!(detail["http_request"]["body"]["text"], "new");
    // What is not given stays.
    let detail = replay(&invoker, json!({ "http_request": { "target": "/pets" } })).await;
    let event = self::event(&detail);
    assert_eq!(
        (&event["rawPath"], &event["body"]),
        (&json!("/"), &json!("{\"a\":1}"))
    );
}

#[tokio::test]
async fn a_replay_that_is_not_possible_has_its_sentence() {
    let invoker = start("").await;
    call(
        &invoker,
        &json!({ "headers": { "authorization": "Bearer other-token" } }),
    )
    .await;
    invoker.request(Method::POST, INVOKE, &[], "{}").await;
    let masked = get(&invoker, "invocations/1").await["event"]["text"].clone();
    for (id, body, sentence) in [
        (1, json!({ "event": "no JSON" }), "the event is not JSON"),
        (
            1,
            json!({ "event": masked }),
            "`event` has masked values; show the secrets",
        ),
        (1, json!({ "other": 1 }), "`other` is unknown"),
        (
            1,
            json!({ "event": "{}", "http_request": {} }),
            "it has both",
        ),
        (1, json!([]), "expected a JSON object"),
        (
            1,
            json!({ "http_request": { "method": "A B" } }),
            "`http_request.method`",
        ),
        (
            1,
            json!({ "http_request": { "target": "pets" } }),
            "`http_request.target`",
        ),
        (
            1,
            json!({ "http_request": { "headers": { "a": "b" } } }),
            "`http_request.headers`",
        ),
        (
            1,
            json!({ "http_request": { "headers": [["x-a", "••••••••"]] } }),
            "masked values",
        ),
        (
            1,
            json!({ "http_request": { "body": "text" } }),
            "`http_request.body`",
        ),
        (
            1,
            json!({ "http_request": { "body": { "text": "no JSON" } } }),
            "the body has to be JSON",
        ),
        (2, json!({ "http_request": {} }), "`report_request`"),
    ] {
        let response = post(&invoker, &format!("invocations/{id}/replay"), &body).await;
        assert_eq!(response.status, 400, "{body}");
        let error = response.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(sentence), "{body}: {error}");
    }
    assert_eq!(invocations(&invoker).await.len(), 2, "nothing ran");
}
