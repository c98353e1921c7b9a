//! The callers that an invoker serves, and the functions that each may invoke.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::running::{Running, serve};
use crate::support::{HttpResponse, Invoker, eventually, fixture, request, send, send_h2};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";
const STREAM: &str = "/2021-11-15/functions/f/response-streaming-invocations";
const SECRET: &str = "x-lambda-mesh-secret";
const ONE: &str = "0123456789abcdef0123456789abcdef";
const TWO: &str = "fedcba9876543210fedcba9876543210";
const CERT: &str = "x-forwarded-client-cert";

/// Returns functions `f` and `g` that run the fixture.
fn functions() -> String {
    let local = format!("{{ local: {{ command: [python3, {}] }} }}", fixture());
    format!("functions: {{ f: {local}, g: {local} }}")
}

/// Starts an invoker with these callers. `FOLDER` in them is `folder`, which has the files `one` and
/// `two` with a secret each.
async fn start(callers: &str, folder: &Path) -> Invoker {
    std::fs::write(folder.join("one"), ONE).unwrap();
    std::fs::write(folder.join("two"), format!("{TWO}\n")).unwrap();
    let callers = callers.replace("FOLDER", &folder.display().to_string());
    Invoker::start(&format!("callers: {callers}\n{}", functions())).await
}

fn error_type(response: &HttpResponse) -> Option<&str> {
    response.header("x-amzn-errortype")
}

/// Returns the error of a call to `function` with these headers, or the status of its success.
async fn call(
    invoker: &Invoker,
    function: &str,
    headers: &[(&str, &str)],
) -> Result<u16, (String, String)> {
    let path = INVOKE.replace("/f/", &format!("/{function}/"));
    let response = invoker.request(Method::POST, &path, headers, "{}").await;
    match response.status.as_u16() {
        403 => {
            let message = response.json()["message"].as_str().unwrap().to_owned();
            Err((error_type(&response).unwrap().to_owned(), message))
        }
        status => Ok(status),
    }
}

#[tokio::test]
async fn no_call_of_any_kind_is_served_without_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = start(
        "{ filters: [{ secrets: ['file:FOLDER/one', 'file:FOLDER/two'] }] }",
        folder.path(),
    )
    .await;
    let event = |kind: &'static str| vec![("x-amz-invocation-type", kind)];
    let in_header = format!("RequestResponse - {INVOKE} {{}}");
    let cases = [
        (Method::POST, INVOKE, vec![], 200),
        (Method::POST, INVOKE, event("Event"), 202),
        (Method::POST, INVOKE, event("DryRun"), 204),
        (Method::POST, STREAM, vec![], 200),
        (
            Method::GET,
            "/pets",
            vec![("x-lambda-mesh-invocation", &in_header)],
            200,
        ),
        (
            Method::GET,
            "/pets",
            vec![("x-lambda-mesh-invocation", "?")],
            400,
        ),
        (
            Method::POST,
            "/2015-03-31/functions/absent/invocations",
            vec![],
            404,
        ),
        (Method::POST, "/2015-03-31/functions/f", vec![], 404),
        (Method::GET, INVOKE, vec![], 405),
        (Method::OPTIONS, "/", vec![], 404),
    ];
    for (method, path, headers, status) in cases {
        let send = async |secret: &[&str]| {
            let secrets = secret.iter().map(|secret| (SECRET, *secret));
            let headers: Vec<_> = headers.iter().copied().chain(secrets).collect();
            let body = if method == Method::POST { "{}" } else { "" };
            invoker.request(method.clone(), path, &headers, body).await
        };
        for (secret, name) in [
            (&[][..], "MissingAuthenticationTokenException"),
            (&[""], "MissingAuthenticationTokenException"),
            (&["-"], "UnrecognizedClientException"),
            (
                &[ONE.trim_start_matches('0')],
                "UnrecognizedClientException",
            ),
            (&[ONE, "another"], "UnrecognizedClientException"),
        ] {
            let response = send(secret).await;
            assert_eq!(response.status, 403, "{method} {path} {secret:?}");
            assert_eq!(error_type(&response), Some(name), "{method} {path}");
            assert_eq!(response.json()["Type"], "User");
            assert!(!String::from_utf8_lossy(&response.body).contains(ONE));
        }
        for secret in [ONE, TWO] {
            let response = send(&[secret]).await;
            assert_eq!(response.status, status, "{method} {path} {secret}");
        }
    }
    let response = send_h2(
        invoker.connect().await,
        request(Method::POST, &format!("http://invoker{INVOKE}"), &[], "{}"),
    )
    .await;
    assert_eq!(response.status, 403);
    let metrics = invoker.admin("/metrics").await;
    assert_eq!(metrics.status, 200, "the admin endpoints need no secret");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(!metrics.contains(ONE));
    let refused = "{function=\"f\",outcome=\"refused\"} 0";
    assert!(
        metrics.contains(refused),
        "no refused caller has invoked f: {metrics}"
    );
}

