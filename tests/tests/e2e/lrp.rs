//! `sidecar-invoker lrp` in place of the Go proxy: its behaviour for users, and how it ends.

use std::net::TcpStream;

use lambda_mesh_tests::client::{Request, raw, send_all};
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::generated::{Lrp, is_running, signal};
use lambda_mesh_tests::mesh::on_each_envoy;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;
use xtask::envoy::NEWEST;

use crate::service::probe;

/// Returns an `lrp.yaml` with a free port, a function in `emulator`, and a function with an unreachable
/// endpoint.
fn yaml(emulator: &Emulator) -> String {
    format!(
        "host: 127.0.0.1\nport: 0\ninternal_route_prefix: __@@__\nlocal:\n\
         - hostname: foo.domain.lb\n  endpoint: http://{}\n\
         - hostname: gone.domain.lb\n  endpoint: http://127.0.0.1:1\n",
        emulator.address
    )
}

#[test]
fn lrp_behaves_like_the_go_proxy() {
    let Some(emulator) = Emulator::start("lrp_behaves_like_the_go_proxy", probe()) else {
        return;
    };
    on_each_envoy(|version| {
        let lrp = Lrp::start(version, &yaml(&emulator));
        for host in ["localhost", "foo.domain.lb"] {
            let ping = lrp.request("GET", "/__@@__/ping").host(host).send();
            assert_eq!((ping.status, ping.text()), (200, "pong"), "{host}");
            assert_eq!(ping.header("content-type"), "text/plain; charset=utf-8");
            let health = lrp.request("GET", "/__@@__/healthz").host(host).send();
            assert_eq!((health.status, health.text()), (200, ""), "{host}");
        }
        let head = lrp.request("HEAD", "/__@@__/ping").send();
        assert_eq!(head.status, 200);

        let unknown = lrp
            .request("POST", "/ping")
            .host("other.lb")
            .body("x")
            .send();
        assert_eq!(unknown.status, 404);
        assert_eq!(unknown.text(), "Cannot route hostname: other.lb");
        assert_eq!(unknown.header("content-type"), "text/plain; charset=utf-8");

        // lrp itself serves only GET and HEAD, and only under the prefix.
        let request = lrp
            .request("POST", "/__@@__/ping")
            .host("foo.domain.lb:41414");
        let event = request
            .header(
                "x-amzn-trace-id",
                "Root=1-58406520-a006649127e371903a2de979",
            )
            .body("a=1")
            .send()
            .json();
        assert_eq!(event["rawPath"], "/__@@__/ping");
        let context = &event["requestContext"];
        assert_eq!(context["domainName"], "foo.domain.lb");
        assert_eq!(context["apiId"], "api-id");
        assert_eq!(
            event["headers"]["X-Amzn-Trace-Id"],
            "Root=1-58406520-a006649127e371903a2de979"
        );
        let ping = lrp
            .request("GET", "/ping?x=1&x=2")
            .host("foo.domain.lb")
            .send()
            .json();
        assert_eq!(ping["queryStringParameters"], json!({ "x": "1,2" }));

        // Forms are text, uploads are not.
        for (content_type, encoded) in [
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", true),
        ] {
            let request = lrp.request("POST", "/").host("foo.domain.lb");
            let event = request
                .header("content-type", content_type)
                .body("a=1")
                .send()
                .json();
            assert_eq!(event["isBase64Encoded"], encoded, "{content_type}");
        }

        // Go accepts such requests by default, Envoy does not.
        for (request, end) in [
            ("GET /__@@__/ping HTTP/1.0\r\n\r\n", "pong"),
            ("GET / HTTP/1.0\r\n\r\n", "hostname: localhost"),
            ("GET / HTTP/1.0\r\nhost: foo.domain.lb\r\n\r\n", "}"),
        ] {
            let response = raw(lrp.address, request);
            assert!(response.ends_with(end), "{response}");
        }
        let mut request = lrp.request("GET", "/").host("foo.domain.lb");
        for number in 0..200 {
            request = request.header(&format!("x-{number}"), "x".repeat(1000));
        }
        assert_eq!(request.send().status, 200);
        assert_eq!(
            lrp.request("GET", "/").host("gone.domain.lb").send().status,
            502
        );
    });
    assert!(emulator.alive());
}

