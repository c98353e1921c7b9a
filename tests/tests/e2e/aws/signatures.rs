//! AWS accepts every signature, for every form of a function's name.

use lambda_mesh_tests::aws::{REGION, with_key};
use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::mesh::{Mesh, route};
use serde_json::{Value, json};

use super::{invoke, request, shared};

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/partner";

fn arn(region: &str, function: &str) -> String {
    format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{function}")
}

#[test]
fn names_arns_and_qualifiers_are_signed() {
    let aws = shared();
    aws.function("named", &json!({}));
    let config = json!({ "functions": {
        "orders": { "aws": { "function": "named", "qualifier": "live" } },
        "listed-arn": { "aws": { "function": arn(REGION, "named:$LATEST") } },
        "elsewhere": { "aws": { "function": arn("us-west-2", "named:7") } },
        "secure": { "aws": { "function": "named", "endpoint": aws.tls_url() } },
        "partner": { "aws": {
            "function": "named",
            "role_arn": ROLE,
            "external_id": "mesh",
            "session_name": "orders-team",
        } },
    } });
    let invoker = with_key(aws.invoker_of(&config));
    let invoker = invoker.env("AWS_ENDPOINT_URL_STS", aws.sts_url()).start();

    let session = "arn:aws:sts::123456789012:assumed-role/partner/orders-team";
    // The name in the route, and what arrives: qualifier, region, principal.
    let cases = [
        (json!({ "function": "named" }), None, REGION, "user"),
        (
            json!({ "function": "named:live" }),
            Some("live"),
            REGION,
            "user",
        ),
        (
            json!({ "function": "named", "qualifier": "$LATEST" }),
            Some("$LATEST"),
            REGION,
            "user",
        ),
        (
            json!({ "function": arn(REGION, "named") }),
            None,
            REGION,
            "user",
        ),
        (
            json!({ "function": arn(REGION, "named:$LATEST") }),
            Some("$LATEST"),
            REGION,
            "user",
        ),
        (
            json!({ "function": arn("eu-west-1", "named:3") }),
            Some("3"),
            "eu-west-1",
            "user",
        ),
        (
            json!({ "function": format!("{ACCOUNT}:function:named:blue") }),
            Some("blue"),
            REGION,
            "user",
        ),
        (
            json!({ "function": "orders" }),
            Some("live"),
            REGION,
            "user",
        ),
        (
            json!({ "function": "orders", "qualifier": "12" }),
            Some("12"),
            REGION,
            "user",
        ),
        (
            json!({ "function": "listed-arn" }),
            Some("$LATEST"),
            REGION,
            "user",
        ),
        (
            json!({ "function": "elsewhere" }),
            Some("7"),
            "us-west-2",
            "user",
        ),
        (json!({ "function": "secure" }), None, REGION, "user"),
        (json!({ "function": "partner" }), None, REGION, session),
    ];
    let routes = (0..)
        .zip(&cases)
        .map(|(number, (lambda, ..))| route(&json!({ "path": format!("/{number}") }), lambda));
    let mesh = Mesh::to(&invoker)
        .routes(&routes.collect::<Vec<_>>())
        .start();
    for (number, (lambda, qualifier, region, principal)) in (0..).zip(&cases) {
        let path = format!("/{number}");
        let text = "Grüße, 世界 😀 \u{0} \" \\";
        let response = mesh
            .post(&path, text)
            .header("content-type", "text/plain")
            .send();
        assert_eq!(response.status, 200, "{lambda}: {response:?}");
        let event = response.json();
        assert_eq!(
            (&event["rawPath"], &event["body"]),
            (&json!(path), &json!(text))
        );
        let call = aws.calls("named").pop().expect("a call");
        assert_eq!(call["qualifier"], json!(qualifier), "{lambda}: {call:#}");
        assert_eq!(call["region"], *region, "{lambda}");
        assert_eq!(call["principal"], *principal, "{lambda}");
        assert_eq!(call["scheme"] == "https", lambda["function"] == "secure");
    }
    assert_eq!(aws.calls("named").len(), cases.len());
    let roles = aws.requests("sts");
    let roles: Vec<_> = roles
        .iter()
        .filter(|call| call["RoleArn"] == ROLE)
        .collect();
    assert_eq!(roles.len(), 1, "the role is assumed once: {roles:#?}");
}