#[tokio::test]
async fn the_function_never_sees_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let invoker = start(
        "{ filters: [{ secrets: ['file:FOLDER/one'] }] }",
        folder.path(),
    )
    .await;
    for path in [INVOKE, STREAM] {
        let headers = [(SECRET, ONE)];
        let response = invoker.request(Method::POST, path, &headers, "{}").await;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 200, "{text}");
        assert!(text.contains("AWS_LAMBDA_RUNTIME_API"), "{text}");
        assert!(!text.contains(ONE), "{text}");
        assert!(!format!("{:?}", response.headers).contains(ONE));
    }
}

#[tokio::test]
async fn a_caller_without_proof_is_refused_before_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let callers = "{ filters: [{ secrets: ['file:FOLDER/one'] }],
        access_keys: [{ id: SDK1, secret: 'file:FOLDER/two' }] }";
    let invoker = start(callers, folder.path()).await;
    for extra in [
        "",
        "expect: 100-continue\r\n",
        "authorization: AWS4-HMAC-SHA256 x\r\n",
    ] {
        let mut stream = invoker.connect().await;
        let head = format!("POST {INVOKE} HTTP/1.1\r\nhost: a\r\n{extra}content-length: 9\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(start, *b"HTTP/1.1 403", "{extra}");
    }
}

#[tokio::test]
async fn a_file_with_another_secret_counts_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let callers = "{ filters: [{ secrets: ['file:FOLDER/one', 'file:FOLDER/two'] }] }";
    let invoker = start(callers, folder.path()).await;
    let three = "3".repeat(32);
    let status = async |secret: &str| call(&invoker, "f", &[(SECRET, secret)]).await.ok();
    std::fs::write(folder.path().join("two"), &three).unwrap();
    eventually("the new secret", async || status(&three).await).await;
    assert_eq!(status(TWO).await, None, "the old one is void");
    assert_eq!(status(ONE).await, Some(200), "the other one is not");
    // A file that is not whole changes nothing.
    std::fs::write(folder.path().join("two"), "short").unwrap();
    std::fs::write(folder.path().join("one"), TWO).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(
        (status(ONE).await, status(&three).await),
        (Some(200), Some(200))
    );
    assert_eq!(status(TWO).await, None);
}

#[tokio::test]
async fn each_caller_invokes_its_own_functions() {
    let folder = tempfile::tempdir().unwrap();
    let callers = "{ filters: [
        { secrets: ['file:FOLDER/one'], functions: [f] },
        { secrets: ['file:FOLDER/two'], functions: ['?', none] }] }";
    let invoker = start(callers, folder.path()).await;
    assert_eq!(call(&invoker, "f", &[(SECRET, ONE)]).await, Ok(200));
    assert_eq!(call(&invoker, "g", &[(SECRET, TWO)]).await, Ok(200));
    let (name, message) = call(&invoker, "g", &[(SECRET, ONE)]).await.unwrap_err();
    assert_eq!(name, "AccessDeniedException");
    assert!(message.contains("on resource: g"), "{message}");
    // The function in the header counts, not the one in the path.
    let hidden = format!("RequestResponse - {} {{}}", INVOKE.replace("/f/", "/g/"));
    let headers = [(SECRET, ONE), ("x-lambda-mesh-invocation", &hidden)];
    let response = invoker.request(Method::POST, INVOKE, &headers, "").await;
    assert_eq!(error_type(&response), Some("AccessDeniedException"));
}