#[test]
fn functions_on_aws_are_called_with_a_signature() {
    let aws = Upstream::responding(json!({ "statusCode": 201, "body": "from AWS" }));
    let yaml = "host: 127.0.0.1\nport: 0\nregion: eu-west-1\naws:\n\
                - hostname: orders.domain.lb\n  function_name: orders-prod\n";
    let endpoint = format!("http://{}", aws.address);
    let variables = [
        ("AWS_ENDPOINT_URL_LAMBDA", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let lrp = Lrp::try_start(NEWEST, yaml, &variables).expect("a running lrp");
    let response = lrp.request("GET", "/a").host("orders.domain.lb").send();
    assert_eq!((response.status, response.text()), (201, "from AWS"));
    let call = aws.call();
    assert_eq!(call.path, "/2015-03-31/functions/orders-prod/invocations");
    let signature = call.headers["authorization"].to_str().expect("text");
    assert!(
        signature.contains("/eu-west-1/lambda/aws4_request"),
        "{signature}"
    );
}

#[test]
fn many_callers_reach_an_emulator_one_at_a_time() {
    let name = "many_callers_reach_an_emulator_one_at_a_time";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let lrp = Lrp::start(NEWEST, &yaml(&emulator));
    let requests = (0..60).map(|_| lrp.request("GET", "/whatever").host("foo.domain.lb"));
    for response in send_all(requests, 30) {
        assert_eq!(response.expect("a response").status, 200);
    }
    assert!(emulator.alive());
}

#[test]
fn sigterm_lets_running_requests_finish_and_leaves_nothing() {
    let name = "sigterm_lets_running_requests_finish_and_leaves_nothing";
    let Some(emulator) = Emulator::start(name, probe()) else {
        return;
    };
    let lrp = Lrp::start(NEWEST, &yaml(&emulator));
    let (address, envoy, scratch) = (lrp.address, lrp.envoy(), lrp.scratch());
    let left = || std::fs::read_dir(&scratch).map(Iterator::count).ok();
    assert_eq!(left(), Some(1));
    let caller = std::thread::spawn(move || {
        Request::new(address, "GET", "/sleep/2000")
            .host("foo.domain.lb")
            .send()
    });
    emulator.log_with("START");
    signal(lrp.id(), "TERM");
    eventually("no more connections are accepted", || {
        TcpStream::connect(address).is_err().then_some(())
    });
    assert_eq!(caller.join().expect("a response").status, 200);
    eventually("the folder is empty", || (left() == Some(0)).then_some(()));
    let (status, log) = lrp.wait();
    assert_eq!(status, 0, "{log}");
    assert!(!is_running(envoy));
}

#[test]
fn lrp_ends_with_envoy_and_with_the_same_status() {
    let Some(emulator) = Emulator::start("lrp_ends_with_envoy_and_with_the_same_status", probe())
    else {
        return;
    };
    let lrp = Lrp::start(NEWEST, &yaml(&emulator));
    signal(lrp.envoy(), "KILL");
    let (status, log) = lrp.wait();
    assert_eq!(status, 128 + 9, "{log}");
    assert!(
        log.contains("Envoy has ended, with exit status 137"),
        "{log}"
    );
    // The same holds if Envoy cannot start because the port is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let yaml = yaml(&emulator).replace("port: 0", &format!("port: {port}"));
    let error = Lrp::try_start(NEWEST, &yaml, &[])
        .expect_err("a taken port")
        .to_string();
    assert!(error.contains("Address already in use"), "{error}");
    assert!(error.contains("lrp ended with status 1"), "{error}");
}

#[test]
fn envoy_does_not_outlive_lrp() {
    let Some(emulator) = Emulator::start("envoy_does_not_outlive_lrp", probe()) else {
        return;
    };
    let lrp = Lrp::start(NEWEST, &yaml(&emulator));
    let envoy = lrp.envoy();
    signal(lrp.id(), "KILL");
    eventually("Envoy has ended", || (!is_running(envoy)).then_some(()));
    assert_eq!(lrp.wait().0, 128 + 9);
}
