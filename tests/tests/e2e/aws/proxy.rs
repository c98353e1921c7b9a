//! A proxy on the way to AWS.

use lambda_mesh_tests::aws::{KEY, REGION};
use lambda_mesh_tests::proxy::Proxy;
use lambda_mesh_tests::shared::Component as _;
use serde_json::json;

use super::{invoke, shared};

#[test]
fn calls_to_aws_go_through_the_proxy_of_the_environment() {
    let aws = shared();
    aws.function("behind-a-proxy", &json!({}));
    let proxy = Proxy::start();
    let endpoint = json!({ "endpoint": aws.tls_url(), "region": REGION });
    let invoker = aws
        .invoker(&endpoint)
        .env("HTTPS_PROXY", &proxy.url)
        .start();
    assert_eq!(invoke(&invoker, "behind-a-proxy").status, 200);
    let heads = proxy.heads();
    let host = aws.tls_url().replace("https://", "");
    assert!(
        heads[0].starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")),
        "{heads:?}"
    );
    let authorization = "basic dxnlcjpzzwnyzxq=";
    assert!(heads[0].to_lowercase().contains(authorization), "{heads:?}");
    assert_eq!(aws.calls("behind-a-proxy")[0]["key"], KEY.0);
}

#[test]
fn an_endpoint_of_no_proxy_is_reached_without_one() {
    let aws = shared();
    aws.function("beside-a-proxy", &json!({}));
    let proxy = Proxy::start();
    let endpoint = json!({ "endpoint": aws.tls_url(), "region": REGION });
    let invoker = aws
        .invoker(&endpoint)
        .env("HTTPS_PROXY", &proxy.url)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .start();
    assert_eq!(invoke(&invoker, "beside-a-proxy").status, 200);
    assert_eq!(proxy.heads(), Vec::<String>::new());
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let aws = shared();
    aws.function("down", &json!({}));
    let endpoint = json!({ "endpoint": aws.tls_url(), "region": REGION });
    let invoker = aws
        .invoker(&endpoint)
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .start();
    assert_eq!(invoke(&invoker, "down").status, 502);
    invoker.log_with("the proxy 127.0.0.1:1 of HTTPS_PROXY");
}
