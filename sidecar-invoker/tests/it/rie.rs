//! Functions in emulators: one invocation at a time, whatever callers do. The emulator is a
//! stand-in that counts concurrent invocations, which crash a real emulator.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::support::{Invoker, eventually, request, send};

struct Emulator {
    running: AtomicUsize,
    max_running: AtomicUsize,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// A permit for each invocation that may end.
    release: Semaphore,
}

impl Emulator {
    fn start(listener: TcpListener, permits: usize) -> Arc<Self> {
        let emulator = Arc::new(Self {
            running: AtomicUsize::new(0),
            max_running: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            release: Semaphore::new(permits),
        });
        let state = Arc::clone(&emulator);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&state);
                let service = service_fn(move |request| {
                    // Like the real emulator, it continues if its caller disconnects.
                    let response = tokio::spawn(Arc::clone(&state).respond(request));
                    async { Ok::<_, Infallible>(response.await.unwrap()) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        emulator
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.max_running.fetch_max(now, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            request.uri().path(),
            "/2015-03-31/functions/function/invocations"
        );
        let event = request.into_body().collect().await.unwrap().to_bytes();
        self.release.acquire().await.unwrap().forget();
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.ended.fetch_add(1, Ordering::SeqCst);
        let response = Response::builder()
            .header("x-from", "emulator")
            .header("keep-alive", "timeout=5");
        response
            .status(if event == "\"fail\"" { 502 } else { 200 })
            .body(Full::new(event))
            .unwrap()
    }
}

async fn start(permits: usize, keys: &str) -> (Invoker, Arc<Emulator>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rie = |host: &str| format!("{{ rie: 'http://{host}:{port}', {keys} }}");
    let emulator = Emulator::start(listener, permits);
    // The invoker must recognise that both names belong to one emulator.
    let functions = format!("{{ f: {}, g: {} }}", rie("127.0.0.1"), rie("localhost"));
    (
        Invoker::start(&format!("functions: {functions}")).await,
        emulator,
    )
}

#[tokio::test]
async fn invocations_never_overlap_and_none_is_lost() {
    let (invoker, emulator) = start(64, "queue: 100").await;
    let calls = (0..64).map(|index| {
        let path = format!(
            "/2015-03-31/functions/{}/invocations",
            if index % 2 == 0 { "f" } else { "g" }
        );
        let invoker = &invoker;
        async move {
            let response = invoker
                .request(Method::POST, &path, &[], index.to_string())
                .await;
            assert_eq!(
                (response.status.as_u16(), response.json()),
                (200, json!(index))
            );
        }
    });
    join_all(calls).await;
    assert_eq!(emulator.ended.load(Ordering::SeqCst), 64);
    assert_eq!(emulator.max_running.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn asynchronous_invocations_do_not_overlap_either() {
    let (invoker, emulator) = start(0, "event: { retry_delay: 10ms }").await;
    let path = "/2015-03-31/functions/f/invocations";
    let headers = [("x-amz-invocation-type", "Event")];
    let error = r#"{"errorType":"E","errorMessage":"m"}"#;
    for event in ["1", "2", error] {
        let response = invoker.request(Method::POST, path, &headers, event).await;
        assert_eq!((response.status.as_u16(), response.body.len()), (202, 0));
    }
    emulator.release.add_permits(10);
    eventually("two calls and three of the one that fails", async || {
        (emulator.ended.load(Ordering::SeqCst) == 5).then_some(())
    })
    .await;
    assert_eq!(emulator.max_running.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_response_of_an_emulator_is_passed_on_unchanged() {
    let (invoker, _emulator) = start(2, "").await;
    let response = invoker.invoke(json!("ok")).await;
    assert_eq!(response.header("x-from"), Some("emulator"));
    assert_eq!(
        response.header("keep-alive"),
        None,
        "concerns another connection"
    );
    assert_eq!(
        response.header("x-amzn-requestid"),
        None,
        "only AWS sets it"
    );
    let response = invoker.invoke(json!("fail")).await;
    assert_eq!(
        (response.status.as_u16(), &response.body[..]),
        (502, &b"\"fail\""[..])
    );
}

#[tokio::test]
async fn a_disconnect_frees_the_queue_slot_but_the_emulator_stays_busy() {
    let (invoker, emulator) = start(0, "queue: 1").await;
    let begun = async |count| {
        let look = async || (emulator.begun.load(Ordering::SeqCst) == count).then_some(());
        eventually("the emulator's start", look).await;
    };
    tokio::select! {
        _ = invoker.invoke(json!(1)) => panic!("it returned although the emulator is busy"),
        () = begun(1) => {}
    }
    // The caller of the first has disconnected. The second has to wait nevertheless.
    let full = async || {
        let response = tokio::time::timeout(Duration::from_millis(100), invoker.invoke(json!(3)))
            .await
            .ok()?;
        Some(response)
    };
    let response = tokio::select! {
        biased;
        _ = invoker.invoke(json!(2)) => panic!("it returned although the emulator is busy"),
        response = eventually("a rejection", full) => response,
    };
    assert_eq!(response.status, 429);
    assert_eq!(
        response.json()["Reason"],
        "ConcurrentInvocationLimitExceeded"
    );
    assert_eq!(emulator.begun.load(Ordering::SeqCst), 1);
    emulator.release.add_permits(2);
    // The second disconnected while it was queued, so the fourth runs next.
    let response = eventually("a free slot", async || {
        Some(invoker.invoke(json!(4)).await).filter(|response| response.status == 200)
    })
    .await;
    assert_eq!(response.json(), 4);
    assert_eq!(emulator.ended.load(Ordering::SeqCst), 2);
    assert_eq!(emulator.max_running.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_emulator_that_takes_too_long_is_a_gateway_timeout_and_stays_busy() {
    let (invoker, emulator) = start(0, "timeout: 200ms").await;
    for _ in 0..2 {
        let response = invoker.invoke(json!(1)).await;
        assert_eq!(response.status, 504);
        assert_eq!(
            response.header("x-amzn-errortype"),
            Some("ServiceException")
        );
        assert_eq!(response.json()["Type"], "Service");
    }
    assert_eq!(emulator.begun.load(Ordering::SeqCst), 1);
    emulator.release.add_permits(2);
    eventually("its response", async || {
        Some(invoker.invoke(json!(2)).await).filter(|response| response.status == 200)
    })
    .await;
    assert_eq!(emulator.max_running.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_emulator_that_is_down_is_a_bad_gateway_and_one_that_starts_is_awaited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let invoker = Invoker::start(&format!(
        "functions: {{ f: {{ rie: 'http://{address}' }} }}"
    ))
    .await;
    let response = invoker.invoke(json!(1)).await;
    assert_eq!(response.status, 502);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ResourceNotReadyException")
    );
    assert!(response.header("x-amzn-requestid").is_some());
    assert!(
        !response.json()["message"]
            .as_str()
            .unwrap()
            .contains("127.0.0.1"),
        "no internal address"
    );

    let start = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Emulator::start(TcpListener::bind(address).await.unwrap(), 1)
    };
    let (response, emulator) = tokio::join!(invoker.invoke(json!(2)), start);
    assert_eq!(response.json(), 2);
    assert_eq!(emulator.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_emulator_that_closes_the_connection_is_a_bad_gateway_and_is_not_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rie = listener.local_addr().unwrap();
    let invoker = Invoker::start(&format!("functions: {{ f: {{ rie: 'http://{rie}' }} }}")).await;
    let emulator = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        drop(stream);
        Emulator::start(listener, 1)
    };
    let (response, emulator) = tokio::join!(invoker.invoke(json!(1)), emulator);
    assert_eq!(response.status, 502);
    assert_eq!(invoker.invoke(json!(2)).await.json(), 2);
    assert_eq!(emulator.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn callers_get_an_error_when_the_drain_timeout_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rie = listener.local_addr().unwrap();
    let emulator = Emulator::start(listener, 0);
    let invoker = Invoker::start(&format!(
        "drain_timeout: 10ms\nfunctions: {{ f: {{ rie: 'http://{rie}' }} }}"
    ))
    .await;
    let call = request(
        Method::POST,
        "/2015-03-31/functions/f/invocations",
        &[],
        "1",
    );
    let call = tokio::spawn(send(invoker.connect().await, call));
    eventually("its start", async || {
        (emulator.begun.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    invoker.stop().await;
    let response = call.await.unwrap();
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["message"], "the invoker is about to end");
}

async fn join_all(calls: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
        if calls.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
