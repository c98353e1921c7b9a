//! A proxy on the way to AWS.

use std::io::{Read, Write, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use lambda_mesh_tests::aws::{KEY, REGION};
use serde_json::json;

use super::{invoke, shared};

/// A proxy that opens tunnels. It keeps the head of each request.
struct Proxy {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!(
            "http://user:secret@{}",
            listener.local_addr().expect("an address")
        );
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(client, &kept));
            }
        });
        Self { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

fn serve(mut client: TcpStream, heads: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    heads.lock().expect("no panic").push(head);
    let mut server = TcpStream::connect(target).ok()?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || copy(&mut from_client, &mut to_server));
    copy(&mut server, &mut client).ok()?;
    Some(())
}

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
    let log = lambda_mesh_tests::shared::Component::log(&invoker);
    assert!(
        log.contains("the proxy 127.0.0.1:1 of HTTPS_PROXY"),
        "{log}"
    );
}