#[test]
fn the_largest_event_is_signed() {
    let aws = shared();
    aws.function("large", &json!({}));
    let invoker = aws.invoker(&json!({})).start();
    let lambda = json!({ "function": "large", "payload": "raw" });
    let mesh = Mesh::to(&invoker)
        .routes(&[route(&json!({ "prefix": "/" }), &lambda)])
        .start();
    let event = format!("\"{}\"", "ü".repeat(6_291_554 / 2));
    let response = mesh
        .post("/", event.clone())
        .header("content-type", "application/json")
        .send();
    assert_eq!(response.status, 200, "{:.200}", response.text());
    assert!(
        response.text() == event,
        "{} bytes came back",
        response.body.len()
    );
    assert_eq!(aws.calls("large")[0]["bytes"], 6_291_556);
}

#[test]
fn headers_of_the_caller_are_signed_and_its_own_signature_is_dropped() {
    let aws = shared();
    aws.function("asked", &json!({}));
    let invoker = aws.invoker(&json!({})).start();
    let asked = [
        ("x-amz-log-type", "Tail"),
        ("x-amz-client-context", "eyJjdXN0b20iOnsiayI6InYifX0="),
        ("x-amz-tenant-id", "blue + green@example"),
        ("x-amz-durable-execution-name", "night-run"),
        ("x-amz-invocation-type", "RequestResponse"),
        (
            "x-amzn-trace-id",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        ),
    ];
    let own = [
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAOTHER/20200101/x/lambda/aws4_request, SignedHeaders=host, Signature=00",
        ),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-security-token", "other"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
    ];
    let mut call = request(&invoker, "asked");
    for (name, value) in asked.into_iter().chain(own) {
        call = call.header(name, value);
    }
    let response = call.send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(
        response.headers.contains_key("x-amz-log-result"),
        "{response:?}"
    );
    assert!(
        response.headers.contains_key("x-amzn-requestid"),
        "{response:?}"
    );
    let call = aws.calls("asked").remove(0);
    for (name, value) in asked {
        assert_eq!(call["headers"][name], value, "{call:#}");
    }
    for (name, value) in own {
        assert_ne!(call["headers"][name], value, "{call:#}");
    }
}

#[test]
fn a_header_that_cannot_be_signed_fails_only_its_request() {
    let aws = shared();
    aws.function("unsignable", &json!({}));
    let invoker = aws.invoker(&json!({})).start();
    for tenant in ["\u{fc}", "a\tb"] {
        let call = request(&invoker, "unsignable").header("x-amz-tenant-id", tenant);
        let response = call.send();
        assert_eq!(response.status, 400, "{response:?}");
        let error_type = response.header("x-amzn-errortype");
        assert_eq!(error_type, "InvalidParameterValueException");
    }
    assert_eq!(invoker.ask("/readyz").status, 200);
    assert_eq!(aws.calls("unsignable"), Vec::<Value>::new());
}

#[test]
fn the_streaming_path_is_signed() {
    let aws = shared();
    aws.function("flow", &json!({ "chunks": ["one"] }));
    let invoker = aws.invoker(&json!({})).start();
    for name in [
        "flow",
        "arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aflow%3A%24LATEST",
    ] {
        let path = format!("/2021-11-15/functions/{name}/response-streaming-invocations");
        let response = Request::new(invoker.address(), "POST", path)
            .body("{}")
            .send();
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(
            response.header("content-type"),
            "application/vnd.amazon.eventstream"
        );
    }
    assert_eq!(aws.calls("flow").len(), 2);
}

#[test]
fn patterns_decide_which_functions_may_be_called() {
    let aws = shared();
    for name in ["pattern-a", "pattern-admin", "other"] {
        aws.function(name, &json!({}));
    }
    let patterns = json!({ "allow": ["pattern-*"], "deny": ["*-admin"] });
    let invoker = aws.invoker(&patterns).start();
    assert_eq!(invoke(&invoker, "pattern-a").status, 200);
    for denied in [
        "pattern-admin",
        "other",
        &arn(REGION, "other").replace(':', "%3A"),
    ] {
        let response = invoke(&invoker, denied);
        assert_eq!(response.status, 403, "{denied}: {response:?}");
        assert_eq!(response.header("x-amzn-errortype"), "AccessDeniedException");
    }
    assert_eq!(aws.calls("other"), Vec::<Value>::new());
}
