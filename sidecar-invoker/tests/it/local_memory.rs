//! What a function may use and leave behind: its memory, and processes that run away.

use crate::support::{Invoker, eventually, fixture_function, runs};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// Both ways to keep processes together; where there is no control group to be had they are one.
const CGROUPS: [bool; 2] = [false, true];

#[tokio::test]
async fn a_function_that_uses_more_than_its_memory_is_killed_and_replaced() {
    for cgroups in CGROUPS {
        let function = fixture_function("concurrency: 1, memory: 128");
        let invoker = Invoker::with_cgroups(&function, cgroups).await;
        for in_child in [false, true] {
            let event = json!({ "do": "allocate", "bytes": 200 * MIB, "in_child": in_child });
            let reply = invoker.invoke(event).await;
            assert_eq!(reply.function_error(), "Runtime.ExitError");
            let id = reply.header("x-amzn-requestid").unwrap();
            let message =
                format!("RequestId: {id} Error: Runtime exited with error: signal: killed");
            assert_eq!(reply.json()["errorMessage"], message);
            assert_eq!(invoker.invoke(json!({})).await.status, 200);
        }
        invoker.stop().await;
    }
}

#[tokio::test]
async fn address_space_and_shared_pages_are_not_memory_that_is_used() {
    let function = fixture_function("concurrency: 1, memory: 128");
    for cgroups in CGROUPS {
        let invoker = Invoker::with_cgroups(&function, cgroups).await;
        let reserve = json!({ "do": "reserve", "bytes": 4096 * MIB });
        let pid = invoker.invoke(reserve).await.json()["pid"].clone();
        // Each of the three has 60 MiB, all of it shared. In two seconds all are seen.
        let fork = json!({ "do": "fork", "bytes": 60 * MIB, "count": 2, "seconds": 2 });
        let reply = invoker.invoke(fork).await;
        assert_eq!(reply.json()["pid"], pid, "{:?}", reply.body);
        invoker.stop().await;
    }
}

#[tokio::test]
async fn a_process_that_has_run_away_ends_with_its_environment() {
    for cgroups in CGROUPS {
        let function = fixture_function("concurrency: 1");
        let invoker = Invoker::with_cgroups(&function, cgroups).await;
        for forgets in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            let stray = json!({ "do": "stray", "file": file, "forgets": forgets });
            assert_eq!(invoker.invoke(stray).await.status, 200);
            let pid = std::fs::read_to_string(&file).unwrap();
            let pid = pid.trim();
            assert!(runs(pid));
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            let known = !forgets || groups.contains("/lambda-mesh-");
            let reply = invoker.invoke(json!({ "do": "exit", "status": 3 })).await;
            assert_eq!(reply.function_error(), "Runtime.ExitError");
            if known {
                let gone = async || (!runs(pid)).then_some(());
                eventually("the end of the stray", gone).await;
            } else {
                // Nothing tells whose it is.
                let kill = std::process::Command::new("kill")
                    .args(["-9", pid])
                    .status();
                assert!(kill.unwrap().success());
            }
        }
        invoker.stop().await;
    }
}
