//! Transports between client, Envoy and invoker other than HTTP/1.1 over TCP.

use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;

use crate::service::{functions, service};

#[test]
fn http2_from_the_client_works() {
    let event = service().post("/echo", "text").http2().send().json();
    assert_eq!(event["requestContext"]["http"]["protocol"], "HTTP/2");
    assert_eq!(event["headers"]["host"], "service.test");
}

#[test]
fn http2_to_the_invoker_works() {
    let invoker = Invoker::start(&functions());
    let mesh = Mesh::to(&invoker).http2().start();
    let requests = (0..20).map(|number| mesh.get(format!("/echo?call={number}")));
    for response in send_all(requests, 10) {
        assert_eq!(response.expect("a response").status, 200);
    }
}

#[test]
fn a_unix_socket_to_the_invoker_works() {
    let invoker = Invoker::start_on_unix_socket(&functions());
    let mesh = Mesh::to(&invoker).start();
    assert_eq!(mesh.get("/echo").send().json()["rawPath"], "/echo");
    assert_eq!(mesh.post("/text/1000000", "x").send().body.len(), 1_000_000);
}
