//! Mistakes with credentials. The log reports each of them once with its cure, `/readyz` reports it too, and
//! requests fail immediately.

use std::time::{Duration, Instant};

use lambda_mesh_tests::aws::{Aws, KEY, with_key};
use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::{Builder, Invoker};
use lambda_mesh_tests::shared::Component;
use serde_json::json;

use super::{invoke, request};

const REQUESTS: usize = 20;

fn aws() -> Aws {
    let aws = Aws::start();
    aws.function("f", &json!({}));
    aws
}

/// Starts `invoker` and calls it. Asserts that every request is a 502 without a long wait, that `/readyz` has
/// a reason with the words `cure`, and that the log has one such line.
fn assert_reported(invoker: Builder, cure: &str) -> Invoker {
    let invoker = invoker.unready().start();
    let began = Instant::now();
    for response in send_all((0..REQUESTS).map(|_| request(&invoker, "f")), 4) {
        let response = response.expect("a response");
        assert_eq!(response.status, 502, "{response:?}");
        assert!(
            response.headers.contains_key("x-amzn-errortype"),
            "{response:?}"
        );
        assert!(response.json()["Message"].is_string(), "{response:?}");
        assert!(!response.text().contains(KEY.1));
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
    let lines = log.lines().filter(|line| line.contains(cure)).count();
    assert_eq!(lines, 1, "{cure}: {log}");
    assert!(!log.contains(KEY.1), "a secret in the log: {log}");
    invoker
}

#[test]
fn missing_credentials_are_reported() {
    let aws = aws();
    assert_reported(aws.bare_invoker(&json!({})), "AWS_ACCESS_KEY_ID");
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn a_missing_region_is_reported() {
    let aws = aws();
    assert_reported(aws.invoker(&json!({ "region": null })), "AWS_REGION");
    let empty = aws.invoker(&json!({ "region": null }));
    assert_reported(empty.env("AWS_REGION", ""), "AWS_REGION");
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn an_endpoint_variable_without_a_url_is_reported() {
    let aws = aws();
    let invoker = aws.invoker(&json!({ "endpoint": null }));
    let invoker = invoker.env("AWS_ENDPOINT_URL", aws.lambda.to_string());
    // AWS's own endpoint is not used instead.
    assert_reported(invoker, "AWS_ENDPOINT_URL");
}

#[test]
fn a_key_that_ends_in_a_line_break_is_reported() {
    let aws = aws();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let invoker = aws.invoker(&json!({})).env(name, "x\n");
        assert_reported(invoker, "line break");
    }
    assert!(aws.requests("calls").is_empty());
}

#[test]
fn a_wrong_clock_is_reported_until_it_is_set() {
    let aws = aws();
    aws.put("/clock", &json!({ "ahead": 3600 }));
    let invoker = assert_reported(aws.invoker(&json!({})), "clock");
    aws.put("/clock", &json!({ "ahead": 0 }));
    assert_eq!(invoke(&invoker, "f").status, 200);
    eventually("a ready invoker", || {
        (invoker.ask("/readyz").status == 200).then_some(())
    });
}

#[test]
fn a_wrong_secret_is_reported() {
    let aws = aws();
    aws.key(KEY.0, &json!({ "secret": "another" }));
    assert_reported(aws.invoker(&json!({})), "secret access key");
}

#[test]
fn an_unknown_key_is_reported() {
    let aws = aws();
    let invoker = aws
        .invoker(&json!({}))
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN");
    assert_reported(invoker, "does not know the access key");
}

#[test]
fn an_expired_key_is_reported() {
    let aws = aws();
    aws.key(KEY.0, &json!({ "secret": KEY.1, "expires_in": -60 }));
    assert_reported(aws.invoker(&json!({})), "expired");
}

#[test]
fn a_role_that_may_not_be_assumed_is_reported() {
    let aws = Aws::with_sts();
    aws.function("f", &json!({}));
    for role in ["forbidden", "partner"] {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        let invoker = aws.invoker(&json!({ "role_arn": arn }));
        let invoker = invoker.env("AWS_ENDPOINT_URL_STS", aws.sts_url());
        assert_reported(invoker, &arn);
    }
    let invoker = aws.bare_invoker(&json!({ "role_arn": "arn:aws:iam::123456789012:role/r" }));
    let invoker = invoker.env("AWS_ENDPOINT_URL_STS", aws.sts_url());
    assert_reported(invoker, "AWS_ACCESS_KEY_ID");
    // Not every request asks again.
    assert!(
        aws.requests("sts").len() < REQUESTS,
        "{:#?}",
        aws.requests("sts")
    );
}

#[test]
fn a_forbidden_and_a_missing_function_are_reported_once() {
    let aws = Aws::start();
    let denied = json!({ "error": "AccessDeniedException" });
    aws.function("denied", &json!({ "turns": [denied, denied, {}, denied] }));
    let invoker = aws.invoker(&json!({})).start();
    let lines_with = |cure: &str| {
        let log = invoker.log_with(cure);
        log.lines().filter(|line| line.contains(cure)).count()
    };
    let allow = "AccessDeniedException; allow the credentials lambda:InvokeFunction on it";
    for (status, lines) in [(403, 1), (403, 1), (200, 1), (403, 2)] {
        assert_eq!(invoke(&invoker, "denied").status, status);
        eventually("the line", || (lines_with(allow) == lines).then_some(()));
    }
    assert_eq!(invoke(&invoker, "missing").status, 404);
    assert_eq!(lines_with("correct its name, qualifier or region"), 1);
    // The invoker stays ready for other functions.
    assert_eq!(invoker.ask("/readyz").status, 200);
}

#[test]
fn a_metadata_service_that_fails_or_hangs_is_not_flooded() {
    for order in [json!({ "refused": 403 }), json!({ "hold": true })] {
        let aws = aws();
        aws.put("/metadata", &order);
        let invoker = aws.bare_invoker(&json!({}));
        let invoker = invoker
            .env("AWS_EC2_METADATA_DISABLED", "false")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.metadata_url());
        assert_reported(invoker, "AWS_ACCESS_KEY_ID");
        let requests = aws.requests("metadata");
        assert!(requests.len() < REQUESTS, "{requests:#?}");
    }
}

#[test]
fn an_untrusted_certificate_is_reported() {
    let aws = aws();
    let invoker = aws.invoker(&json!({ "endpoint": aws.tls_url() }));
    let invoker = with_key(invoker).env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    let invoker = invoker.unready().start();
    let response = invoke(&invoker, "f");
    assert_eq!(response.status, 502, "{response:?}");
    invoker.log_with("certificate");
    assert!(aws.requests("calls").is_empty());
}