#[tokio::test]
async fn an_identity_decides_beside_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let callers = "{ filters: [{ secrets: ['file:FOLDER/one'] }], identities: [
        { uri: 'spiffe://td/ns/shop/sa/cart', functions: [f] },
        { uri: 'spiffe://td/ns/ops/*' }] }";
    let invoker = start(callers, folder.path()).await;
    let cart =
        "By=spiffe://td/ns/mesh/sa/invoker;Hash=ab;Subject=\"\";URI=spiffe://td/ns/shop/sa/cart";
    let ops = "By=x;URI=spiffe://td/ns/ops/sa/cron";
    let outer = format!("URI=spiffe://td/ns/ops/sa/cron;Subject=\",{cart}");
    let call =
        async |function, cert: &str| call(&invoker, function, &[(SECRET, ONE), (CERT, cert)]).await;
    assert_eq!(call("f", cart).await, Ok(200));
    assert_eq!(call("f", ops).await, Ok(200));
    assert_eq!(call("g", ops).await, Ok(200));
    for cert in [cart, &outer] {
        let (name, message) = call("g", cert).await.unwrap_err();
        assert_eq!(name, "AccessDeniedException");
        assert!(
            message.starts_with("User: spiffe://td/ns/shop/sa/cart is not"),
            "{message}"
        );
    }
    for (cert, says) in [
        (
            "URI=spiffe://td/ns/shop/sa/other",
            "User: spiffe://td/ns/shop/sa/other is not",
        ),
        ("Hash=ab", "has no identity"),
        ("URI=\"spiffe://td/ns/ops/sa/cron", "has no identity"),
    ] {
        let (name, message) = call("f", cert).await.unwrap_err();
        assert_eq!(name, "AccessDeniedException");
        assert!(message.contains(says), "{message}");
    }
    let without_secret = self::call(&invoker, "f", &[(CERT, ops)]).await;
    assert_eq!(
        without_secret.unwrap_err().0,
        "MissingAuthenticationTokenException"
    );
}

/// Returns the headers of AWS's own signer.
fn signed(
    invoker: &Invoker,
    path: &str,
    (id, secret): (&str, &str),
    body: &str,
    time: SystemTime,
) -> Vec<(String, String)> {
    let identity = aws_credential_types::Credentials::new(id, secret, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::NoHeader;
    let params = SigningParams::builder()
        .identity(&identity)
        .region("sa-east-1")
        .name("lambda")
        .time(time)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = format!("http://{}{path}", invoker.listen);
    let headers = [("x-amz-invocation-type", "RequestResponse")].into_iter();
    let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body.as_bytes()));
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let headers = instructions.headers();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = [
        ("host".to_owned(), invoker.listen.to_string()),
        (
            "x-amz-invocation-type".to_owned(),
            "RequestResponse".to_owned(),
        ),
    ];
    headers.chain(own).collect()
}

