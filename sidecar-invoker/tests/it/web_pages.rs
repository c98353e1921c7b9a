//! Web pages, which can have a browser on the same machine send requests to the invoker.

use hyper::Method;
use hyper::header::{HOST, HeaderValue};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{HttpResponse, Invoker, fixture_function, request, send, send_h2};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";

/// Sends a request with these headers and this host to an address.
async fn call(
    address: &str,
    (method, path): (Method, &str),
    host: &str,
    headers: &[(&str, &str)],
) -> HttpResponse {
    let mut request = request(method, path, headers, "");
    let host = HeaderValue::from_str(host).unwrap();
    request.headers_mut().insert(HOST, host);
    send(TcpStream::connect(address).await.unwrap(), request).await
}

#[tokio::test]
async fn a_page_cannot_invoke_a_function() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let address = invoker.listen.to_string();
    let invoke = || (Method::POST, INVOKE);
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    let forged = format!("RequestResponse Root=1-58406520-a006649127e371903a2de979 {INVOKE} {{}}");
    let rebound = [
        ("connection", "keep-alive"),
        ("x-lambda-mesh-invocation", forged.as_str()),
    ];
    for (request, host, headers) in [
        (
            invoke(),
            address.as_str(),
            &[("origin", "https://evil.example")][..],
        ),
        (invoke(), &address, &[("origin", "null")]),
        (invoke(), &address, &[("sec-fetch-site", "cross-site")]),
        (invoke(), &address, &[("sec-fetch-site", "same-site")]),
        (invoke(), "evil.example", &[]),
        (
            invoke(),
            "evil.example:9090",
            &[("origin", "http://evil.example:9090")],
        ),
        ((Method::OPTIONS, INVOKE), &address, &preflight),
        ((Method::GET, "/x"), "evil.example:9090", &rebound),
    ] {
        let response = call(&address, request, host, headers).await;
        assert_eq!(response.status, 403, "{host} {headers:?}");
        let error_type = response.header("x-amzn-errortype");
        assert_eq!(error_type, Some("AccessDeniedException"));
        let message = response.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("web pages may not call"), "{message}");
        assert!(!message.contains("evil"), "{message}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    let target = format!("http://evil.example{INVOKE}");
    let request = request(Method::POST, &target, &[], "{}");
    let response = send_h2(invoker.connect().await, request).await;
    assert_eq!(response.status, 403);
}

#[tokio::test]
async fn a_page_cannot_read_the_admin_endpoints() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let address = invoker.admin.as_str();
    for path in ["/ping", "/metrics"] {
        let get = || (Method::GET, path);
        let response = call(address, get(), "evil.example:9091", &[]).await;
        assert_eq!(response.status, 403);
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!(text.starts_with("web pages may not call"), "{text}");
        let page = [("origin", "https://evil.example")];
        assert_eq!(call(address, get(), address, &page).await.status, 403);
        let typed = [("sec-fetch-site", "none"), ("connection", "keep-alive")];
        for host in [address, "localhost:9091", "[::1]:9091"] {
            assert_eq!(call(address, get(), host, &typed).await.status, 200);
        }
    }
}

#[tokio::test]
async fn callers_that_are_no_pages_are_served() {
    let keys = fixture_function("");
    let invoker = Invoker::start(&format!("hosts: [invoker.example.com]\n{keys}")).await;
    let address = invoker.listen.to_string();
    let invoke = || (Method::POST, INVOKE);
    let client = [("connection", "keep-alive")];
    for host in [
        address.as_str(),
        "localhost:1",
        "invoker:9090",
        "invoker.example.com",
    ] {
        assert_eq!(
            call(&address, invoke(), host, &client).await.status,
            200,
            "{host}"
        );
    }
    // The filter passes the host on, and with the event in a header all of the client's headers.
    let filter = [
        ("x-amz-invocation-type", "RequestResponse"),
        (
            "x-amzn-trace-id",
            "Root=1-58406520-a006649127e371903a2de979",
        ),
    ];
    let response = call(&address, invoke(), "shop.example.com", &filter).await;
    assert_eq!(response.status, 200);
    let event =
        format!("RequestResponse Root=1-58406520-a006649127e371903a2de979 {INVOKE} {{\"a\":1}}");
    let page = [
        ("origin", "https://shop.example.com"),
        ("sec-fetch-site", "cross-site"),
        ("x-lambda-mesh-invocation", event.as_str()),
    ];
    let response = call(&address, (Method::GET, "/x"), "shop.example.com", &page).await;
    assert_eq!(response.json()["event"], json!({ "a": 1 }));
}

/// A browser cannot connect to a Unix socket, and Envoy passes every host on to it.
#[tokio::test]
async fn a_unix_socket_takes_every_host() {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("unix://{}/invoker.sock", folder.path().display());
    let invoker = Invoker::listening(&listen, &fixture_function("")).await;
    let headers = [("origin", "https://evil.example")];
    let response = invoker.request(Method::POST, INVOKE, &headers, "{}").await;
    assert_eq!(response.status, 200);
}

/// HTTP/1.0 requests have no host, and no browser sends them.
#[tokio::test]
async fn a_request_without_a_host_is_served() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let mut stream = invoker.connect().await;
    let head = format!("POST {INVOKE} HTTP/1.0\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.0 200 "), "{response}");
}
