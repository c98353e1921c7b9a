//! Functions that callers name by ARN, version or alias.

use std::collections::HashSet;

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::Method;
use serde_json::json;

use crate::support::events::Events;
use crate::support::{Gate, HttpResponse, Invoker, exists, fixture_function};

async fn invoke(invoker: &Invoker, function: &str, query: &str) -> HttpResponse {
    let path = format!("/2015-03-31/functions/{function}/invocations{query}");
    invoker.request(Method::POST, &path, &[], "{}").await
}

#[tokio::test]
async fn a_function_sees_the_arn_that_its_caller_named() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arn = "arn:aws-cn:lambda:cn-north-1:111122223333:function:f";
    for (function, query, invoked) in [
        (arn.to_owned(), "", arn.to_owned()),
        (format!("{arn}:live"), "", format!("{arn}:live")),
        (arn.to_owned(), "?Qualifier=7", format!("{arn}:7")),
    ] {
        let response = invoke(&invoker, &function, query).await;
        let headers = &response.json()["headers"];
        assert_eq!(headers["lambda-runtime-invoked-function-arn"], invoked);
    }
}

#[tokio::test]
async fn the_error_for_an_unknown_function_has_the_arn_that_the_caller_named() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arn = "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:absent";
    let response = invoke(&invoker, arn, "?Qualifier=7").await;
    let expected = format!("Function not found: {arn}:7");
    assert_eq!(response.status, 404);
    assert_eq!(response.json()["message"], expected);
}

#[tokio::test]
async fn the_version_that_runs_is_the_one_asked_for() {
    let invoker = Invoker::start(&fixture_function("")).await;
    for (query, version) in [
        ("?Qualifier=7", "7"),
        ("", "$LATEST"),
        ("?Qualifier=%24LATEST", "$LATEST"),
        ("?Qualifier=live", "$LATEST"),
        ("?Qualifier=7", "7"),
    ] {
        let path = format!("/2015-03-31/functions/f/invocations{query}");
        let tail = [("x-amz-log-type", "Tail")];
        let response = invoker.request(Method::POST, &path, &tail, "{}").await;
        assert_eq!(response.header("x-amz-executed-version"), Some(version));
        let env = &response.json()["env"];
        assert_eq!(env["AWS_LAMBDA_FUNCTION_VERSION"], version);
        let stream = env["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap();
        assert!(stream.contains(&format!("/[{version}]")), "{stream}");
        let log = BASE64_STANDARD.decode(response.header("x-amz-log-result").unwrap());
        let log = String::from_utf8(log.unwrap()).unwrap();
        assert!(log.contains(&format!(" Version: {version}\n")), "{log}");
    }
}

#[tokio::test]
async fn declared_versions_and_aliases_are_the_only_ones() {
    let declared = "versions: [1, 2], aliases: { live: 2 }";
    let function = fixture_function("").replacen("queue: 1", &format!("queue: 1, {declared}"), 1);
    let invoker = Invoker::start(&function).await;
    for (function, version) in [
        ("f", "$LATEST"),
        ("f:1", "1"),
        ("f:live", "2"),
        ("f:%24LATEST", "$LATEST"),
    ] {
        let response = invoke(&invoker, function, "").await;
        assert_eq!(
            response.header("x-amz-executed-version"),
            Some(version),
            "{function}"
        );
        let arn = &response.json()["headers"]["lambda-runtime-invoked-function-arn"];
        let named = function.replace("%24", "$");
        assert!(
            arn.as_str()
                .unwrap()
                .ends_with(&format!(":function:{named}")),
            "{arn}"
        );
    }
    for qualifier in ["3", "other", "%24LATEST.PUBLISHED"] {
        for kind in ["RequestResponse", "Event", "DryRun"] {
            let path = format!("/2015-03-31/functions/f/invocations?Qualifier={qualifier}");
            let headers = [("x-amz-invocation-type", kind)];
            let response = invoker.request(Method::POST, &path, &headers, "{}").await;
            assert_eq!(response.status, 404);
            let name = response.header("x-amzn-errortype");
            assert_eq!(name, Some("ResourceNotFoundException"));
            let message = response.json()["message"].as_str().unwrap().to_owned();
            let end = format!(":function:f:{}", qualifier.replace("%24", "$"));
            assert!(
                message.starts_with("Function not found: arn:aws:lambda:"),
                "{message}"
            );
            assert!(message.ends_with(&end), "{message}");
        }
    }
    let stream = Events::invoke(&invoker, &[], &json!({})).await;
    assert_eq!(stream.headers()["x-amz-executed-version"], "$LATEST");
}

#[tokio::test]
async fn an_environment_belongs_to_a_version_and_the_limit_to_the_function() {
    let invoker = Invoker::start(&fixture_function("concurrency: 2")).await;
    let pid = async |function: &str| {
        let response = invoke(&invoker, function, "").await;
        assert_eq!(response.status, 200);
        // The order in which environments become idle is then that of the calls.
        invoker.wait_until_idle().await;
        response.json()["pid"].to_string()
    };
    let (one, two) = (pid("f:1").await, pid("f:2").await);
    assert_ne!(one, two);
    assert_eq!(
        (pid("f:1").await, pid("f:2").await),
        (one.clone(), two.clone())
    );
    // The environment of version 1 has not been used for the longest time, and makes room.
    let three = pid("f:3").await;
    assert_eq!(pid("f:2").await, two);
    assert_eq!(pid("f:3").await, three);
    assert_ne!(pid("f:1").await, one);
}

#[tokio::test]
async fn a_caller_of_a_busy_function_gets_its_version_in_turn() {
    let gate = Gate::new();
    let function = fixture_function("concurrency: 1").replacen("queue: 1", "queue: 10", 1);
    let invoker = Invoker::start(&function).await;
    let path = "/2015-03-31/functions/f:1/invocations";
    let event = gate.event().to_string();
    let running = invoker.request(Method::POST, path, &[], event);
    let rest = async {
        exists(&gate.path("begun")).await;
        let versions = ["2", "1", "2", "$LATEST", "1"];
        let calls = versions.map(|version| {
            let function = format!("f:{}", version.replace('$', "%24"));
            let invoker = &invoker;
            async move {
                let response = invoke(invoker, &function, "").await;
                assert_eq!(response.header("x-amz-executed-version"), Some(version));
                response.json()["pid"].to_string()
            }
        });
        let [a, b, c, d, e] = calls;
        let open = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            gate.open();
        };
        let (a, b, c, d, e, ()) = tokio::join!(a, b, c, d, e, open);
        assert!(HashSet::from([a, b, c, d, e]).len() >= 3);
    };
    let (response, ()) = tokio::join!(running, rest);
    assert_eq!(response.header("x-amz-executed-version"), Some("1"));
}
