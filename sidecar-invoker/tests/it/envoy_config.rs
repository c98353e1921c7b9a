//! `sidecar-invoker envoy-config`: its output and its errors.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Returns the command in the folder of the fixtures, without a filter and without Envoy.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
    command
        .arg("envoy-config")
        .args(arguments)
        .current_dir(fixtures())
        .env_remove("LAMBDA_MESH_FILTER")
        .env("PATH", "");
    command
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/envoy_config"
    ))
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn assert_writes(arguments: &[&str], file: &str) {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let path = fixtures().join(file);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &stdout).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        stdout == expected,
        "{file} differs from the output; run this test with UPDATE_FIXTURES=1 and look at the \
         difference"
    );
}

#[test]
fn the_output_does_not_depend_on_how_the_path_is_written() {
    let folder = fixtures().join("invoker.yaml");
    for file in ["invoker.yaml", "./invoker.yaml", folder.to_str().unwrap()] {
        assert_writes(
            &[
                "--config",
                file,
                "--filter",
                "/etc/envoy/lambda_filter.wasm",
            ],
            "envoy.yaml",
        );
    }
}

#[test]
fn an_lrp_yaml_gives_the_expected_output() {
    assert_writes(
        &[
            "--lrp",
            "lrp.yaml",
            "--filter",
            "/etc/envoy/lambda_filter.wasm",
        ],
        "envoy-lrp.yaml",
    );
}

#[test]
fn addresses_and_the_health_prefix_are_options() {
    let (_, stdout, _) = run(&[
        "--config",
        "invoker.yaml",
        "--filter",
        "f.wasm",
        "--invoker",
        "invoker:9090",
        "--listen",
        "[::]:80",
        "--admin",
        "[::1]:9902",
        "--health-prefix",
        "/internal",
    ]);
    for line in [
        "  address: { socket_address: { address: \"::1\", port_value: 9902 } }",
        "    address: { socket_address: { address: \"::\", ipv4_compat: true, port_value: 80 } }",
        "        - endpoint: { address: { socket_address: { address: invoker, port_value: 9090 } } }",
        "    type: STRICT_DNS",
        "                code: { local: { filename: f.wasm } }",
    ] {
        assert!(stdout.lines().any(|found| found == line), "{line}");
    }
    assert!(stdout.contains("path: /internal/healthz"), "{stdout}");
}

#[test]
fn no_output_file_is_written_if_the_check_fails() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("envoy.yaml");
    let output = output.to_str().unwrap();
    let lrp = [
        "--lrp", "lrp.yaml", "--filter", "f.wasm", "--output", output,
    ];
    let (code, _, stderr) = run(&[&lrp[..], &["--check"]].concat());
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        "there is no `envoy` on PATH; install Envoy 1.36 or newer, or name one with --envoy PATH\n"
    );
    assert!(!folder.path().join("envoy.yaml").exists());
    assert_eq!(run(&lrp), (Some(0), String::new(), String::new()));
    let stdout = std::fs::read_to_string(output).unwrap();
    assert_eq!(run(&lrp[..4]).1, stdout);
}

#[test]
fn each_problem_is_reported_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoker.yaml");
    let file = file.to_str().unwrap();
    let config = |text: &str| std::fs::write(file, text).unwrap();

    let (code, _, stderr) = run(&["--lrp", "lrp.yaml"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        "the filter, lambda_filter.wasm, is not beside this program; name it with --filter PATH or \
         the variable LAMBDA_MESH_FILTER\n"
    );
    let (code, _, stderr) = run(&["--lrp", "none.yaml", "--filter", "f.wasm"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        stderr,
        "none.yaml: there is no such file; name one as the argument\n"
    );

    config("functions: { f: { rie: http://f } }\n");
    let (code, _, stderr) = run(&["--config", file, "--filter", "f.wasm"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains(&format!("{file}: has no `routes`; add one such as")),
        "{stderr}"
    );

    config("listen: 127.0.0.1:0\nfunctions: { f: { rie: http://f } }\nroutes: [{ function: f }]\n");
    let (code, _, stderr) = run(&["--config", file, "--filter", "f.wasm"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("say with --invoker where it listens"),
        "{stderr}"
    );

    config(
        "functions: { f: { rie: http://f } }
routes:
- { path: /ping, function: f }
- { host: a.test, path: /ping, function: f }
- { path: /healthz, method: POST, function: f }
- { path: /healthz, method: HEAD, function: f }
",
    );
    let arguments = ["--config", file, "--filter", "f.wasm"];
    let (code, _, stderr) = run(&arguments);
    let cure = "give the route a `host`, or Envoy's own paths a prefix with --health-prefix";
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        format!(
            "invoker.yaml: routes: Envoy itself answers /ping; {cure}\n\
             invoker.yaml: routes: Envoy itself answers /healthz; {cure}\n"
        )
    );
    let moved = [&arguments[..], &["--health-prefix", "/internal"]].concat();
    assert_eq!(run(&moved).0, Some(0));
}
