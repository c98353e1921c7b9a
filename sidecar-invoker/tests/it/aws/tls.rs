//! AWS over HTTP/2 and TLS.

use hyper::Method;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::program::{KEYS, Program};
use super::stand_in::StandIn;
use crate::support::{eventually, request, send};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tls/ca.pem");

async fn start(variables: &[(&str, &str)]) -> (Program, StandIn) {
    let aws = StandIn::start_tls().await;
    let endpoint = &aws.url;
    let text = format!("aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}");
    (Program::with(&text, variables).await, aws)
}

#[tokio::test]
async fn more_invocations_run_at_once_than_one_connection_allows() {
    // The stand-in allows 100 streams on a connection.
    const CALLS: usize = 150;
    let (invoker, aws) = start(&[KEYS[0], KEYS[1], ("SSL_CERT_FILE", AUTHORITY)]).await;
    assert_eq!(invoker.invoke("f", json!({})).await.status, 200);
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let address = invoker.address.clone();
        calls.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let path = "/2015-03-31/functions/waits/invocations";
            send(stream, request(Method::POST, path, &[], "{}"))
                .await
                .status
        });
    }
    eventually("all calls at once", async || {
        (aws.running() == CALLS).then_some(())
    })
    .await;
    aws.release.add_permits(CALLS);
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    let received = aws.received();
    let host = aws.url.strip_prefix("https://").unwrap();
    assert_eq!(
        received[0].authority.as_deref(),
        Some(host),
        "the host of the signature"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let (invoker, aws) = start(&KEYS).await;
    assert_eq!(invoker.invoke("f", json!({})).await.status, 502);
    invoker.logged_once("UnknownIssuer").await;
    assert!(aws.received().is_empty());
}
