//! Functions whose files change between and during calls.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::{Gate, Invoker, eventually, exists, fixture, is_running, wait_for_version};

/// Replaces the function's program atomically, as a build does.
fn write(folder: &Path, script: &str, mode: u32) {
    let new = folder.join("bootstrap.tmp");
    std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&new, PermissionsExt::from_mode(mode)).unwrap();
    std::fs::rename(new, folder.join("bootstrap")).unwrap();
}

fn version(number: &str) -> String {
    format!("VERSION={number} exec python3 {}", fixture())
}

async fn start(folder: &Path, keys: &str) -> Invoker {
    let directory = folder.to_str().unwrap();
    let local = format!("{{ directory: {directory}, timeout: 10s, watch: true, {keys} }}");
    Invoker::start(&format!("functions: {{ f: {{ local: {local} }} }}")).await
}

#[tokio::test]
async fn a_change_is_served_without_failed_calls() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 2").await;
    let done = AtomicBool::new(false);
    let calls = async || {
        let mut count = 0;
        while !done.load(Ordering::Relaxed) {
            let response = invoker.invoke(json!({})).await;
            assert_eq!(
                (
                    response.status.as_u16(),
                    response.header("x-amz-function-error")
                ),
                (200, None)
            );
            count += 1;
        }
        count
    };
    let changes = async {
        for number in ["1", "2", "3"] {
            write(folder.path(), &version(number), 0o755);
            wait_for_version(&invoker, number).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (one, two, ()) = tokio::join!(calls(), calls(), changes);
    assert!(one > 0 && two > 0);
}

#[tokio::test]
async fn the_old_environment_finishes_its_call_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 1").await;
    let old = invoker.invoke(json!({})).await.json()["pid"].to_string();
    let gate = Gate::new();
    let rest = async {
        exists(&gate.path("begun")).await;
        write(folder.path(), &version("2"), 0o755);
        // The new environment runs beside the old one, which takes the only slot.
        wait_for_version(&invoker, "2").await;
        assert!(is_running(&old));
        gate.open();
    };
    let (response, ()) = tokio::join!(invoker.invoke(gate.event()), rest);
    assert_eq!(response.json()["pid"].to_string(), old);
    eventually("the end of the old", async || {
        (!is_running(&old)).then_some(())
    })
    .await;
    wait_for_version(&invoker, "2").await;
}

#[tokio::test]
async fn a_version_that_does_not_start_leaves_the_old_one_in_service() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("target");
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 1").await;
    let old = invoker.invoke(json!({})).await.json()["pid"].clone();
    for (script, mode) in [("touch target; exit 1", 0o755), ("half a file", 0o644)] {
        write(folder.path(), script, mode);
        if mode == 0o755 {
            exists(&started).await;
        }
        for _ in 0..20 {
            assert_eq!(invoker.invoke(json!({})).await.json()["pid"], old);
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }
    write(folder.path(), &version("2"), 0o755);
    wait_for_version(&invoker, "2").await;
}

#[tokio::test]
async fn changes_of_tool_files_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 1").await;
    let pid = invoker.invoke(json!({})).await.json()["pid"].clone();
    std::fs::create_dir(folder.path().join("target")).unwrap();
    for name in ["target/x", "bootstrap~", ".bootstrap.swp"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    for _ in 0..20 {
        assert_eq!(invoker.invoke(json!({})).await.json()["pid"], pid);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn slow_starts_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 1, init_timeout: 5m").await;
    let old = invoker.invoke(json!({})).await.json()["pid"].to_string();
    // The folder `target` is not watched.
    let started = folder.path().join("target");
    std::fs::create_dir(&started).unwrap();
    let mut pids: Vec<String> = Vec::new();
    for number in 0..4 {
        let script = format!("echo $$ > target/new; mv target/new target/{number}; exec sleep 300");
        write(folder.path(), &script, 0o755);
        let pid = started.join(number.to_string());
        exists(&pid).await;
        assert!(
            pids.iter().all(|pid| !is_running(pid)),
            "more than one additional environment"
        );
        assert!(is_running(&old));
        pids.push(std::fs::read_to_string(&pid).unwrap().trim().to_owned());
    }
    write(folder.path(), &version("2"), 0o755);
    wait_for_version(&invoker, "2").await;
}

#[tokio::test]
async fn a_function_that_writes_into_its_own_folder_is_served() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &version("1"), 0o755);
    let invoker = start(folder.path(), "concurrency: 1").await;
    invoker.invoke(json!({})).await;
    let script = format!("echo >> started; sleep 1; {}", version("2"));
    write(folder.path(), &script, 0o755);
    for starts in [3, 6] {
        eventually(&format!("start {starts}"), async || {
            let lines = std::fs::read(folder.path().join("started")).ok()?;
            (lines.len() >= starts).then_some(())
        })
        .await;
    }
    wait_for_version(&invoker, "2").await;
}
