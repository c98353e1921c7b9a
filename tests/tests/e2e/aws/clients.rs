//! boto3 and the AWS CLI, with the invoker as their endpoint.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::aws::{aws_cli, aws_cli_as, boto3, boto3_as};
use lambda_mesh_tests::invoker::Invoker;
use serde_json::{Value, json};

use super::shared;
use crate::service::functions;

fn url(invoker: &Invoker) -> String {
    format!("http://{}", invoker.address())
}

fn invoke(function: &str, parameters: &Value) -> Value {
    call("invoke", function, parameters)
}

fn call(operation: &str, function: &str, parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    parameters["FunctionName"] = json!(function);
    json!({ "operation": operation, "parameters": parameters })
}

fn results_of<const N: usize>(results: &[Value]) -> &[Value; N] {
    results.try_into().expect("a result for each call")
}

/// Returns the class of the exception, the status, and the code that AWS sent.
fn error(result: &Value) -> (&str, u64, &str) {
    let error = &result["error"];
    assert!(error["class"].is_string(), "no error: {result:#}");
    (
        error["class"].as_str().unwrap_or_default(),
        error["status"].as_u64().unwrap_or_default(),
        error["members"]["Error"]["Code"]
            .as_str()
            .unwrap_or_default(),
    )
}

/// Asserts the behaviour that all backends share.
fn assert_common(url: &str) {
    let event = r#"{"rawPath": "/echo", "text": "ü😀"}"#;
    let results = boto3(
        url,
        &json!([
            invoke("probe", &json!({ "Payload": event, "LogType": "Tail" })),
            invoke(
                "probe",
                &json!({ "Payload": event, "InvocationType": "Event" })
            ),
            invoke(
                "probe",
                &json!({ "Payload": event, "InvocationType": "DryRun" })
            ),
            call(
                "invoke_with_response_stream",
                "probe",
                &json!({ "Payload": event })
            ),
            invoke("absent", &json!({})),
            call("invoke_with_response_stream", "absent", &json!({})),
            invoke(
                "probe",
                &json!({ "Payload": format!("\"{}\"", "x".repeat(6_291_555)) })
            ),
            invoke("probe:1", &json!({ "Qualifier": "2" })),
            call("invoke_async", "probe", &json!({ "InvokeArgs": event })),
            call("get_function", "probe", &json!({})),
        ]),
    );
    let [
        echo,
        event,
        dry_run,
        streamed,
        absent,
        absent_stream,
        too_large,
        conflict,
        queued,
        unserved,
    ] = results_of(&results);
    let log = STANDARD.decode(echo["LogResult"].as_str().expect("a log"));
    let log = String::from_utf8(log.expect("base64")).expect("text");
    assert!(log.contains("START RequestId: "), "{log}");
    let (status, payload) = (&event["StatusCode"], &event["Payload"]);
    assert_eq!((status, payload), (&json!(202), &json!("")));
    let events = streamed["EventStream"].as_array().expect("events");
    let (complete, chunks) = events.split_last().expect("a last event");
    assert_eq!(complete, &json!({ "InvokeComplete": {} }));
    let chunks = chunks
        .iter()
        .map(|chunk| chunk["PayloadChunk"]["Payload"].as_str());
    let text: String = chunks.map(|text| text.expect("text")).collect();
    assert_eq!(json!(text), echo["Payload"]);
    assert_eq!(error(absent_stream).0, "ResourceNotFoundException");
    assert_eq!(echo["StatusCode"], 200, "{echo:#}");
    assert_eq!(echo["ExecutedVersion"], "$LATEST");
    assert!(echo.get("FunctionError").is_none());
    assert!(echo["Payload"].as_str().expect("text").contains("ü😀"));
    assert_eq!(
        (&dry_run["StatusCode"], &dry_run["Payload"]),
        (&json!(204), &json!(""))
    );
    assert_eq!(
        error(absent),
        (
            "ResourceNotFoundException",
            404,
            "ResourceNotFoundException"
        )
    );
    assert_eq!(
        error(too_large),
        ("RequestTooLargeException", 413, "RequestTooLargeException")
    );
    assert_eq!(queued["Status"], 202, "{queued:#}");
    assert_eq!(error(unserved).2, "UnknownOperationException");
    assert_eq!(
        error(conflict),
        (
            "InvalidParameterValueException",
            400,
            "InvalidParameterValueException"
        )
    );
}

