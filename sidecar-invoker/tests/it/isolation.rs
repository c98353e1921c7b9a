//! The files, processes and IPC that execution environments have of their own.

use std::path::Path;

use serde_json::json;

use crate::support::sandbox::{Folder, MODES, has_namespaces, shell};
use crate::support::{Invoker, fixture, fixture_function, make_executable};

#[tokio::test]
async fn each_environment_has_a_tmp_of_its_own() {
    for mode in MODES {
        let folder = Folder::new();
        let keys = format!("concurrency: 2, isolation: {mode}");
        let invoker = Invoker::isolated(&folder.function(&keys)).await;
        if mode == "auto" && !has_namespaces("/tmp of each environment") {
            continue;
        }
        // Each writes the same name, and reads it once both have.
        let script = r#"tmp=${TMPDIR:-/tmp}; mark=$(mktemp here-XXXXXX); echo $mark > $tmp/name
            while [ $(ls -d here-* | wc -l) -lt 2 ]; do sleep 0.01; done
            test $(cat $tmp/name) = $mark && ls $tmp | grep -c name"#;
        let meet = || shell(&invoker, script);
        let (one, two) = tokio::join!(meet(), meet());
        assert_eq!((one.trim(), two.trim()), ("1", "1"), "{mode}");
        // It stays from call to call, as on AWS.
        assert_eq!(
            shell(&invoker, "ls ${TMPDIR:-/tmp}/name | wc -l").await,
            "1\n"
        );
        let tmpdir = shell(&invoker, "echo $TMPDIR").await;
        assert_eq!(tmpdir == "\n", mode == "auto", "{tmpdir}");
        invoker.stop().await;
        assert!(mode == "auto" || !Path::new(tmpdir.trim()).exists());
    }
}

#[tokio::test]
async fn an_environment_has_processes_and_ipc_of_its_own() {
    if !has_namespaces("processes and IPC of each environment") {
        return;
    }
    let folder = Folder::new();
    let invoker = Invoker::isolated(&folder.function("memory: 256")).await;
    let processes = shell(&invoker, "ls -d /proc/[0-9]* | wc -l").await;
    assert!(processes.trim().parse::<u32>().unwrap() < 8, "{processes}");
    let links = "readlink /proc/self/ns/pid /proc/self/ns/ipc /proc/self/ns/mnt";
    let inside = shell(&invoker, links).await;
    let outside = ["pid", "ipc", "mnt"]
        .map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap());
    for (inside, outside) in inside.lines().zip(outside) {
        assert_ne!(inside, outside.to_str().unwrap());
    }
    let network = std::fs::read_link("/proc/self/ns/net").unwrap();
    let inside = shell(&invoker, "readlink /proc/self/ns/net").await;
    assert_eq!(inside.trim(), network.to_str().unwrap(), "it stays shared");
    let shm = shell(&invoker, "df --output=size /dev/shm | tail -1; ls /dev/shm").await;
    assert_eq!(shm.trim(), (256 * 1024).to_string());
    // PID 1 is out of reach.
    assert_eq!(
        shell(&invoker, "kill -9 1; kill -STOP 1; echo on").await,
        "on\n"
    );
    // Orphans do not stay as zombies.
    let zombies = shell(
        &invoker,
        "for i in 1 2 3; do sh -c 'sleep 0.05 &'; done; sleep 0.5; grep -l '^State:.Z' /proc/*/status | wc -l",
    );
    assert_eq!(zombies.await, "0\n");
}

#[tokio::test]
async fn a_process_has_no_blocked_signals() {
    for mode in MODES {
        let folder = Folder::new();
        let invoker = Invoker::isolated(&folder.function(&format!("isolation: {mode}"))).await;
        let blocked = shell(&invoker, "grep SigBlk /proc/self/status").await;
        assert_eq!(blocked, "SigBlk:\t0000000000000000\n", "{mode}");
        // Without SIGCHLD, a shell would wait forever.
        let waited = shell(&invoker, "sleep 0.05 & wait $!; echo $?").await;
        assert_eq!(waited, "0\n", "{mode}");
    }
}

#[tokio::test]
async fn a_full_tmp_is_the_function_s_own_trouble() {
    if !has_namespaces("the size of /tmp") {
        return;
    }
    let folder = Folder::new();
    let function = folder.function("memory: 128, ephemeral_storage: 600");
    let invoker = Invoker::isolated(&function).await;
    let size = shell(&invoker, "df --output=size /tmp | tail -1").await;
    assert_eq!(size.trim(), (600 * 1024).to_string());
    let full = shell(&invoker, "fallocate -l 601M /tmp/full 2>&1; echo $?").await;
    assert!(
        full.contains("No space left") && full.ends_with("1\n"),
        "{full}"
    );
    // More than its memory: files are no memory that a function uses.
    let written = shell(
        &invoker,
        "head -c 150M /dev/zero > /tmp/file; wc -c < /tmp/file",
    )
    .await;
    assert_eq!(written.trim(), (150 * 1024 * 1024).to_string());
}

