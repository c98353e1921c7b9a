//! Tests of the keys of local functions.

use std::path::Path;

use crate::config::{BackendConfig, Config, IsolationMode, LocalConfig};

fn parse(folder: &Path, keys: &str) -> Result<LocalConfig, String> {
    let text = format!("functions: {{ f: {{ local: {{ {keys} }} }} }}");
    let config = Config::parse("invoker.yaml", &text, folder);
    let config = config.map_err(|error| error.to_string())?;
    match config.functions.into_values().next().unwrap().backend {
        BackendConfig::Local(local) => Ok(local),
        _ => panic!("not local"),
    }
}

#[test]
fn environments_have_what_aws_gives_them_unless_the_file_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let layer = folder.path().join("layer");
    std::fs::create_dir(&layer).unwrap();
    let local = parse(folder.path(), "command: [a]").unwrap();
    assert_eq!(local.ephemeral_storage_mib, 512);
    assert!(!local.read_only && local.layers.is_empty());
    assert_eq!(local.isolation, IsolationMode::Auto);
    let keys = "command: [a], ephemeral_storage: 10240, read_only: true, isolation: none, \
        layers: [layer, ./layer/../layer]";
    let local = parse(folder.path(), keys).unwrap();
    assert_eq!(local.ephemeral_storage_mib, 10_240);
    assert!(local.read_only);
    assert_eq!(local.layers, [layer.clone(), layer.clone()]);
    assert_eq!(local.isolation, IsolationMode::None);

    // A layer may have the function's program.
    std::fs::write(layer.join("bootstrap"), "").unwrap();
    let local = parse(folder.path(), "layers: [layer]").unwrap();
    assert_eq!(local.program, "/opt/bootstrap");
}

#[test]
fn wrong_values_of_the_isolation_keys_are_reported() {
    let mistakes = [
        (
            "ephemeral_storage: 511",
            "ephemeral_storage: expected a number of MiB from 512 to 10240, found \"511\"",
        ),
        (
            "read_only: often",
            "read_only: expected true or false, found \"often\"",
        ),
        (
            "isolation: full",
            "isolation: expected auto or none, found \"full\"",
        ),
        (
            "layers: [absent]",
            "layers[0]: there is no directory /absent; it is relative to this file's own",
        ),
        (
            "directory: /opt, layers: [/usr]",
            "layers: the layers are all that the function sees in /opt, but its `directory` is there; move that",
        ),
        (
            "layers: [/, /, /, /, /, /]",
            "layers: a function has at most 5 layers",
        ),
    ];
    for (keys, expected) in mistakes {
        let found = parse(Path::new("/"), &format!("command: [a], {keys}")).unwrap_err();
        let expected = format!("invoker.yaml:1: functions.f.local.{expected}");
        assert_eq!(found, expected);
    }
}

#[test]
fn a_directory_has_no_dots_in_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["x", "s"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    let local = parse(&path("s"), "command: [a], directory: ../x").unwrap();
    assert_eq!(local.directory, path("x"));
    let local = parse(&path("s/../x"), "command: [a]").unwrap();
    assert_eq!(local.directory, path("x"));
}

#[test]
fn variables_of_files_stand_below_those_of_env() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "# a comment\nA=1\nB='two words'\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("more.env"), "A=2\nC=3\n").unwrap();
    let parse = |keys: &str| parse(folder.path(), &format!("command: [x], {keys}"));
    let local = parse("env_file: [.env, more.env], env: { C: own }").unwrap();
    let env: Vec<_> = local
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["A=2", "B=two words", "C=own"]);
    let missing = parse("env_file: none.env").unwrap_err();
    assert!(missing.contains("none.env cannot be read"), "{missing}");
    std::fs::write(folder.path().join(".env"), "AWS_LAMBDA_RUNTIME_API=x\n").unwrap();
    let reserved = parse("env_file: .env").unwrap_err();
    assert!(
        reserved.contains("AWS_LAMBDA_RUNTIME_API is set by the invoker"),
        "{reserved}"
    );
}

#[test]
fn functions_share_keys_by_a_merge_key() {
    let text = "x-shared: &shared { command: [x], timeout: 7s }\n\
                functions: { f: { local: { <<: *shared, timeout: 8s } } }";
    let config = Config::parse("invoker.yaml", text, "/".as_ref()).unwrap();
    let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
        panic!("not local");
    };
    assert_eq!((local.program.as_str(), local.timeout.as_secs()), ("x", 8));
}
