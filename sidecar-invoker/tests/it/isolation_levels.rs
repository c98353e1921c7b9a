//! Systems that do not allow all namespaces, and users without privileges.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::make_executable;
use crate::support::running::Running;
use crate::support::sandbox::{Folder, has_namespaces};

/// Starts the invoker as the last argument of `wrapper`.
fn start(function: &str, wrapper: &[&str]) -> Running {
    Running::start_wrapped(function, |serve| {
        let mut command = Command::new(wrapper[0]);
        command
            .args(&wrapper[1..])
            .arg(serve.get_program())
            .args(serve.get_args());
        command
    })
}

/// Returns the lines about isolation that the invoker has logged at its start.
fn shared(running: &Running) -> Vec<&str> {
    let lines = running.early_log.lines();
    lines
        .filter(|line| line.contains("execution environments share"))
        .collect()
}

async fn shell(running: &Running, script: &str) -> Value {
    let event = json!({ "do": "shell", "script": script });
    running.invoke(event).await.json()
}

/// Returns true if the tests run as root, on a system with namespaces.
fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        xtask::test::skip(test, "it needs root");
    }
    is_root && has_namespaces(test)
}

/// In a user namespace in which there can be no other, and without the privilege to do without.
const NO_NAMESPACES: [&str; 6] = [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_user_namespaces
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin -- \"$0\" \"$@\"",
];

/// With a `/proc` that is masked in part, as in many containers.
const MASKED_PROC: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount --bind /dev/null /proc/version
        exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin -- \"$0\" \"$@\"",
];

#[tokio::test]
async fn one_line_says_what_is_shared_where_the_system_allows_no_namespaces() {
    if !is_root("a system without namespaces") {
        return;
    }
    let cases: [(&[&str], &str); 2] = [
        (&NO_NAMESPACES, "share /tmp, IPC and process numbers"),
        (&MASKED_PROC, "share process numbers"),
    ];
    for (wrapper, sentence) in cases {
        let folder = Folder::new();
        let running = start(&folder.function("concurrency: 1"), wrapper);
        let shared = shared(&running);
        let log = &running.early_log;
        assert!(shared.len() == 1 && shared[0].contains(sentence), "{log}");
        assert_eq!(running.invoke(Folder::daemon()).await.status, 200);
        let script = "echo x > ${TMPDIR:-/tmp}/lambda-mesh-test-file";
        assert_eq!(shell(&running, script).await["status"], 0);
        assert!(!Path::new("/tmp/lambda-mesh-test-file").exists());
        running.invoke(json!({ "do": "exit", "status": 1 })).await;
        folder.wait_until_deserted().await;
    }
}

#[tokio::test]
async fn a_function_runs_without_a_folder_for_temporary_files() {
    if !is_root("a read-only file system") {
        return;
    }
    let script = format!(
        "mount --bind /tmp /tmp; mount -o remount,bind,ro /tmp; {}",
        NO_NAMESPACES[5]
    );
    let mut wrapper = NO_NAMESPACES.to_vec();
    wrapper[5] = &script;
    wrapper.insert(1, "--mount");
    let folder = Folder::new();
    let function = folder.function("concurrency: 1");
    for _ in 0..2 {
        let running = start(&function, &wrapper);
        let found = shell(&running, "echo $TMPDIR; touch /tmp/x").await;
        let out = found["out"].as_str().unwrap();
        assert!(out.starts_with('\n') && out.contains("Read-only"), "{out}");
        let log = running.terminate();
        let warnings = log.matches(
            "an execution environment has less of its own than others: make /tmp/lambda-mesh-",
        );
        assert_eq!(warnings.count(), 1, "{log}");
        assert!(log.contains("Read-only file system"), "{log}");
    }
}

#[tokio::test]
async fn an_invoker_without_privileges_isolates_its_environments() {
    if !is_root("a user without privileges") {
        return;
    }
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
    ];
    let runs = |command: &[&str]| {
        let mut started = Command::new(nobody[0]);
        started.args(&nobody[1..]).args(command);
        let status = started.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let program = env!("CARGO_BIN_EXE_sidecar-invoker");
    if !runs(&[program, "--version"]) || !runs(&["unshare", "--map-root-user", "true"]) {
        let reason = "nobody may not run the program, or may not create user namespaces";
        xtask::test::skip("a user without privileges", reason);
        return;
    }
    let folder = Folder::new();
    make_executable(folder.path());
    std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).unwrap();
    let mut running = start(
        &folder.function("concurrency: 1, read_only: false"),
        &nobody,
    );
    assert!(shared(&running).is_empty(), "{}", running.early_log);
    let found = shell(
        &running,
        "id -u; ls -A /tmp | grep -c mesh; touch /var/task/new; echo $?",
    );
    assert_eq!(found.await["out"], "65534\n0\n0\n");
    assert_eq!(running.invoke(Folder::daemon()).await.status, 200);
    running.signal("-KILL");
    running.child.wait().unwrap();
    folder.wait_until_deserted().await;
}
