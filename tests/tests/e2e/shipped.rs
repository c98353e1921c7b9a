//! The shipped configuration and examples. Only addresses are changed.

use std::env;
use std::fs;

use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::Mesh;
use serde_json::{Value, json};
use xtask::workspace_root;

/// Returns the functions of `examples/invoker.yaml`, with absolute folders, and with the Python that has
/// AWS's runtime client.
fn functions() -> Value {
    let folder = workspace_root().join("examples");
    xtask::build::example("hello").expect("the example is built");
    let python = xtask::python::environment().expect("an environment for Python");
    let yaml = fs::read_to_string(folder.join("invoker.yaml")).expect("a shipped file");
    let config: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    let mut functions = config["functions"].clone();
    for function in functions.as_object_mut().expect("functions").values_mut() {
        let local = &mut function["local"];
        let directory = local["directory"].as_str().unwrap_or(".");
        local["directory"] = json!(folder.join(directory));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = [python.join("bin")]
            .into_iter()
            .chain(env::split_paths(&path));
        let path = env::join_paths(path).expect("a path without `:`");
        local["env"]["PATH"] = json!(path.to_str());
    }
    functions
}

#[test]
fn hosts_and_a_path_reach_the_example_functions() {
    let invoker = Invoker::start(&functions());
    let mesh = Mesh::shipped("local.yaml", &invoker).start();
    let cases = [
        ("hello.localhost", "/hi", "hello from Rust", "/hi"),
        ("hello.localhost:8080", "/", "hello from Rust", "/"),
        ("py.localhost", "/hi", "hello from Python", "/hi"),
        ("localhost", "/py/greet", "hello from Python", "/greet"),
    ];
    for (host, target, message, path) in cases {
        let request = mesh.post(format!("{target}?x=1"), r#"{"a":1}"#).host(host);
        let response = request.header("content-type", "application/json").send();
        assert_eq!(response.status, 201, "{host}{target}: {response:?}");
        assert_eq!(response.header("cache-control"), "no-store");
        assert_eq!(
            response.header("set-cookie"),
            "visited=yes; Path=/; HttpOnly"
        );
        let body = response.json();
        assert_eq!(body["message"], message, "{host}{target}");
        assert_eq!(body["path"], path, "{host}{target}");
        assert_eq!(body["body"], r#"{"a":1}"#, "{host}{target}");
    }
    assert_eq!(
        mesh.get("/other").host("hello.localhost").send().status,
        404
    );
    assert_eq!(mesh.get("/other").host("localhost").send().status, 404);
}
