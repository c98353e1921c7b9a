//! An editor helps with the shipped configurations of the invoker: yaml-language-server, which most
//! editors run, follows the line `# yaml-language-server: $schema=` at their top.
#![expect(clippy::expect_used, reason = "a failed test panics")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lambda_mesh_compat::manifest::Toolchain;
use lambda_mesh_compat::prepare::folder;
use serde::Deserialize;

/// The remarks of the server about a file.
#[derive(Debug, Deserialize)]
struct Shown {
    diagnostics: Vec<String>,
    hover: String,
}

/// Opens a text in the server as `file`, and points at the first `word` in it.
fn shown(server: &Path, file: &Path, text: &str, word: &str) -> Shown {
    let mut node = Command::new("node")
        .arg(server.join("diagnose.mjs"))
        .args([file.as_os_str(), word.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node");
    let mut input = node.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("node reads");
    drop(input);
    let output = node.wait_with_output().expect("node ends");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn an_editor_finds_a_misspelt_key_and_explains_the_others() {
    let toolchain = Toolchain::Node;
    if let Some(program) = toolchain.missing() {
        let reason = format!("{program} is not on PATH");
        return xtask::skip("editor: yaml-language-server", &reason);
    }
    let source = lambda_mesh_compat::folder().join("editor");
    let server = folder(&source, "editor", toolchain.steps(), toolchain.pins());
    let server = server.expect("yaml-language-server");
    for (file, key, description) in [
        ("invoker.yaml", "timeout", "Time limit of one invocation."),
        (
            "compose/invoker.yaml",
            "listen",
            "Address of the Invoke API",
        ),
    ] {
        let file = xtask::workspace_root().join("examples").join(file);
        let text = fs::read_to_string(&file).expect("a shipped file");
        let Shown { diagnostics, hover } = shown(&server, &file, &text, key);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(hover.contains(description), "{hover}");

        let wrong = text.replace("functions:", "functoins:");
        let Shown { diagnostics, .. } = shown(&server, &file, &wrong, key);
        let problem = diagnostics.first().map(String::as_str).unwrap_or_default();
        assert!(
            problem.ends_with("Property functoins is not allowed."),
            "{diagnostics:?}"
        );
    }
}
