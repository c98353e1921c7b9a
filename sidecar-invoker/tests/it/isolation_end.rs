//! No process outlives its execution environment or the invoker, with namespaces and without.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::running::Running;
use crate::support::sandbox::{Folder, MODES, processes_with};
use crate::support::{Invoker, eventually, exists, is_running, make_executable};

#[tokio::test]
async fn a_daemon_ends_with_its_environment() {
    for mode in MODES {
        let folder = Folder::new();
        let keys = format!("concurrency: 1, isolation: {mode}");
        let invoker = Invoker::isolated(&folder.function(&keys)).await;
        for end in [
            json!({ "do": "exit", "status": 3 }),
            json!({ "do": "kill" }),
            // The init itself, which a function without namespaces can reach.
            json!({ "do": "shell", "script": "kill -9 $(ps -o ppid= -p $PPID)" }),
        ] {
            assert_eq!(invoker.invoke(Folder::daemon()).await.status, 200);
            assert!(folder.has_daemon());
            invoker.invoke(end).await;
            folder.wait_until_deserted().await;
            std::fs::remove_file(folder.path().join("mark")).unwrap();
        }
        invoker.stop().await;
    }
}

#[tokio::test]
async fn a_daemon_ends_at_once_with_an_invoker_that_is_terminated() {
    for mode in MODES {
        let folder = Folder::new();
        let function = folder.function(&format!("isolation: {mode}"));
        let mut running = Running::start(&function);
        assert_eq!(running.invoke(Folder::daemon()).await.status, 200);
        let begun = Instant::now();
        running.signal("-TERM");
        running.child.wait().unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(processes_with(folder.name()), 0, "{mode}");
        assert!(!folder.has_daemon(), "{mode}");
    }
}

#[tokio::test]
async fn a_daemon_does_not_outlive_an_invoker_that_is_killed() {
    for mode in MODES {
        let folder = Folder::new();
        let function = folder.function(&format!("isolation: {mode}"));
        let mut running = Running::start(&function);
        assert_eq!(running.invoke(Folder::daemon()).await.status, 200);
        let tmpdir = json!({ "do": "shell", "script": "echo $TMPDIR" });
        let tmpdir = running.invoke(tmpdir).await.json()["out"].clone();
        running.signal("-KILL");
        running.child.wait().unwrap();
        folder.wait_until_deserted().await;
        let tmpdir = Path::new(tmpdir.as_str().unwrap().trim());
        eventually("its files", async || (!tmpdir.is_dir()).then_some(())).await;
    }
}

#[tokio::test]
async fn a_runtime_of_a_killed_invoker_gets_sigterm_first() {
    let folder = Folder::new();
    let script = "exec 2>/dev/null; trap 'touch asked; exit' TERM; touch began; while :; do sleep 0.01; done";
    let bootstrap = folder.path().join("bootstrap");
    std::fs::write(&bootstrap, format!("#!/bin/sh\n{script}\n")).unwrap();
    make_executable(&bootstrap);
    let path = folder.path().display();
    let function =
        format!("functions: {{ f: {{ local: {{ directory: {path}, min_environments: 1 }} }} }}");
    let mut running = Running::start(&function);
    exists(&folder.path().join("began")).await;
    running.signal("-KILL");
    running.child.wait().unwrap();
    exists(&folder.path().join("asked")).await;
    folder.wait_until_deserted().await;
}

#[tokio::test]
async fn a_killed_fork_server_is_restarted() {
    let folder = Folder::new();
    let running = Running::start(&folder.function("concurrency: 1"));
    let children = format!("/proc/{0}/task/{0}/children", running.child.id());
    let is_server = |pid: &&str| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "lambda-fork")
    };
    let children = std::fs::read_to_string(children).unwrap();
    let server = children.split_whitespace().find(is_server).unwrap();
    let killed = Command::new("kill").args(["-9", server]).status();
    assert!(killed.unwrap().success());
    for _ in 0..2 {
        assert_eq!(running.invoke(json!({})).await.status, 200);
        let response = running.invoke(json!({ "do": "exit", "status": 1 })).await;
        assert_eq!(response.function_error(), "Runtime.ExitError");
    }
    drop(running);
    folder.wait_until_deserted().await;
}

/// Returns the init that was forked for the next environment: it has started no program.
fn spare_init(running: &Running) -> Option<String> {
    let children = |pid: &str| {
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let listed = listed.unwrap_or_default();
        listed.split_whitespace().map(str::to_owned).collect()
    };
    let name = |pid: &String| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.unwrap_or_default().trim().to_owned()
    };
    let servers: Vec<String> = children(&running.child.id().to_string());
    let mut inits = servers.iter().flat_map(|server| children(server));
    inits.find(|init| {
        let started: Vec<String> = children(init);
        name(init) == "lambda-init" && started.iter().all(|it| name(it) == "lambda-reaper")
    })
}

#[tokio::test]
async fn a_start_ends_in_time_even_if_its_init_hangs() {
    let folder = Folder::new();
    let function = folder.function("concurrency: 1, init_timeout: 2s");
    let running = Running::start(&function);
    assert_eq!(running.invoke(json!({})).await.status, 200);
    let spare = eventually("an init in reserve", async || spare_init(&running)).await;
    let stop = Command::new("kill").args(["-STOP", &spare]).status();
    assert!(stop.unwrap().success());
    running.invoke(json!({ "do": "exit", "status": 1 })).await;
    let begun = Instant::now();
    let response = running.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let response = running.invoke(json!({})).await;
    assert_eq!(response.header("x-amz-function-error"), None);
    assert!(!is_running(&spare));
}

#[tokio::test]
async fn an_environment_ends_although_its_function_has_stopped_its_init() {
    let folder = Folder::new();
    let running = Running::start(&folder.function("concurrency: 1, isolation: none"));
    assert_eq!(running.invoke(Folder::daemon()).await.status, 200);
    let stop = "kill -STOP $(ps -o ppid= -p $PPID)";
    let stop = json!({ "do": "shell", "script": stop });
    assert_eq!(running.invoke(stop).await.status, 200);
    // Nobody reports the end of the runtime, so the call runs into its timeout.
    let response = running.invoke(json!({ "do": "exit", "status": 1 })).await;
    assert_eq!(response.function_error(), "Sandbox.Timedout");
    let response = running.invoke(json!({})).await;
    assert_eq!(response.header("x-amz-function-error"), None);
    assert!(!folder.has_daemon());
}
