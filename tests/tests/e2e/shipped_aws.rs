//! The shipped configurations with the invoker in front of AWS or of emulators.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use lambda_mesh_tests::client::{connect, read_until, send_all};
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::json;

use crate::service::probe;

#[test]
fn a_cluster_reaches_the_invoker_by_http2_over_its_unix_socket() {
    let function = json!({ "local": { "command": [probe()], "timeout": "30s" } });
    let functions = json!({ "orders": function, "reports": function });
    let invoker = Invoker::start_on_unix_socket(&functions);
    let mesh = Mesh::shipped("aws.yaml", &invoker).workers(2).start();
    for host in ["orders.example.com", "reports.example.com:8080"] {
        let response = mesh.get("/list?page=2").host(host).send();
        assert_eq!(response.status, 200, "{host}: {response:?}");
        assert_eq!(response.json()["rawPath"], "/list", "{host}");
        assert_eq!(response.json()["rawQueryString"], "page=2", "{host}");
    }
    let unknown = mesh.get("/").host("other.example.com").send();
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_host_at_the_edge_is_normalised_before_it_is_routed() {
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::shipped("aws.yaml", &upstream).start();
    let response = mesh.get("/a//b/../c").host("orders.example.com").send();
    assert_eq!(response.status, 200);
    let call = upstream.call();
    let path = "/2015-03-31/functions/orders/invocations?Qualifier=live";
    assert_eq!(call.path, path);
    assert_eq!(call.event()["rawPath"], "/a/c");
    // Rules and the function see the same path, whatever the method.
    let escaped = mesh.post("/@scope%2Fpkg", "{}").host("orders.example.com");
    assert_eq!(escaped.send().status, 200);
    let event = upstream.calls().pop().expect("a call").event();
    assert_eq!(event["rawPath"], "/@scope/pkg");
    // Applications take `_` and `-` for the same.
    let forged = mesh.get("/").host("orders.example.com");
    let forged = forged
        .header("x_forwarded_for", "192.0.2.1")
        .header("user_id", "7")
        .send();
    assert_eq!(forged.status, 200);
    let event = upstream.calls().pop().expect("a call").event();
    let headers = event["headers"].as_object().expect("headers");
    assert!(!headers.keys().any(|name| name.contains('_')), "{event}");
}

#[test]
fn each_function_has_a_cluster_with_limits_of_its_own() {
    let upstream = Upstream::start(|_| {
        ScriptedResponse::payload(&json!({ "statusCode": 200 })).after(Duration::from_secs(1))
    });
    let mesh = Mesh::shipped("aws-clusters.yaml", &upstream).start();
    let statuses = |host: &str| -> Vec<u16> {
        let calls = (0..64).map(|_| mesh.get("/").host(host));
        let responses = send_all(calls, 64).into_iter();
        responses
            .map(|response| response.expect("a response").status)
            .collect()
    };
    assert_eq!(statuses("orders.example.com"), [200; 64]);
    let orders = upstream.calls();
    assert_eq!(orders.len(), 64);
    let path = "/2015-03-31/functions/orders/invocations?Qualifier=live";
    assert!(orders.iter().all(|call| call.path == path));

    let limited = statuses("billing.example.com");
    let served = limited.iter().filter(|status| **status == 200).count();
    let refused = limited.iter().filter(|status| **status == 503).count();
    assert_eq!(served + refused, 64, "{limited:?}");
    assert!(served >= 16 && refused > 0, "{limited:?}");
    let calls = upstream.calls();
    let billing = &calls[64..];
    assert_eq!(billing.len(), served);
    for call in billing {
        assert_eq!(call.path, "/2015-03-31/functions/billing/invocations");
        assert_ne!(call.event()["requestContext"].get("elb"), None);
    }
}

#[test]
fn containers_with_an_emulator_are_served_through_the_invoker() {
    let name = "containers_with_an_emulator_are_served_through_the_invoker";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let url = format!("http://{}", emulator.address);
    let invoker = Invoker::start(&json!({ "orders": { "rie": url } }));
    let mesh = Mesh::shipped("emulators.yaml", &invoker).workers(2).start();
    let requests = (0..40).map(|number| {
        let host = if number % 2 == 0 {
            "orders"
        } else {
            "orders.localhost:8080"
        };
        mesh.get(format!("/list?call={number}")).host(host)
    });
    for response in send_all(requests, 20) {
        let response = response.expect("a response");
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.json()["rawPath"], "/list");
    }
    assert!(emulator.alive());
}

/// 330 uploads of 6 MB used up the memory that Envoy may have, and for five minutes everyone else got 503.
#[test]
fn others_are_served_beside_hundreds_of_unfinished_uploads() {
    const PIECE: usize = 1_000_000;
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::shipped("aws.yaml", &upstream).start();
    let start = || {
        let mut upload = connect(mesh.address);
        let head = "POST /upload HTTP/1.1\r\nhost: orders.example.com\r\nconnection: close\r\n\
                    content-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
        let piece = format!("{head}{PIECE:x}\r\n{}\r\n", "x".repeat(PIECE));
        upload.write_all(piece.as_bytes()).expect("Envoy reads it");
        upload
    };
    let mut uploads: Vec<_> = (0..330).map(|_| start()).collect();
    for _ in 0..20 {
        let response = mesh.get("/").host("orders.example.com").send();
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert_eq!(upstream.calls().len(), 20);
    let status = |mut upload: TcpStream, rest: &str| {
        let _ = upload.write_all(rest.as_bytes());
        let mut response = Vec::new();
        read_until(&mut upload, &mut response, "\r\n");
        String::from_utf8_lossy(&response).into_owned()
    };
    // The last bytes exceed the limit, so that Envoy has read all when it refuses.
    let more = format!("{:x}\r\n{}\r\n", 49_000, "x".repeat(49_000));
    let refused = status(uploads.pop().expect("an upload"), &more);
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    let served = status(uploads.pop().expect("an upload"), "0\r\n\r\n");
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
}
