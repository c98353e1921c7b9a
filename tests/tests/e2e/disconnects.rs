//! Clients that disconnect early do not harm Envoy or the filter.

use std::io::{Read, Write};

use lambda_mesh_tests::client::connect;
use lambda_mesh_tests::shared::Component;

use crate::service::service;

const CLIENTS: usize = 64;

#[test]
fn a_client_may_disconnect_within_its_request() {
    let service = service();
    let half = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf of it";
    let streams: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = connect(service.address);
            stream.write_all(half.as_bytes()).expect("half is sent");
            stream
        })
        .collect();
    drop(streams);
    assert!(service.alive());
    assert_eq!(service.get("/echo").send().status, 200);
}

#[test]
fn a_client_may_disconnect_while_the_function_runs() {
    let service = service();
    let request = "GET /sleep/100 HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..CLIENTS {
        let mut stream = connect(service.address);
        stream.write_all(request.as_bytes()).expect("it is sent");
    }
    assert!(service.alive());
    assert_eq!(service.get("/echo").send().status, 200);
}

#[test]
fn a_client_may_disconnect_within_the_response() {
    let service = service();
    let request = "GET /text/1000000 HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..CLIENTS {
        let mut stream = connect(service.address);
        stream.write_all(request.as_bytes()).expect("it is sent");
        stream
            .read_exact(&mut [0; 100])
            .expect("the response begins");
    }
    assert!(service.alive());
    assert_eq!(service.get("/echo").send().status, 200);
}