#[tokio::test]
async fn the_directory_is_var_task_too_and_both_are_read_only_if_asked() {
    if !has_namespaces("/var/task") {
        return;
    }
    for read_only in [false, true] {
        let folder = Folder::new();
        std::fs::write(folder.path().join("data"), "mine").unwrap();
        let function = folder.function(&format!("read_only: {read_only}"));
        let invoker = Invoker::isolated(&function).await;
        assert_eq!(shell(&invoker, "cat /var/task/data").await, "mine");
        let own = shell(&invoker, "pwd; echo $LAMBDA_TASK_ROOT").await;
        let path = folder.path().display();
        assert_eq!(own, format!("{path}\n{path}\n"));
        for place in ["/var/task/new", "new", "$LAMBDA_TASK_ROOT/new"] {
            let tried = shell(&invoker, &format!("touch {place} 2>&1; echo $?")).await;
            let refused = tried.contains("Read-only file system");
            assert_eq!(refused, read_only, "{place}: {tried}");
        }
        assert_eq!(folder.path().join("new").exists(), !read_only);
        assert_eq!(
            shell(&invoker, "echo x > /tmp/x && cat /tmp/x").await,
            "x\n"
        );
        // What else stands in /var is where it was.
        let host = std::fs::read_dir("/var/lib").unwrap().count();
        let inside = shell(&invoker, "ls -A /var/lib | wc -l").await;
        assert_eq!(inside.trim(), host.to_string());
    }
    assert!(
        !Path::new("/var/task").exists(),
        "nothing is left on the machine"
    );
}

#[tokio::test]
async fn layers_are_opt_one_over_the_other_and_read_only() {
    if !has_namespaces("layers") {
        return;
    }
    let (folder, layers) = (Folder::new(), tempfile::tempdir().unwrap());
    for (layer, files) in [
        ("one", ["both", "python/first.py", "bin/tool"]),
        ("two", ["both", "python/second.py", "data"]),
    ] {
        for file in files {
            let file = layers.path().join(layer).join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, format!("#!/bin/sh\n# {layer}\necho tool\n")).unwrap();
            make_executable(&file);
        }
    }
    let bootstrap = layers.path().join("one/bootstrap");
    std::fs::write(&bootstrap, "#!/bin/sh\nexec python3 ${0%/*}/runtime.py\n").unwrap();
    std::fs::copy(fixture(), layers.path().join("one/runtime.py")).unwrap();
    make_executable(&bootstrap);
    let one = layers.path().join("one").display().to_string();
    let two = layers.path().join("two").display().to_string();
    let function = |layers: &str| {
        let directory = folder.path().display();
        format!(
            "functions: {{ f: {{ local: {{ directory: {directory}, layers: [{layers}], timeout: 10s }} }} }}"
        )
    };
    let invoker = Invoker::isolated(&function(&format!("{one}, {two}"))).await;
    let found = shell(
        &invoker,
        "cd /opt; grep -h '# ' both; ls python; tool; touch x 2>&1",
    )
    .await;
    assert!(
        found.starts_with("# two\nfirst.py\nsecond.py\ntool\n"),
        "{found}"
    );
    assert!(found.contains("Read-only"), "{found}");
    let variables = shell(&invoker, "echo $_HANDLER $PYTHONPATH").await;
    assert_eq!(variables, "/opt/bootstrap /opt/python\n");
    let invoker = Invoker::isolated(&function(&one)).await;
    let found = shell(
        &invoker,
        "cd /opt; grep -h '# ' both; ls python; touch x 2>&1",
    )
    .await;
    assert!(found.starts_with("# one\nfirst.py\n"), "{found}");
    assert!(found.contains("Read-only"), "{found}");

    // Without namespaces a program of a layer is found all the same.
    let function = function(&one).replace("timeout", "isolation: none, timeout");
    let invoker = Invoker::isolated(&function).await;
    let found = shell(&invoker, "tool; echo $PYTHONPATH").await;
    assert_eq!(found, format!("tool\n{one}/python\n"));
}

#[tokio::test]
async fn an_extension_of_a_layer_is_started() {
    let (folder, layer) = (Folder::new(), tempfile::tempdir().unwrap());
    let extension = layer.path().join("extensions/probe");
    std::fs::create_dir(layer.path().join("extensions")).unwrap();
    let source = format!("{}/tests/fixtures/extension.py", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(source, &extension).unwrap();
    make_executable(&extension);
    for mode in MODES {
        let keys = format!("isolation: {mode}, layers: [{}]", layer.path().display());
        let invoker = Invoker::isolated(&folder.function(&keys)).await;
        let seen = shell(&invoker, "pgrep -af extensions/probe").await;
        let path = match mode == "auto" && has_namespaces("an extension at /opt") {
            true => "/opt/extensions/probe".to_owned(),
            false => extension.display().to_string(),
        };
        assert!(seen.contains(&path), "{seen}");
        invoker.stop().await;
    }
}

#[tokio::test]
async fn exits_and_signals_are_reported_as_they_were() {
    for mode in MODES {
        let folder = Folder::new();
        let keys = format!("concurrency: 1, isolation: {mode}");
        let invoker = Invoker::isolated(&folder.function(&keys)).await;
        let error = async |event| {
            let response = invoker.invoke(event).await;
            assert_eq!(response.function_error(), "Runtime.ExitError");
            let message = response.json()["errorMessage"].as_str().unwrap().to_owned();
            message.split_once("Error: ").unwrap().1.to_owned()
        };
        for (event, message) in [
            (
                json!({ "do": "exit", "status": 3 }),
                "Runtime exited with error: exit status 3",
            ),
            (
                json!({ "do": "exit", "status": 0 }),
                "Runtime exited without providing a reason",
            ),
            (
                json!({ "do": "kill", "signal": 9 }),
                "Runtime exited with error: signal: killed",
            ),
            (
                json!({ "do": "kill", "signal": 15 }),
                "Runtime exited with error: signal: terminated",
            ),
            (
                json!({ "do": "kill", "signal": 11 }),
                "Runtime exited with error: signal: segmentation fault",
            ),
        ] {
            assert_eq!(error(event).await, message, "{mode}");
        }
        let missing =
            fixture_function(&format!("isolation: {mode}")).replace("python3", "/proc/version");
        let invoker = Invoker::isolated(&missing).await;
        let response = invoker.invoke(json!({})).await;
        assert_eq!(response.function_error(), "Runtime.InvalidEntrypoint");
    }
}
