//! `sidecar-invoker event`.

use serde_json::{Value, json};

use super::{ended, program, run};

async fn event(arguments: &[&str]) -> Value {
    let mut all = vec!["event"];
    all.extend(arguments);
    run(&all).await.json()
}

#[tokio::test]
async fn without_options_the_event_is_an_empty_object() {
    assert_eq!(run(&["event"]).await.stdout, "{}\n");
}

#[tokio::test]
async fn a_sample_has_the_fields_that_are_set() {
    let s3 = event(&["--sample", "s3", "--set", "bucket=b", "--set", "key=k"]).await;
    assert_eq!(s3["Records"][0]["s3"]["object"]["key"], "k");
    assert_eq!(s3["Records"][0]["s3"]["bucket"]["name"], "b");
    let rest = event(&[
        "--sample",
        "apigateway",
        "--set",
        "path=/a?b=c",
        "--set",
        "method=PUT",
    ])
    .await;
    assert_eq!(
        (&rest["httpMethod"], &rest["path"]),
        (&json!("PUT"), &json!("/a"))
    );
    assert_eq!(rest["queryStringParameters"], json!({ "b": "c" }));
}

#[tokio::test]
async fn every_sample_of_the_list_can_be_printed() {
    let list = run(&["event", "--list"]).await;
    assert_eq!(list.code, Some(0));
    assert_eq!(run(&["invoke", "--list-samples"]).await.stdout, list.stdout);
    let lines = list.stdout.lines().skip(1);
    let names: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(names.len() > 30, "{}", list.stdout);
    for line in names {
        let name = line.split(' ').next().unwrap();
        assert!(event(&["--sample", name]).await.is_object(), "{name}");
    }
}

#[tokio::test]
async fn an_event_comes_from_an_argument_a_file_or_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("event.json"), "{ \"a\": 1.0 }\n").unwrap();
    for (argument, input, expected) in [
        ("[1, 2]", "", "[1, 2]\n"),
        ("event.json", "", "{ \"a\": 1.0 }\n"),
        ("-", "\"text\"", "\"text\"\n"),
    ] {
        let called = ended(program(&["event", "--event", argument], &folder), input).await;
        assert_eq!(
            (called.code, called.stdout.as_str()),
            (Some(0), expected),
            "{}",
            called.stderr
        );
    }
}

#[tokio::test]
async fn a_body_comes_from_an_argument_a_file_or_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body"), "from a file\n").unwrap();
    for (arguments, input, expected) in [
        (&["-d", "a=1", "-d", "b=2"][..], "", "a=1&b=2"),
        (&["-d", "@body"], "", "from a file\n"),
        (&["-d", "@-"], "from standard input", "from standard input"),
    ] {
        let mut all = vec![
            "event",
            "--payload",
            "alb",
            "-H",
            "content-type: text/plain",
        ];
        all.extend(arguments);
        let called = ended(program(&all, &folder), input).await;
        assert_eq!(called.json()["body"], expected);
        assert_eq!(called.json()["httpMethod"], "POST");
    }
}

#[tokio::test]
async fn headers_are_set_and_removed_as_by_curl() {
    let arguments = [
        "-H",
        "Accept:",
        "-H",
        "X-Empty;",
        "-H",
        "User-Agent: me",
        "-H",
        "Host: a.test",
        "-d",
        "x",
    ];
    let headers = event(&arguments).await["headers"].clone();
    assert_eq!(headers.get("accept"), None);
    assert_eq!(headers["x-empty"], "");
    assert_eq!(headers["user-agent"], "me");
    assert_eq!(headers["host"], "a.test");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn the_keys_of_the_filter_shape_the_event() {
    let mut arguments = vec!["--path", "/shop/pets/7", "--filter", "strip_prefix=/shop"];
    arguments.extend([
        "--filter",
        "resource=/pets/{id}",
        "--filter",
        "account_id=210987654321",
    ]);
    arguments.extend([
        "--payload",
        "apigateway-v1",
        "--filter",
        r#"binary_media_types=["*/*"]"#,
    ]);
    arguments.extend(["-d", "x"]);
    let event = event(&arguments).await;
    assert_eq!(event["path"], "/pets/7");
    assert_eq!(event["pathParameters"], json!({ "id": "7" }));
    assert_eq!(event["requestContext"]["accountId"], "210987654321");
    assert_eq!(event["isBase64Encoded"], true);
}