async fn send_signed(
    invoker: &Invoker,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> HttpResponse {
    let mut request = hyper::Request::builder().method(Method::POST).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = http_body_util::Full::new(bytes::Bytes::from(body.to_owned()));
    send(invoker.connect().await, request.body(body).unwrap()).await
}

#[tokio::test]
async fn a_signed_call_is_served_if_the_signature_is_that_of_an_access_key() {
    let folder = tempfile::tempdir().unwrap();
    let callers = "{ access_keys: [{ id: SDK1, secret: 'file:FOLDER/one', functions: [f] }] }";
    let invoker = start(callers, folder.path()).await;
    let now = SystemTime::now();
    let large = json!({ "text": "\u{fc}".repeat(200_000) }).to_string();
    let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af/invocations";
    let qualified = &format!("{INVOKE}?Qualifier=%24LATEST");
    for (path, body) in [
        (INVOKE, "{}"),
        (INVOKE, ""),
        (INVOKE, &large),
        (arn, "{\"a\":1}"),
        (qualified, "{}"),
    ] {
        let headers = signed(&invoker, path, ("SDK1", ONE), body, now);
        let response = send_signed(&invoker, path, &headers, body).await;
        assert_eq!(response.status, 200, "{path} {}", response.json());
        let event: Value = serde_json::from_str(if body.is_empty() { "{}" } else { body }).unwrap();
        assert_eq!(response.json()["event"], event);
    }
    let old = now - Duration::from_secs(301);
    let other = &INVOKE.replace("/f/", "/g/");
    for (path, key, body, time, name) in [
        (
            INVOKE,
            ("SDK2", ONE),
            "{}",
            now,
            "UnrecognizedClientException",
        ),
        (
            INVOKE,
            ("SDK1", TWO),
            "{}",
            now,
            "InvalidSignatureException",
        ),
        (
            INVOKE,
            ("SDK1", ONE),
            "{ }",
            now,
            "InvalidSignatureException",
        ),
        (
            INVOKE,
            ("SDK1", ONE),
            "{}",
            old,
            "InvalidSignatureException",
        ),
        (
            other.as_str(),
            ("SDK1", ONE),
            "{}",
            now,
            "AccessDeniedException",
        ),
    ] {
        let headers = signed(&invoker, path, key, "{}", time);
        let response = send_signed(&invoker, path, &headers, body).await;
        assert_eq!(response.status, 403, "{path} {key:?} {body}");
        assert_eq!(error_type(&response), Some(name), "{path} {key:?} {body}");
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!(
            !text.contains("AWS4-HMAC-SHA256\n") && !text.contains(ONE),
            "{text}"
        );
    }
    let mut headers = signed(&invoker, INVOKE, ("SDK1", ONE), "", now);
    let hidden = format!("RequestResponse - {INVOKE} {{}}");
    headers.push(("x-lambda-mesh-invocation".to_owned(), hidden));
    let response = send_signed(&invoker, INVOKE, &headers, "").await;
    assert_eq!(error_type(&response), Some("AccessDeniedException"));
    let response = invoker.invoke(json!({})).await;
    assert_eq!(
        error_type(&response),
        Some("MissingAuthenticationTokenException")
    );
}

#[test]
fn an_address_that_others_can_reach_needs_callers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoker.yaml");
    let run = |callers: &str, listen: &str| {
        std::fs::write(&path, format!("{callers}\n{}", functions())).unwrap();
        let Output { status, stderr, .. } = serve(&path, ("listen", listen)).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    };
    for listen in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "example.com:0"] {
        let (code, text) = run("", listen);
        let expected = format!(
            "{}: other machines can reach {listen} (listen), and `callers` does not say who may call. Add `callers: {{ filters: [{{ secrets: [\"env:LAMBDA_MESH_SECRET\"] }}] }}`, and set LAMBDA_MESH_SECRET to one secret here and in Envoy (docs/operations.md); or listen on 127.0.0.1 or a Unix socket; or let everyone call with `callers: {{ anyone: true }}`\n",
            path.display()
        );
        assert_eq!((code, text), (Some(2), expected));
    }
    let secrets = "callers: { filters: [{ secrets: ['env:LAMBDA_MESH_TEST_UNSET'] }] }";
    let (code, text) = run(secrets, "127.0.0.1:0");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("environment variable LAMBDA_MESH_TEST_UNSET is not set"),
        "{text}"
    );
    std::fs::write(&path, format!("listen: 0.0.0.0:1\n{}", functions())).unwrap();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
    let output = check
        .args(["check", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`callers: { anyone: true }`"));
}

#[tokio::test]
async fn everyone_may_call_if_the_configuration_says_so() {
    let config = format!("callers: {{ anyone: true }}\n{}", functions());
    let invoker = Invoker::listening("0.0.0.0:0", &config).await;
    assert_eq!(invoker.invoke(json!({})).await.status, 200);
    let headers = [(SECRET, "any")];
    let response = invoker.request(Method::POST, INVOKE, &headers, "{}").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_secret_is_in_no_log_and_no_function_inherits_it() {
    let config = format!(
        "callers: {{ filters: [{{ secrets: ['env:LAMBDA_MESH_SECRET'] }}] }}
functions: {{ f: {{ local: {{ command: [python3, {}], inherit_env: true }} }} }}",
        fixture()
    );
    let mut running = Running::start_wrapped(&config, |mut serve| {
        serve
            .env("LAMBDA_MESH_SECRET", ONE)
            .env("LAMBDA_MESH_OTHER", "passed")
            .env("RUST_LOG", "trace");
        serve
    });
    let log = running.log();
    let response = running.post(&[(SECRET, ONE)], json!({})).await;
    assert_eq!(response.status, 200);
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert!(text.contains("LAMBDA_MESH_OTHER"), "{text}");
    assert!(
        !text.contains("LAMBDA_MESH_SECRET") && !text.contains(ONE),
        "{text}"
    );
    for wrong in [TWO, "-"] {
        assert_eq!(
            running.post(&[(SECRET, wrong)], json!({})).await.status,
            403
        );
    }
    running.signal("-TERM");
    let log = log.join().unwrap();
    assert!(log.contains("a caller was refused"), "{log}");
    assert!(!log.contains(ONE) && !log.contains(TWO), "{log}");
}
