//! The console: what it shows is what the client of Envoy sent and got.

use std::collections::BTreeMap;

use lambda_mesh_tests::client::{Request, Response};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
use serde_json::{Value, json};

use crate::service::functions;

/// Headers that Envoy adds to a response behind the filter.
const OF_ENVOY: [&str; 4] = [
    "date",
    "server",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

/// Returns the detail of the newest invocation.
fn newest(invoker: &Invoker) -> Value {
    lambda_mesh_tests::eventually("the end of the invocation", || {
        let list = invoker.ask("/console/api/invocations").json();
        let id = list["invocations"].as_array()?.last()?["id"].clone();
        let detail = invoker.ask(&format!("/console/api/invocations/{id}?reveal=true"));
        Some(detail.json()).filter(|detail| detail["state"] == "done")
    })
}

fn map<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> BTreeMap<String, Vec<String>> {
    headers.fold(BTreeMap::new(), |mut map, (name, value)| {
        let values: &mut Vec<_> = map.entry(name.to_owned()).or_default();
        values.push(value.to_owned());
        map
    })
}

/// Returns the headers of a message in a detail.
fn shown(message: &Value) -> BTreeMap<String, Vec<String>> {
    let headers = message["headers"].as_array().expect("headers");
    map(headers.iter().map(|pair| {
        let text = |index: usize| pair[index].as_str().expect("text");
        (text(0), text(1))
    }))
}

fn assert_shows(detail: &Value, response: &Response) {
    let got = &detail["http_response"];
    assert_eq!(got["status"], response.status, "{detail}");
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let headers = map(headers.filter(|(name, _)| !OF_ENVOY.contains(name)));
    assert_eq!(shown(got), headers, "{detail}");
    assert_eq!(got["body"]["text"], response.text());
}

fn send(request: Request) -> Response {
    request
        .header("authorization", "Bearer client-token")
        .header("x-mine", "1")
        .header(
            "x-lambda-mesh-client-request",
            "1|6.6.6.6||||{}|:path|/forged",
        )
        .send()
}

#[test]
fn the_detail_is_what_the_client_sent_and_got() {
    for payload in ["apigateway-v2", "function-url"] {
        let invoker = Invoker::with(json!({ "console": true, "functions": functions() })).start();
        let plugin = json!({ "report_request": true, "payload": payload });
        let mesh = Mesh::to(&invoker).plugin(&plugin).start();
        let reply = json!({
            "statusCode": 201,
            "headers": { "content-type": "text/plain", "x-answer": "42" },
            "body": "created",
        });
        let response = send(
            mesh.post("/reply?a=1&b=%20", reply.to_string())
                .host("shop.test"),
        );
        assert_eq!((response.status, response.text()), (201, "created"));
        let detail = newest(&invoker);
        assert_shows(&detail, &response);
        let sent = &detail["http_request"];
        assert_eq!(sent["method"], "POST");
        assert_eq!(sent["target"], "/reply?a=1&b=%20");
        assert_eq!(sent["body"]["text"], reply.to_string());
        assert_eq!(sent["source_ip"], "127.0.0.1");
        let headers = shown(sent);
        assert_eq!(headers["host"], ["shop.test"]);
        assert_eq!(headers["authorization"], ["Bearer client-token"]);
        assert_eq!(headers["x-mine"], ["1"]);
        assert!(!detail.to_string().contains("6.6.6.6"), "{detail}");
        // The same request as an event of the route's own format is the event that the function got.
        let id = &detail["id"];
        let again = format!("/console/api/invocations/{id}/event?format={payload}&reveal=true");
        assert_eq!(invoker.ask(&again).json()["event"], detail["event"]["text"]);
        let timings = detail["timings"].as_array().expect("timings");
        assert_eq!(timings[0]["name"], "envoy");

        // A malformed answer: the client gets an error, and the console says why.
        let response = send(mesh.post("/reply", json!({ "statusCode": "x" }).to_string()));
        let detail = newest(&invoker);
        assert_shows(&detail, &response);
        assert!(detail["why"]["sentence"].is_string(), "{detail}");

        for method in ["GET", "HEAD"] {
            let response = send(mesh.request(method, "/echo?x=caf%C3%A9"));
            let detail = newest(&invoker);
            assert_shows(&detail, &response);
            let sent = &detail["http_request"];
            assert_eq!(sent["method"], method);
            assert_eq!(sent["target"], "/echo?x=caf%C3%A9");
            assert_eq!(shown(sent)["x-mine"], ["1"]);
            assert!(!detail.to_string().contains("6.6.6.6"), "{detail}");
        }
    }
}
