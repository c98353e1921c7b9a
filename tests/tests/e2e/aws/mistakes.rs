//! What can be wrong with credentials, said once, with the cure: in the log and by `/readyz`, while
//! requests are refused at once.

use std::time::{Duration, Instant};

use lambda_mesh_tests::aws::{Aws, KEY, with_key};
use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::{Builder, Invoker};
use lambda_mesh_tests::shared::Part;
use serde_json::json;

use super::{invoke, request};

const REQUESTS: usize = 20;

fn aws() -> Aws {
    let aws = Aws::start();
    aws.function("f", &json!({}));
    aws
}

/// Starts `invoker` and calls it: every request is a 502, none waits for long, `/readyz` has a reason
/// with the words `cure`, and the log has one line that says so.
fn assert_told(invoker: Builder, cure: &str) -> Invoker {
    let invoker = invoker.unready().start();
    let began = Instant::now();
    for answer in send_all((0..REQUESTS).map(|_| request(&invoker, "f")), 4) {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(
            answer.headers.contains_key("x-amzn-errortype"),
            "{answer:?}"
        );
        assert!(answer.json()["Message"].is_string(), "{answer:?}");
        assert!(!answer.text().contains(KEY.1));
    }
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "{REQUESTS} requests took {took:?}"
    );
    let ready = invoker.ask("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains(cure), "{cure}: {}", ready.text());
    let log = invoker.log_with(cure);
    let told = log.lines().filter(|line| line.contains(cure)).count();
    assert_eq!(told, 1, "{cure}: {log}");
    assert!(!log.contains(KEY.1), "a secret in the log: {log}");
    invoker
}

#[test]
fn no_credentials() {
    let aws = aws();
    assert_told(aws.bare_invoker(&json!({})), "AWS_ACCESS_KEY_ID");
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn no_region() {
    let aws = aws();
    assert_told(aws.invoker(&json!({ "region": null })), "AWS_REGION");
    let empty = aws.invoker(&json!({ "region": null }));
    assert_told(empty.env("AWS_REGION", ""), "AWS_REGION");
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn an_endpoint_variable_that_is_not_one() {
    let aws = aws();
    let invoker = aws.invoker(&json!({ "endpoint": null }));
    let invoker = invoker.env("AWS_ENDPOINT_URL", aws.lambda.to_string());
    // Not AWS's own endpoint instead.
    assert_told(invoker, "AWS_ENDPOINT_URL");
}

#[test]
fn a_key_that_ends_in_a_line_break() {
    let aws = aws();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let invoker = aws.invoker(&json!({})).env(name, "x\n");
        assert_told(invoker, "line break");
    }
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn a_clock_that_is_wrong_until_it_is_set() {
    let aws = aws();
    aws.put("/clock", &json!({ "ahead": 3600 }));
    let invoker = assert_told(aws.invoker(&json!({})), "clock");
    aws.put("/clock", &json!({ "ahead": 0 }));
    assert_eq!(invoke(&invoker, "f").status, 200);
    eventually("it is ready", || {
        (invoker.ask("/readyz").status == 200).then_some(())
    });
}

#[test]
fn a_wrong_secret() {
    let aws = aws();
    aws.key(KEY.0, &json!({ "secret": "another" }));
    assert_told(aws.invoker(&json!({})), "secret access key");
}

#[test]
fn a_key_that_does_not_exist() {
    let aws = aws();
    let invoker = aws
        .invoker(&json!({}))
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN");
    assert_told(invoker, "does not know the access key");
}

#[test]
fn an_expired_key() {
    let aws = aws();
    aws.key(KEY.0, &json!({ "secret": KEY.1, "expires_in": -60 }));
    assert_told(aws.invoker(&json!({})), "expired");
}

#[test]
fn a_role_that_may_not_be_assumed() {
    let aws = Aws::with_sts();
    aws.function("f", &json!({}));
    for role in ["forbidden", "partner"] {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        let invoker = aws.invoker(&json!({ "role_arn": arn }));
        let invoker = invoker.env("AWS_ENDPOINT_URL_STS", aws.sts_url());
        assert_told(invoker, &arn);
    }
    let invoker = aws.bare_invoker(&json!({ "role_arn": "arn:aws:iam::123456789012:role/r" }));
    let invoker = invoker.env("AWS_ENDPOINT_URL_STS", aws.sts_url());
    assert_told(invoker, "AWS_ACCESS_KEY_ID");
    // Not each request asks again.
    assert!(
        aws.requests("sts").len() < REQUESTS,
        "{:#?}",
        aws.requests("sts")
    );
}

#[test]
fn a_function_that_may_not_be_called_and_one_that_is_not_there() {
    let aws = Aws::start();
    let denied = json!({ "error": "AccessDeniedException" });
    aws.function("denied", &json!({ "turns": [denied, denied, {}, denied] }));
    let invoker = aws.invoker(&json!({})).start();
    let told = |cure: &str| {
        let log = invoker.log_with(cure);
        log.lines().filter(|line| line.contains(cure)).count()
    };
    let allow = "AccessDeniedException; allow the credentials lambda:InvokeFunction on it";
    for (status, lines) in [(403, 1), (403, 1), (200, 1), (403, 2)] {
        assert_eq!(invoke(&invoker, "denied").status, status);
        eventually("it is told", || (told(allow) == lines).then_some(()));
    }
    assert_eq!(invoke(&invoker, "missing").status, 404);
    assert_eq!(told("correct its name, qualifier or region"), 1);
    // Other functions can be called.
    assert_eq!(invoker.ask("/readyz").status, 200);
}

#[test]
fn a_metadata_service_that_fails_or_hangs_is_not_stormed() {
    for order in [json!({ "refused": 403 }), json!({ "hold": true })] {
        let aws = aws();
        aws.put("/metadata", &order);
        let invoker = aws.bare_invoker(&json!({}));
        let invoker = invoker
            .env("AWS_EC2_METADATA_DISABLED", "false")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.metadata_url());
        assert_told(invoker, "AWS_ACCESS_KEY_ID");
        let requests = aws.requests("metadata");
        assert!(requests.len() < REQUESTS, "{requests:#?}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted() {
    let aws = aws();
    let invoker = aws.invoker(&json!({ "endpoint": aws.tls_url() }));
    let invoker = with_key(invoker).env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    let invoker = invoker.unready().start();
    let answer = invoke(&invoker, "f");
    assert_eq!(answer.status, 502, "{answer:?}");
    invoker.log_with("certificate");
    assert!(aws.requests("calls").is_empty());
}
