//! SIGHUP: the file is read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::running::Running;
use crate::support::{Gate, HttpResponse, eventually, exists, fixture, is_running, request, send};

/// Returns the configuration of functions that run the fixture, each with its keys of `local`. They share
/// the files and process numbers of the test.
fn functions(functions: &[(&str, &str)]) -> String {
    let function = |(name, keys): &(&str, &str)| {
        let command = format!("[python3, {}]", fixture());
        format!(
            "  {name}: {{ local: {{ command: {command}, timeout: 10s, isolation: none, {keys} }} }}\n"
        )
    };
    let functions: String = functions.iter().map(function).collect();
    format!("functions:\n{functions}")
}

async fn invoke(address: &str, name: &str, event: &Value) -> HttpResponse {
    let stream = TcpStream::connect(address).await.unwrap();
    let path = format!("/2015-03-31/functions/{name}/invocations");
    send(stream, request(Method::POST, &path, &[], event.to_string())).await
}

#[tokio::test]
async fn functions_appear_start_anew_and_leave() {
    let mut running = Running::start(&functions(&[("f", ""), ("changed", ""), ("left", "")]));
    let address = running.address.clone();
    let call = async |name: &str| invoke(&address, name, &json!({})).await;
    let kept = call("f").await.json()["pid"].clone();
    let changed = call("changed").await.json()["pid"].clone();
    let left = call("left").await.json()["pid"].to_string();

    let log = running.reload(&functions(&[
        ("new", ""),
        ("f", ""),
        ("changed", "env: { COLOUR: red }"),
    ]));
    assert!(
        log.contains("was read again: new: new; changed: changed; removed: left"),
        "{log}"
    );
    assert_eq!(call("f").await.json()["pid"], kept);
    assert_eq!(call("new").await.status, 200);
    let after = call("changed").await.json();
    assert_ne!(after["pid"], changed);
    assert_eq!(after["env"]["COLOUR"], "red");
    assert_eq!(call("left").await.status, 404);
    eventually("the end of the removed function", async || {
        (!is_running(&left)).then_some(())
    })
    .await;
    running.terminate();
}

#[tokio::test]
async fn an_invocation_of_a_removed_function_finishes() {
    let mut running = Running::start(&functions(&[("f", ""), ("left", "")]));
    let (gate, address) = (Gate::new(), running.address.clone());
    let event = gate.event();
    let invocation = tokio::spawn(async move { invoke(&address, "left", &event).await });
    exists(&gate.path("begun")).await;
    let log = running.reload(&functions(&[("f", "")]));
    assert!(log.contains("removed: left"), "{log}");
    gate.open();
    assert_eq!(invocation.await.unwrap().status, 200);
    running.terminate();
}

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing() {
    let mut running = Running::start(&functions(&[("f", "")]));
    let pid = running.invoke(json!({})).await.json()["pid"].clone();
    // The second is a file that was saved half-way.
    for (file, mistake) in [
        (
            "functions: { f: { local: { comand: [x] } } }",
            "did you mean `command`?",
        ),
        ("functions: { f: { local: { command: [x", "not valid YAML"),
        ("", "expected the keys"),
    ] {
        let log = running.reload(file);
        assert!(log.contains(mistake), "{log}");
        assert!(log.contains("the functions are as before"), "{log}");
        assert_eq!(running.invoke(json!({})).await.json()["pid"], pid);
    }
    let log = running.reload(&format!(
        "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\ndrain_timeout: 3s\n{}",
        functions(&[("f", "")])
    ));
    let expected =
        "`drain_timeout` has changed, which takes effect when the invoker is started again";
    assert!(log.contains(expected), "{log}");
    assert!(
        !log.contains("`listen`"),
        "an option says where it listens: {log}"
    );
    running.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_invocation_is_lost_in_many_reloads() {
    let mut running = Running::start(&functions(&[("f", "")]));
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let address = running.address.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let response = invoke(&address, "f", &json!({})).await;
                    assert_eq!(response.status, 200, "{:?}", response.body);
                    assert_eq!(response.header("x-amz-function-error"), None);
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for colour in 0..8 {
        let before = answered.load(Ordering::Relaxed);
        let variable = format!("env: {{ COLOUR: '{colour}' }}");
        let log = tokio::task::block_in_place(|| running.reload(&functions(&[("f", &variable)])));
        assert!(log.contains("changed: f"), "{log}");
        eventually("answers after the reload", async || {
            (answered.load(Ordering::Relaxed) > before + 8).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    running.terminate();
}

#[tokio::test]
async fn a_caller_who_waits_for_the_first_build_is_served_after_a_reload() {
    let function = |colour: &str| {
        let command = format!("[python3, {}]", fixture());
        format!(
            "functions: {{ f: {{ local: {{ command: {command}, build: [sleep, '1.5'], env: {{ COLOUR: {colour} }} }} }} }}"
        )
    };
    let mut running = Running::start(&function("red"));
    let address = running.address.clone();
    let waiting = tokio::spawn(async move { invoke(&address, "f", &json!({})).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.reload(&function("blue"));
    assert_eq!(waiting.await.unwrap().json()["env"]["COLOUR"], "red");
    assert_eq!(
        running.invoke(json!({})).await.json()["env"]["COLOUR"],
        "blue"
    );
    running.terminate();
}

#[tokio::test]
async fn an_attached_process_stays_attached_and_finishes_its_invocation() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let attach = listener.local_addr().unwrap().to_string();
    drop(listener);
    let function = |timeout: &str| {
        format!("functions: {{ f: {{ local: {{ attach: \"{attach}\", timeout: {timeout} }} }} }}")
    };
    let mut running = Running::start(&function("20s"));
    let mut process = std::process::Command::new("python3");
    process
        .arg(fixture())
        .env("AWS_LAMBDA_RUNTIME_API", &attach);
    let started = async || std::net::TcpStream::connect(&attach).is_ok().then_some(());
    eventually("the Runtime API", started).await;
    let mut process = process.spawn().unwrap();
    let (gate, address) = (Gate::new(), running.address.clone());
    let event = gate.event();
    let invocation = tokio::spawn(async move { invoke(&address, "f", &event).await });
    exists(&gate.path("begun")).await;
    let log = running.reload(&function("10s"));
    assert!(log.contains("changed: f"), "{log}");
    gate.open();
    assert_eq!(invocation.await.unwrap().status, 200);
    for _ in 0..3 {
        let response = running.invoke(json!({})).await.json();
        assert_eq!(response["pid"], process.id(), "{response}");
    }
    running.reload("functions: { g: { rie: 'http://g' } }");
    eventually("the closed address", async || {
        std::net::TcpStream::connect(&attach).is_err().then_some(())
    })
    .await;
    process.kill().unwrap();
    process.wait().unwrap();
    running.terminate();
}
