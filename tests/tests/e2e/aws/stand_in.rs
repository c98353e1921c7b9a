//! The stand-in refuses the signatures that AWS refuses, so that its acceptance in other tests means
//! something.

use lambda_mesh_tests::aws::{Aws, KEY, boto3};
use lambda_mesh_tests::client::{Request, Response};
use serde_json::{Value, json};

const INVOKE: &str = "/2015-03-31/functions/echo/invocations";

/// A request that boto3 has signed with [`KEY`], to be sent again.
struct Signed {
    aws: Aws,
    headers: Value,
}

impl Signed {
    fn new() -> Self {
        let aws = Aws::start();
        aws.function("echo", &json!({}));
        let call = json!({ "operation": "invoke", "parameters": { "FunctionName": "echo" } });
        let result = boto3(&aws.url(), &json!([call])).remove(0);
        assert_eq!(result["StatusCode"], 200, "{result:#}");
        let headers = aws.calls("echo")[0]["headers"].clone();
        Self { aws, headers }
    }

    fn again(&self, target: &str) -> Request {
        let headers = self.headers.as_object().expect("headers");
        let request = Request::new(self.aws.lambda, "POST", target).body("");
        let others = headers.iter().filter(|(name, _)| *name != "content-length");
        others.fold(request, |request, (name, value)| {
            let value = value.as_str().expect("text");
            match name.as_str() {
                "host" => request.host(value),
                _ => request.header(name, value),
            }
        })
    }
}

#[track_caller]
fn assert_refused(response: &Response, kind: &str, message: &str) {
    assert_eq!(response.status, 403, "{response:?}");
    assert_eq!(response.header("x-amzn-errortype"), kind, "{response:?}");
    assert!(response.text().contains(message), "{}", response.text());
}

#[test]
fn a_wrong_key_or_clock_is_refused() {
    let signed = Signed::new();
    let aws = &signed.aws;
    let again = || signed.again(INVOKE).send();
    assert_eq!(again().status, 200);

    aws.put("/clock", &json!({ "ahead": 400 }));
    assert_refused(&again(), "InvalidSignatureException", "expired");
    aws.put("/clock", &json!({ "ahead": -400 }));
    assert_refused(&again(), "InvalidSignatureException", "not yet current");
    aws.put("/clock", &json!({ "ahead": 0 }));

    aws.key(KEY.0, &json!({ "secret": "another" }));
    assert_refused(&again(), "InvalidSignatureException", "does not match");
    aws.key(KEY.0, &json!({ "secret": KEY.1, "token": "t" }));
    assert_refused(&again(), "UnrecognizedClientException", "invalid");
    aws.key(KEY.0, &json!({ "secret": KEY.1, "expires_in": -1 }));
    assert_refused(&again(), "ExpiredTokenException", "expired");
}

#[test]
fn a_request_that_was_changed_after_it_was_signed_is_refused() {
    let signed = Signed::new();
    let invalid = "InvalidSignatureException";
    let other_name = INVOKE.replace("echo", "ech%6F");
    for target in [&format!("{INVOKE}?Qualifier=1"), &other_name] {
        assert_refused(&signed.again(target).send(), invalid, "does not match");
    }
    let again = || signed.again(INVOKE);
    assert_refused(&again().body("x").send(), invalid, "does not match");
    assert_refused(&again().host("elsewhere").send(), invalid, "does not match");
    let added = again().header("x-amz-invocation-type", "Event").send();
    assert_refused(&added, invalid, "must be a 'SignedHeader'");
    let unsigned = Request::new(signed.aws.lambda, "POST", INVOKE).send();
    assert_refused(&unsigned, "MissingAuthenticationTokenException", "Missing");
}
