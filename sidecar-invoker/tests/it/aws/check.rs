//! `sidecar-invoker check`.

use super::program::{KEYS, command};
use super::stand_in::StandIn;
use crate::support::make_executable;

/// Runs the command and returns its exit code and output.
async fn check(text: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoker.yaml");
    std::fs::write(&file, text).unwrap();
    let command = command("check", &file, folder.path(), variables);
    let output = tokio::process::Command::from(command)
        .output()
        .await
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    (
        output.status.code(),
        printed.replace(file.to_str().unwrap(), "invoker.yaml"),
    )
}

#[tokio::test]
async fn the_table_has_a_result_and_a_reason_for_each_function() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rie = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let windows = folder.path().join("bootstrap");
    std::fs::write(&windows, "#!/bin/sh\r\n").unwrap();
    make_executable(&windows);
    let windows = windows.display();
    let text = format!(
        "\
aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}
functions:
  orders: {{ aws: {{ function: orders-prod, qualifier: live }} }}
  refused: {{ aws: {{ function: denied }} }}
  gone: {{ aws: {{ function: missing, region: eu-west-2 }} }}
  emulated: {{ rie: 'http://{rie}' }}
  shell: {{ local: {{ command: [sh, -c, x] }} }}
  typo: {{ local: {{ command: [./nowhere] }} }}
  module: {{ local: {{ command: [python3, -m, absent_module, app.handler] }} }}
  found: {{ local: {{ command: [python3, -m, json.tool, app.handler] }} }}
  windows: {{ local: {{ command: [{windows}] }} }}
"
    );
    let (code, table) = check(&text, &KEYS).await;
    assert_eq!(code, Some(1), "{table}");
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    let line = |name: &str| {
        let line = lines
            .iter()
            .find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("{name} is not in\n{table}"))
            .to_string()
    };
    let emulated = format!("rie: http://{rie}");
    for (name, place, end) in [
        ("FUNCTION", "WHERE", "RESULT  WHY"),
        ("(others)", "aws", "ok"),
        ("orders", "aws: orders-prod:live, eu-west-1", "ok"),
        (
            "refused",
            "aws: denied, eu-west-1",
            "; allow the credentials lambda:InvokeFunction on it",
        ),
        (
            "gone",
            "aws: missing, eu-west-2",
            "; correct its name, qualifier or region",
        ),
        ("emulated", &emulated, "ok"),
        ("shell", "local: sh", "ok"),
        (
            "typo",
            "local: ./nowhere",
            "; build it, install it or correct the command",
        ),
        (
            "module",
            "local: python3",
            "python3 has no module `absent_module`; install it: python3 -m pip install absent_module",
        ),
        ("found", "local: python3", "ok"),
        (
            "windows",
            "local: /",
            "its first line ends in CR LF; save it with LF at the end of each line",
        ),
    ] {
        let line = line(name);
        assert!(line.contains(place) && line.ends_with(end), "{line}");
    }
    let column = |line: &str| line.find("  ok").or(line.find("  fails"));
    let columns: Vec<_> = lines.iter().skip(1).map(|line| column(line)).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    assert_eq!(lines.len(), 11);
}

#[tokio::test]
async fn the_exit_code_is_0_if_each_function_works() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!(
        "aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}\nfunctions: {{ f: {{ aws: {{}} }} }}"
    );
    let (code, table) = check(&text, &KEYS).await;
    assert_eq!(code, Some(0), "{table}");
    let received = &aws.received()[0];
    assert_eq!(received.header("x-amz-invocation-type"), Some("DryRun"));
}

#[tokio::test]
async fn without_credentials_each_function_fails_with_that_reason() {
    let (code, table) = check(
        "aws: { region: eu-west-1 }\nfunctions: { f: { aws: {} } }",
        &[],
    )
    .await;
    assert_eq!(code, Some(1), "{table}");
    assert_eq!(
        table.matches("no AWS credentials were found").count(),
        2,
        "{table}"
    );
}

#[tokio::test]
async fn each_function_has_its_own_reason() {
    let aws = StandIn::start().await;
    let endpoint = &aws.url;
    let text = format!(
        "\
aws: {{ region: eu-west-1, endpoint: '{endpoint}' }}
functions:
  key: {{ aws: {{ function: unknown-key }} }}
  slow: {{ aws: {{ timeout: 2s }} }}
"
    );
    let (code, table) = check(&text, &KEYS).await;
    assert_eq!(code, Some(1), "{table}");
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(
        line("key").contains("AWS does not know the access key"),
        "{table}"
    );
    assert!(
        line("slow").contains("AWS gave no answer within 2s"),
        "{table}"
    );
}
