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

#[tokio::test]
async fn the_route_that_takes_the_request_has_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let text = "aws: {}
routes:
- { host: shop.test, path: '/pets/{id}', method: GET, function: pets, payload: apigateway-v1, stage: dev }
- { host: shop.test, path: /*, function: pets, payload: alb }
";
    std::fs::write(folder.path().join("invoker.yaml"), text).unwrap();
    let event = async |arguments: &[&str]| {
        let mut all = vec!["event", "pets", "--config", "invoker.yaml"];
        all.extend(arguments);
        ended(program(&all, &folder), "").await
    };
    let rest = event(&["--path", "/pets/7"]).await;
    assert_eq!(
        rest.stderr,
        "the event is that of the route in invoker.yaml:3\n"
    );
    let rest = rest.json();
    assert_eq!(rest["resource"], "/pets/{id}");
    assert_eq!(rest["pathParameters"], json!({ "id": "7" }));
    assert_eq!(rest["requestContext"]["stage"], "dev");
    assert_eq!(rest["headers"]["Host"], "shop.test");

    let alb = event(&["--path", "/pets/7", "-d", "x"]).await;
    assert_eq!(
        alb.stderr,
        "the event is that of the route in invoker.yaml:4\n"
    );
    assert!(alb.json()["requestContext"]["elb"].is_object());

    let other = event(&["--path", "/pets/7", "--host", "b.test"]).await;
    assert_eq!(
        other.stderr,
        "no route in invoker.yaml takes GET /pets/7 to pets\n"
    );
    assert_eq!(other.json()["version"], "2.0");

    // The options are nearer than the route.
    let chosen = event(&["--path", "/pets/7", "--payload", "vpc-lattice-v1"]).await;
    assert_eq!(chosen.stderr, "");
    assert_eq!(chosen.json()["raw_path"], "/pets/7");
}
