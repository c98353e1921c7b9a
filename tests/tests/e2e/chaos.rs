//! Hostile clients and a chaotic upstream for some seconds: Envoy stays alive, its memory stays flat, and an
//! ordinary request is served all the time.
//!
//! `cargo xtask soak` makes it long.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lambda_mesh_tests::client::connect;
use lambda_mesh_tests::event_stream::{chunk, complete, prelude};
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};
use xtask::test::CHAOS_SECONDS;

/// The number of hostile clients at any time.
const CLIENTS: u64 = 6;

/// Numbers that look random, and are the same in each run.
struct Numbers(u64);

impl Numbers {
    /// Returns a number below `end`: xorshift64.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Returns up to `end` bytes of any value.
    fn bytes(&mut self, end: u64) -> Vec<u8> {
        let length = self.below(end + 1);
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

#[test]
fn envoy_survives_hostile_clients_and_a_chaotic_upstream() {
    let seconds = std::env::var(CHAOS_SECONDS).map_or(4, |text| text.parse().expect(CHAOS_SECONDS));
    let upstream = Upstream::start(|call| {
        if call.path.contains("/fine/") {
            return ScriptedResponse::payload(&json!({ "statusCode": 200, "body": "fine" }));
        }
        chaotic_response(&mut Numbers(0x9e37_79b9 * (call.index as u64 + 1)))
    });
    let mesh = Mesh::to(&upstream).routes(&routes()).start();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut kib = 0;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let address = mesh.address;
            scope.spawn(move || {
                let mut numbers = Numbers(client + 1);
                while Instant::now() < end {
                    // The client's own errors are Envoy's right: it closes the connection.
                    let _ = hostile_request(address, &mut numbers);
                }
            });
        }
        let warm = end - Duration::from_secs(seconds) * 2 / 3;
        while Instant::now() < end {
            let response = mesh.get("/fine").send();
            assert_eq!((response.status, response.text()), (200, "fine"));
            if kib == 0 && Instant::now() > warm {
                kib = mesh.peak_memory_kib();
            }
        }
        // The last response may have taken longer than all that was left.
        if kib == 0 {
            kib = mesh.peak_memory_kib();
        }
    });
    assert!(mesh.alive());
    let after = mesh.peak_memory_kib();
    println!(
        "{} calls, {kib} KiB, then {after} KiB",
        upstream.calls().len()
    );
    // The first third has allocated what the largest messages need.
    assert!(
        after < kib + kib / 3 + 16_384,
        "from {kib} KiB to {after} KiB"
    );
}

fn routes() -> [Value; 5] {
    let mut retried = route(
        &json!({ "prefix": "/retried" }),
        &json!({ "function": "retried" }),
    );
    retried["route"]["retry_policy"] = json!({
        "retry_on": "5xx,reset,connect-failure",
        "num_retries": 3,
        "retry_back_off": { "base_interval": "0.001s" },
        "per_try_timeout": "0.2s",
    });
    let mut hedged = retried.clone();
    hedged["match"] = json!({ "prefix": "/hedged" });
    hedged["route"]["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
    hedged["route"]["retry_policy"]["per_try_timeout"] = json!("0.01s");
    let streamed = json!({ "function": "streamed", "invocation": "response-stream" });
    [
        route(
            &json!({ "prefix": "/fine" }),
            &json!({ "function": "fine" }),
        ),
        retried,
        hedged,
        route(&json!({ "prefix": "/streamed" }), &streamed),
        route(
            &json!({ "prefix": "/" }),
            &json!({ "function": "probe", "payload": "apigateway-v1" }),
        ),
    ]
}

/// Sends something that looks like a request, reads a part of the response, and disconnects.
fn hostile_request(address: SocketAddr, numbers: &mut Numbers) -> std::io::Result<()> {
    let mut stream = connect(address);
    stream.set_read_timeout(Some(Duration::from_millis(60)))?;
    let path = [
        "/a%2Fb/../c?x=%ff&x",
        "/retried",
        "/hedged",
        "/streamed",
        "/\u{7f}?",
    ];
    let path = path[numbers.below(5) as usize];
    let method = ["GET", "POST", "HEAD", "OPTIONS", "PUT"][numbers.below(5) as usize];
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: h\r\nx-empty:\r\n").into_bytes();
    for _ in 0..numbers.below(8) {
        request.extend(b"x-odd: ");
        let value = numbers.bytes(40).into_iter();
        request.extend(value.filter(|byte| !b"\r\n\0".contains(byte)));
        request.extend(b"\r\n");
    }
    if numbers.below(20) == 0 {
        request.extend(format!("x-long: {}\r\n", "a".repeat(70_000)).bytes());
    }
    let largest = if numbers.below(30) == 0 { 200_000 } else { 500 };
    let body = numbers.bytes(largest);
    match numbers.below(5) {
        0 => request.extend(b"\r\n"),
        1 => {
            let head = "transfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
            request.extend(format!("{head}{:x}\r\n", body.len().max(1)).bytes());
            request.extend(if body.is_empty() {
                b"a"
            } else {
                body.as_slice()
            });
            request.extend(b"\r\n0\r\nx-end: 1\r\n\r\n");
        }
        2 => {
            // The rest of the body never comes.
            request.extend(format!("content-length: {}\r\n\r\n", body.len() + 100).bytes());
            request.extend(&body);
        }
        3 => request.extend(&body),
        _ => {
            request.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            request.extend(&body);
        }
    }
    stream.write_all(&request)?;
    let mut some = vec![0; numbers.below(400) as usize];
    let _ = stream.read(&mut some)?;
    if numbers.below(3) > 0 {
        let _ = stream.read(&mut [0; 4096])?;
    }
    Ok(())
}

fn chaotic_response(numbers: &mut Numbers) -> ScriptedResponse {
    let delay = Duration::from_millis(numbers.below(30));
    let status = 100 + numbers.below(600);
    let response = match numbers.below(12) {
        0 => ScriptedResponse::reset(),
        1 => ScriptedResponse::bytes(numbers.bytes(2_000)),
        2 => ScriptedResponse::bytes("{\"statusCode\":200,\"body\":\"cut").cut_at(10),
        3 => ScriptedResponse::function_error("Odd", "\u{0}\u{7f}"),
        4 => ScriptedResponse::service_error(429, "TooManyRequestsException"),
        5 => ScriptedResponse::service_error(503, "ServiceException"),
        6 => ScriptedResponse::bytes("[".repeat(5_000)),
        7 => ScriptedResponse::bytes("").status(204),
        8 => {
            let mut pieces = vec![prelude(&json!({ "statusCode": status }))];
            pieces.extend((0..numbers.below(5)).map(|_| chunk(numbers.bytes(300))));
            pieces.push(complete(&json!({})));
            stream(pieces)
        }
        9 => stream(vec![chunk("text"), Bytes::from(numbers.bytes(200))]).cut_at(0),
        10 => ScriptedResponse::payload(&json!({
            "statusCode": status,
            "headers": { "x-split": "a\r\nb: c", "content-length": "7", "connection": "close" },
            "body": numbers.bytes(100),
        })),
        _ => ScriptedResponse::payload(&json!({
            "statusCode": status,
            "cookies": ["a=1", "b=2"],
            "headers": { "x-a": "1" },
            "body": "text",
        })),
    };
    response.after(delay)
}

fn stream(pieces: Vec<Bytes>) -> ScriptedResponse {
    let pause = Duration::from_millis(1);
    ScriptedResponse::stream(pieces.into_iter().map(|piece| (pause, piece)).collect())
}
