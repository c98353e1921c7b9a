use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::Events;
use crate::support::running::Running;
use crate::support::{fixture_function, request, send};

/// Returns the resident memory of a process in MiB.
fn resident_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Sends invocations that do not run a function, over one connection.
async fn dry_runs(address: &str, count: usize, event: &Bytes) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..count {
        sender.ready().await.unwrap();
        let request = Request::post(super::INVOKE)
            .header("host", "localhost")
            .header("x-amz-invocation-type", "DryRun")
            .body(Full::new(event.clone()))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 204);
        response.into_body().collect().await.unwrap();
    }
    connection.abort();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_invocations_and_a_page_that_sleeps_take_a_bounded_memory() {
    let running = Running::start(&format!("console: true\n{}", fixture_function("")));
    let id = running.child.id();
    // A page whose browser takes nothing.
    let mut page = TcpStream::connect(&running.admin).await.unwrap();
    let open = format!(
        "GET /console/api/stream HTTP/1.1\r\nhost: {}\r\n\r\n",
        running.admin
    );
    page.write_all(open.as_bytes()).await.unwrap();
    let small = Bytes::from(vec![b'1'; 1_000]);
    dry_runs(&running.address, 500, &small).await;
    let before = resident_mib(id);
    let large = Bytes::from(vec![b'1'; 50_000]);
    let calls = (0..4).map(|_| {
        let (address, large) = (running.address.clone(), large.clone());
        tokio::spawn(async move {
            dry_runs(&address, 5_000, &Bytes::from_static(b"{}")).await;
            dry_runs(&address, 250, &large).await;
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let grown = resident_mib(id).saturating_sub(before);
    // 500 events of 50 KB are 24 MiB.
    assert!(grown < 64, "{grown} MiB");
    let list = request(hyper::Method::GET, "/console/api/invocations", &[], "");
    let stream = TcpStream::connect(&running.admin).await.unwrap();
    let list: Value = send(stream, list).await.json();
    assert_eq!(list["invocations"].as_array().unwrap().len(), 500);
    assert_eq!(list["dropped"], 21_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_reads_hears_of_each_invocation_of_a_flood() {
    const CALLS: usize = 20_000;
    let running = Running::start(&format!("console: true\n{}", fixture_function("")));
    let mut events = Events::open(&running.admin, "", "").await;
    events.next("functions").await;
    let begun = Instant::now();
    let calls = (0..4).map(|_| {
        let address = running.address.clone();
        // Each response is checked.
        tokio::spawn(async move {
            dry_runs(&address, CALLS / 4, &Bytes::from_static(b"{}")).await;
        })
    });
    let calls: Vec<_> = calls.collect();
    let reader = tokio::spawn(async move {
        let (mut shown, mut missed) = (HashSet::new(), 0);
        while shown.len() + missed < CALLS {
            let (name, _, data) = events.any().await;
            match name.as_str() {
                "invocation" => _ = shown.insert(data["id"].as_u64().unwrap()),
                "missed" => missed += usize::try_from(data["count"].as_u64().unwrap()).unwrap(),
                _ => {}
            }
        }
        (shown.len(), missed)
    });
    for call in calls {
        call.await.unwrap();
    }
    // Shown only if the test fails, or by `--nocapture`.
    println!("{CALLS} calls in {:?}", begun.elapsed());
    let (shown, missed) = timeout(Duration::from_secs(10), reader)
        .await
        .expect("each invocation is shown or counted")
        .unwrap();
    println!("{shown} shown, {missed} missed");
    assert!(shown > 0, "{missed} missed");
    assert_eq!(shown + missed, CALLS);
}
