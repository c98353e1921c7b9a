//! Errors of programs that do not exist or do not start.

use serde_json::json;

use crate::support::running::Running;
use crate::support::{Invoker, fixture_function, make_executable};

#[tokio::test]
async fn a_start_error_names_the_python_module_that_is_missing() {
    let function =
        "functions: { f: { local: { command: [python3, -m, absent_module, app.handler] } } }";
    let running = Running::start(function);
    let response = running.invoke(json!({})).await;
    assert_eq!(response.function_error(), "Runtime.ExitError");
    let log = running.terminate();
    let missing = "functions.f.local.command: python3 has no module `absent_module`; install it: \
        python3 -m pip install absent_module";
    assert!(log.contains(missing), "{log}");
}

#[tokio::test]
async fn a_start_error_names_the_interpreter_that_an_extension_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let extension = folder.path().join("extensions/windows");
    std::fs::create_dir(folder.path().join("extensions")).unwrap();
    std::fs::write(&extension, "#!/bin/sh\r\n").unwrap();
    make_executable(&extension);
    for mode in ["auto", "none"] {
        let keys = format!("isolation: {mode}, directory: {}", folder.path().display());
        let running = Running::start(&fixture_function(&keys));
        let response = running.invoke(json!({})).await;
        assert_eq!(response.function_error(), "Extension.LaunchError");
        let log = running.terminate();
        let reason = "extension windows: its first line ends in CR LF; save it with LF";
        assert!(log.contains(reason), "{log}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_a_function_error_and_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("not-executable");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let scripts = ["#!/bin/sh\r\n", "#!/bin/nowhere\n"].map(|text| {
        let script = folder.path().join(format!("script-{}", text.len()));
        std::fs::write(&script, text).unwrap();
        make_executable(&script);
        script
    });
    let [windows, lost] = &scripts;
    for (command, reason) in [
        (
            windows.to_str().unwrap(),
            "its first line ends in CR LF; save it with LF at the end of each line",
        ),
        (
            lost.to_str().unwrap(),
            "its first line asks for /bin/nowhere, which does not exist; install that or correct the line",
        ),
        ("./absent", "no such file or directory"),
        ("absent-program", "executable file not found in $PATH"),
        (script.to_str().unwrap(), "permission denied"),
    ] {
        let invoker = Invoker::start(&format!(
            "functions:\n  f:\n    local: {{ command: [{command}] }}"
        ))
        .await;
        let response = invoker.invoke(json!({})).await;
        assert_eq!(response.function_error(), "Runtime.InvalidEntrypoint");
        let message = response.json()["errorMessage"].as_str().unwrap().to_owned();
        assert!(
            message.ends_with(&format!("fork/exec {command}: {reason}")),
            "{message}"
        );

        let ready = invoker.admin("/readyz").await;
        assert_eq!(ready.status, 503);
        let text = String::from_utf8(ready.body.to_vec()).unwrap();
        assert!(
            text.starts_with("invoker.yaml:5: functions.f.local.command:"),
            "{text}"
        );
        assert!(text.contains(reason), "{text}");
    }
}
