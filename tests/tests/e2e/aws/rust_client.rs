//! AWS's client for Rust, with the invoker as its endpoint.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, InvokeWithResponseStreamResponseEvent, LogType};
use lambda_mesh_tests::aws::{KEY, REGION};
use lambda_mesh_tests::block_on;
use lambda_mesh_tests::invoker::Invoker;
use serde_json::json;

use super::shared;
use crate::service::functions;

fn client(invoker: &Invoker) -> Client {
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(KEY.0, KEY.1, None, None, "test"))
        .region(Region::new(REGION))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(format!("http://{}", invoker.address()))
        .build();
    Client::from_conf(config)
}

fn payload(output: &InvokeOutput) -> &str {
    let payload = output.payload().map(Blob::as_ref).unwrap_or_default();
    std::str::from_utf8(payload).expect("text")
}

#[test]
fn the_rust_sdk_calls_functions_on_aws() {
    let aws = shared();
    aws.function("typed-rust", &json!({ "chunks": ["a", "b"] }));
    aws.function(
        "throttled-rust",
        &json!({ "error": "TooManyRequestsException", "retry_after": 2 }),
    );
    let invoker = aws.invoker(&json!({ "retries": 0 })).start();
    let client = client(&invoker);
    block_on(async {
        let call = client
            .invoke()
            .function_name("typed-rust")
            .payload(Blob::new(r#"{"a":"ü"}"#));
        let response = call
            .clone()
            .log_type(LogType::Tail)
            .send()
            .await
            .expect("a response");
        assert_eq!(
            (response.status_code(), payload(&response)),
            (200, r#"{"a":"ü"}"#)
        );
        assert_eq!(response.executed_version(), Some("$LATEST"));
        assert!(response.log_result().is_some_and(|log| !log.is_empty()));
        for (kind, status) in [(InvocationType::Event, 202), (InvocationType::DryRun, 204)] {
            let response = call
                .clone()
                .invocation_type(kind)
                .send()
                .await
                .expect("a response");
            assert_eq!((response.status_code(), payload(&response)), (status, ""));
        }

        let stream = client
            .invoke_with_response_stream()
            .function_name("typed-rust");
        let mut stream = stream.send().await.expect("a stream").event_stream;
        let mut text = Vec::new();
        let mut complete = false;
        while let Some(event) = stream.recv().await.expect("whole frames") {
            match event {
                InvokeWithResponseStreamResponseEvent::PayloadChunk(chunk) => {
                    text.extend(chunk.payload.expect("a payload").into_inner());
                }
                InvokeWithResponseStreamResponseEvent::InvokeComplete(end) => {
                    assert_eq!(end.error_code, None);
                    complete = true;
                }
                other => panic!("unknown: {other:?}"),
            }
        }
        assert_eq!((text.as_slice(), complete), (&b"ab"[..], true));

        let throttled = client.invoke().function_name("throttled-rust").send().await;
        match throttled.expect_err("an error").into_service_error() {
            InvokeError::TooManyRequestsException(error) => {
                assert_eq!(error.retry_after_seconds(), Some("2"));
            }
            other => panic!("{other:?}"),
        }
        let absent = client
            .invoke_with_response_stream()
            .function_name("absent")
            .send()
            .await;
        let absent = absent.expect_err("an error").into_service_error();
        assert!(absent.is_resource_not_found_exception(), "{absent:?}");
    });
}

#[test]
fn the_rust_sdk_calls_local_functions() {
    let invoker = Invoker::start(&functions());
    let client = client(&invoker);
    block_on(async {
        let fail = Blob::new(r#"{"rawPath":"/fail"}"#);
        let failed = client
            .invoke()
            .function_name("probe")
            .payload(fail)
            .send()
            .await;
        let failed = failed.expect("a response");
        assert_eq!(
            (failed.status_code(), failed.function_error()),
            (200, Some("Unhandled"))
        );
        assert!(
            payload(&failed).contains("as asked"),
            "{}",
            payload(&failed)
        );
        let large = Blob::new(vec![b' '; 6_291_557]);
        let large = client
            .invoke()
            .function_name("probe")
            .payload(large)
            .send()
            .await;
        let large = large.expect_err("an error").into_service_error();
        assert!(large.is_request_too_large_exception(), "{large:?}");
        assert!(
            large
                .message()
                .is_some_and(|message| message.contains("6291556")),
            "{large:?}"
        );
        let absent = client.invoke().function_name("absent").send().await;
        let absent = absent.expect_err("an error").into_service_error();
        assert!(absent.is_resource_not_found_exception(), "{absent:?}");
    });
}
