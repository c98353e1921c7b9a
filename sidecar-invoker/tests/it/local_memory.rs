//! Limits of a function: its memory, and processes that leave its process group.

use serde_json::json;

use crate::support::{Invoker, eventually, fixture_function, is_running};

const MIB: u64 = 1 << 20;

/// Both ways to track processes. They are the same where no control group is available.
const CGROUPS: [bool; 2] = [false, true];

#[tokio::test]
async fn a_function_that_uses_more_than_its_memory_is_killed_and_replaced() {
    for cgroups in CGROUPS {
        let function = fixture_function("concurrency: 1, memory: 128");
        let invoker = Invoker::with_cgroups(&function, cgroups).await;
        for in_child in [false, true] {
            let event = json!({ "do": "allocate", "bytes": 200 * MIB, "in_child": in_child });
            let response = invoker.invoke(event).await;
            assert_eq!(response.function_error(), "Runtime.ExitError");
            let id = response.header("x-amzn-requestid").unwrap();
            let message =
                format!("RequestId: {id} Error: Runtime exited with error: signal: killed");
            assert_eq!(response.json()["errorMessage"], message);
            assert_eq!(invoker.invoke(json!({})).await.status, 200);
        }
        invoker.stop().await;
    }
}

#[tokio::test]
async fn address_space_and_shared_pages_do_not_count_as_used_memory() {
    let function = fixture_function("concurrency: 1, memory: 128");
    for cgroups in CGROUPS {
        let invoker = Invoker::with_cgroups(&function, cgroups).await;
        let reserve = json!({ "do": "reserve", "bytes": 4096 * MIB });
        let pid = invoker.invoke(reserve).await.json()["pid"].clone();
        // Each of the three processes has 60 MiB, all of it shared. Two seconds are enough for
        // several measurements.
        let fork = json!({ "do": "fork", "bytes": 60 * MIB, "count": 2, "seconds": 2 });
        let response = invoker.invoke(fork).await;
        assert_eq!(response.json()["pid"], pid, "{:?}", response.body);
        invoker.stop().await;
    }
}

#[tokio::test]
async fn a_stray_process_ends_with_its_environment() {
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
            assert!(is_running(pid));
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            let known = !forgets || groups.contains("/lambda-mesh-");
            let response = invoker.invoke(json!({ "do": "exit", "status": 3 })).await;
            assert_eq!(response.function_error(), "Runtime.ExitError");
            if known {
                let has_ended = async || (!is_running(pid)).then_some(());
                eventually("the end of the stray process", has_ended).await;
            } else {
                // Nothing connects the process with its environment.
                let kill = std::process::Command::new("kill")
                    .args(["-9", pid])
                    .status();
                assert!(kill.unwrap().success());
            }
        }
        invoker.stop().await;
    }
}