#[test]
fn boto3_calls_local_functions() {
    let invoker = Invoker::start(&functions());
    assert_common(&url(&invoker));
    let fail = invoke("probe", &json!({ "Payload": r#"{"rawPath": "/fail"}"# }));
    let results = boto3(&url(&invoker), &json!([fail]));
    let failed = &results[0];
    assert_eq!(
        (&failed["StatusCode"], &failed["FunctionError"]),
        (&json!(200), &json!("Unhandled"))
    );
    let payload: Value =
        serde_json::from_str(failed["Payload"].as_str().expect("text")).expect("JSON");
    assert_eq!(payload["errorMessage"], "as asked");
}

#[test]
fn boto3_calls_functions_on_aws() {
    let aws = shared();
    for (name, behaviour) in [
        ("probe", json!({})),
        (
            "limited",
            json!({ "error": "TooManyRequestsException", "retry_after": 2 }),
        ),
        ("inactive", json!({ "error": "ResourceNotReadyException" })),
        (
            "raising",
            json!({ "function_error": true, "payload": { "errorType": "Oops" } }),
        ),
        ("streaming", json!({ "chunks": ["one ", "zwölf", ""] })),
        (
            "breaking",
            json!({ "chunks": ["one"], "stream_error": { "code": "Function.Oops", "details": "d" } }),
        ),
    ] {
        aws.function(name, &behaviour);
    }
    let invoker = aws.invoker(&json!({ "retries": 0 })).start();
    let url = url(&invoker);
    assert_common(&url);

    let streamed = |name, parameters: &Value| call("invoke_with_response_stream", name, parameters);
    let results = boto3(
        &url,
        &json!([
            invoke(
                "probe",
                &json!({ "Payload": "{}", "LogType": "Tail", "ClientContext": "e30=" })
            ),
            invoke("probe", &json!({ "Qualifier": "live" })),
            invoke("limited", &json!({})),
            invoke("inactive", &json!({})),
            invoke("raising", &json!({})),
            streamed("streaming", &json!({ "LogType": "Tail" })),
            streamed("breaking", &json!({})),
        ]),
    );
    let [
        tail,
        live,
        throttled,
        inactive,
        raising,
        streaming,
        breaking,
    ] = results_of(&results);
    assert_eq!(live["ExecutedVersion"], "live");
    assert_eq!(
        error(throttled),
        ("TooManyRequestsException", 429, "TooManyRequestsException")
    );
    let members = &throttled["error"]["members"];
    assert_eq!(members["retryAfterSeconds"], "2");
    assert_eq!(members["Reason"], "ConcurrentInvocationLimitExceeded");
    assert_eq!(error(inactive).0, "ResourceNotReadyException");
    assert_eq!(raising["FunctionError"], "Unhandled");
    assert_eq!(raising["Payload"], r#"{"errorType": "Oops"}"#);
    let log = &tail["LogResult"];
    let chunk = |text| json!({ "PayloadChunk": { "Payload": text } });
    let complete = json!({ "InvokeComplete": { "LogResult": log } });
    let expected = json!([chunk("one "), chunk("zwölf"), chunk(""), complete]);
    assert_eq!(streaming["EventStream"], expected);
    let end = json!({ "InvokeComplete": { "ErrorCode": "Function.Oops", "ErrorDetails": "d" } });
    assert_eq!(breaking["EventStream"], json!([chunk("one"), end]));
}

#[test]
fn the_aws_cli_calls_functions() {
    let aws = shared();
    aws.function("typed", &json!({}));
    let invoker = aws.invoker(&json!({})).start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("answer.json");
    let run = |function: &str, options: &[&str]| {
        let mut arguments = vec!["invoke", "--function-name", function];
        arguments.extend_from_slice(options);
        arguments.push(file.to_str().expect("a path in UTF-8"));
        let output = aws_cli(&url(&invoker), &arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => Ok(serde_json::from_slice::<Value>(&output.stdout).expect("JSON")),
            false => Err(errors),
        }
    };
    let response = run(
        "typed",
        &["--payload", r#"{"a": "ü"}"#, "--log-type", "Tail"],
    );
    let response = response.expect("a response");
    assert_eq!(response["StatusCode"], 200);
    assert!(response["LogResult"].is_string(), "{response}");
    let written = std::fs::read_to_string(&file).expect("the file with the response");
    assert_eq!(written, r#"{"a": "ü"}"#);
    let event = run("typed", &["--invocation-type", "Event"]).expect("a response");
    assert_eq!(event["StatusCode"], 202);
    let dry_run = run("typed", &["--invocation-type", "DryRun"]).expect("a response");
    assert_eq!(dry_run["StatusCode"], 204);
    let error = run("absent", &[]).expect_err("an error");
    assert!(error.contains("(ResourceNotFoundException)"), "{error}");
}

/// The invoker verifies the signatures of both, which are made by botocore.
#[test]
fn clients_with_an_access_key_call_their_functions_and_others_none() {
    const KEY: (&str, &str) = ("REPORTS", "an/access+key=of-the-invoker's-own");
    let probe = &functions()["probe"];
    let invoker = Invoker::with(json!({
        "callers": { "access_keys": [
            { "id": KEY.0, "secret": "env:REPORTS_KEY", "functions": ["probe*", "absent"] },
        ] },
        "functions": { "probe": probe, "other": probe },
    }));
    let invoker = invoker.env("REPORTS_KEY", KEY.1).start();
    let url = url(&invoker);
    let event = json!({ "Payload": r#"{"rawPath": "/echo", "text": "ü😀"}"# });
    let large = format!("\"{}\"", "x".repeat(300_000));
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:probe";
    let calls = json!([
        invoke("probe", &event),
        invoke(
            "probe",
            &json!({ "InvocationType": "Event", "ClientContext": "e30=" })
        ),
        invoke("probe", &json!({ "Payload": large })),
        invoke(arn, &json!({ "Qualifier": "$LATEST" })),
        call("invoke_with_response_stream", "probe", &event),
        invoke("absent", &json!({})),
        invoke("other", &json!({})),
    ]);
    let results = boto3_as(KEY, &url, &calls);
    let [echo, queued, large, arn, streamed, absent, other] = results_of(&results);
    for (result, status) in [(echo, 200), (queued, 202), (large, 200), (arn, 200)] {
        assert_eq!(result["StatusCode"], status, "{result:#}");
    }
    assert!(streamed["EventStream"].is_array(), "{streamed:#}");
    assert_eq!(error(absent).1, 404);
    assert_eq!(error(other).2, "AccessDeniedException");
    for (key, name) in [
        (
            (KEY.0, "another/access+key=of-somebody-else"),
            "InvalidSignatureException",
        ),
        (("OTHER", KEY.1), "UnrecognizedClientException"),
    ] {
        for result in boto3_as(key, &url, &calls) {
            let (_, status, code) = error(&result);
            assert_eq!((status, code), (403, name), "{result:#}");
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("answer.json");
    let file = file.to_str().expect("a path in UTF-8");
    let payload = r#"{"rawPath": "/echo"}"#;
    let arguments = [
        "invoke",
        "--function-name",
        "probe",
        "--payload",
        payload,
        file,
    ];
    let output = aws_cli_as(KEY, &url, &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let output = aws_cli(&url, &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("(UnrecognizedClientException)"), "{errors}");
}
