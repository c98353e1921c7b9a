//! Credentials that are missing, rejected, and replaced.

use serde_json::json;

use super::program::{KEYS, Program};
use super::stand_in::StandIn;
use crate::support::eventually;

#[tokio::test]
async fn missing_credentials_are_logged_once_and_found_later() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!("aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let variables = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    let invoker = Program::with(&text, &variables).await;
    for _ in 0..20 {
        let response = invoker.invoke("f", json!({})).await;
        assert_eq!(response.status, 502);
        assert!(response.header("x-amzn-requestid").is_some());
    }
    let response = invoker.readyz().await;
    assert_eq!(response.status, 503);
    let reason = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(reason.contains("AWS_ACCESS_KEY_ID"), "{reason}");
    invoker.logged_once("no AWS credentials were found").await;

    std::fs::write(
        &file,
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = x\n",
    )
    .unwrap();
    invoker.wait_until_ready().await;
    assert_eq!(invoker.invoke("f", json!({})).await.status, 200);
    assert_eq!(aws.received().len(), 1);
    invoker.logged_once("no AWS credentials were found").await;
    invoker
        .logged_once("AWS credentials and region are there")
        .await;
}

#[tokio::test]
async fn a_missing_region_is_logged_once_and_an_arn_needs_no_region() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let invoker = Program::start(&format!("aws: {{ endpoint: '{endpoint}' }}")).await;
    for _ in 0..3 {
        assert_eq!(invoker.invoke("f", json!({})).await.status, 502);
    }
    let response = invoker.readyz().await;
    assert_eq!(response.status, 503);
    assert!(String::from_utf8_lossy(&response.body).contains("AWS_REGION"));
    invoker.logged_once("no AWS region is known").await;
    let arn = "arn%3Aaws%3Alambda%3Aus-west-2%3A123456789012%3Afunction%3Ahello";
    assert_eq!(invoker.invoke(arn, json!({})).await.status, 200);

    let variables = [KEYS[0], KEYS[1], ("AWS_REGION", "eu-north-1")];
    let invoker = Program::with(&format!("aws: {{ endpoint: '{endpoint}' }}"), &variables).await;
    assert_eq!(invoker.invoke("f", json!({})).await.status, 200);
    assert_eq!(aws.received().pop().unwrap().scope(), "eu-north-1/lambda");
}

#[tokio::test]
async fn rejected_credentials_are_logged_once_until_aws_accepts_them_again() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let invoker = Program::start(&format!(
        "aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}"
    ))
    .await;
    for _ in 0..5 {
        let response = invoker.invoke("late", json!({})).await;
        assert_eq!(response.status, 502);
        assert_eq!(
            response.header("x-amzn-errortype"),
            Some("InvalidSignatureException")
        );
    }
    invoker.logged_once("clock is wrong").await;
    let response = invoker.readyz().await;
    assert_eq!(response.status, 503);
    assert!(String::from_utf8_lossy(&response.body).contains("clock"));

    // AWS accepts the credentials and denies the call: the response is passed on.
    let response = invoker.invoke("denied", json!({})).await;
    assert_eq!(response.status, 403);
    eventually("readiness", async || {
        (invoker.readyz().await.status == 200).then_some(())
    })
    .await;
    invoker
        .logged_once("AWS accepts the credentials again")
        .await;
}
