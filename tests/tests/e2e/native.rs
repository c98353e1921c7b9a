//! The differences of the native module from the proxy-wasm module: the place of its keys, the effect of a panic,
//! and the Envoys that it refuses. Everything else is the same, and `cargo xtask test` runs the other
//! end-to-end tests with both.

use std::fs;

use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::mesh::{Mesh, metadata, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::{Value, json};

/// Returns whether there is a native module for this system.
fn is_available(test: &str) -> bool {
    let is_linux = cfg!(target_os = "linux");
    if !is_linux {
        xtask::test::skip(test, "the native module is made for Linux");
    }
    is_linux
}

#[test]
fn a_panic_ends_its_request_and_nothing_else() {
    if !is_available("a panic in the native module") {
        return;
    }
    let module = xtask::native::build_with_panics();
    let module = module.unwrap_or_else(|error| panic!("{error:#}"));
    let upstream = Upstream::responding(json!({ "statusCode": 201 }));
    let mesh = Mesh::to(&upstream).module(module).start();
    let callbacks = [
        "RequestHeaders",
        "RequestBody",
        "ResponseHeaders",
        "ResponseBody",
    ];
    for callback in callbacks {
        let request = mesh.post("/", "a body").header("x-panic", callback);
        let response = request.send();
        assert_eq!(response.status, 500, "{callback}");
        assert_eq!(
            response.json(),
            json!({ "message": "Internal Server Error" })
        );
        assert_eq!(
            mesh.post("/", "a body").send().status,
            201,
            "after {callback}"
        );
    }
    let response = mesh.post("/", "a body").header("x-panic", "End").send();
    assert_eq!(response.status, 201);
    assert_eq!(mesh.post("/", "a body").send().status, 201, "after the end");
    mesh.log_with("the filter has panicked");
}

#[test]
fn keys_where_the_module_cannot_read_them_are_refused() {
    if !is_available("the configuration of the native module") {
        return;
    }
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let lambda = json!({ "function": "probe" });
    // The harness moves the keys of the levels that users write; these come afterwards.
    let in_route = route(&json!({ "prefix": "/route" }), &json!({}));
    let mesh = Mesh::to(&upstream).native().routes(&[in_route]);
    let mesh = mesh
        .plugin(&lambda)
        .edit_last(|config| {
            let routes = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                          /route_config/virtual_hosts/0/routes/0";
            let route = config.pointer_mut(routes).expect("the route");
            route["metadata"] = metadata(&json!({ "stage": "prod" }));
        })
        .start();
    assert_eq!(mesh.get("/route").send().status, 500);
    mesh.log_with("put them into its `typed_per_filter_config`");

    let cluster = Mesh::to(&upstream).native().edit_last(|config| {
        config["static_resources"]["clusters"][0]["metadata"] =
            metadata(&json!({ "stage": "prod" }));
    });
    let mesh = cluster.start();
    assert_eq!(mesh.get("/").send().status, 500);
    mesh.log_with("put them into the filter's `filter_config`");
    assert_eq!(upstream.calls().len(), 0);
}

#[test]
fn the_keys_may_be_json_in_a_string() {
    if !is_available("JSON as the configuration of the native module") {
        return;
    }
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).native().edit_last(|config| {
        let filters = "/static_resources/clusters/0/typed_extension_protocol_options\
                       /envoy.extensions.upstreams.http.v3.HttpProtocolOptions/http_filters/0";
        let filter = config.pointer_mut(filters).expect("the filter");
        filter["typed_config"]["filter_config"] = json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": r#"{ "bodyless_event": "body", "stage": "test" }"#,
        });
    });
    assert_eq!(mesh.start().get("/").send().status, 200);
    assert_eq!(upstream.call().event()["requestContext"]["stage"], "test");
}

#[test]
fn a_mistake_keeps_envoy_from_starting() {
    if !is_available("a mistake in the configuration of the native module") {
        return;
    }
    let mistake = json!({ "functoin": "probe" });
    let route = route(&json!({ "prefix": "/" }), &mistake);
    let refused = Mesh::to(free_address())
        .native()
        .routes(&[route])
        .try_start();
    let error = refused.expect_err("a mistake in a route").to_string();
    assert!(
        error.contains("a route's configuration is wrong: `functoin`"),
        "{error}"
    );
    let refused = Mesh::to(free_address())
        .native()
        .plugin(&mistake)
        .try_start();
    let error = refused.expect_err("a mistake in the filter").to_string();
    assert!(
        error.contains("the filter's configuration is wrong: `functoin`"),
        "{error}"
    );
}

#[test]
fn an_older_envoy_refuses_the_module_and_the_log_says_which_fit() {
    if !is_available("an older Envoy with the native module") {
        return;
    }
    let old = Mesh::to(free_address())
        .native()
        .envoy(xtask::envoy::OLDEST);
    // This Envoy finds a module by its name alone.
    let folder = xtask::native::build().unwrap_or_else(|error| panic!("{error:#}"));
    let folder = folder
        .parent()
        .and_then(|folder| folder.to_str())
        .expect("a folder in UTF-8");
    let old = old.edit_last(by_name);
    let old = old.environment(
        "ENVOY_DYNAMIC_MODULES_SEARCH_PATH",
        String::leak(folder.to_owned()),
    );
    let error = old.try_start().expect_err("an older Envoy").to_string();
    assert!(error.contains("needs Envoy 1.40 or newer"), "{error}");
    assert!(error.contains("use lambda_filter.wasm"), "{error}");
}

/// The message does not say why, so docs/errors.md does.
#[test]
fn a_module_for_another_architecture_is_refused() {
    if !is_available("a module for another architecture") {
        return;
    }
    // The place of the architecture in a file of ELF, and the numbers of the two that there are modules for.
    const PLACE: usize = 18;
    const X86_64: u8 = 62;
    const AARCH64: u8 = 183;
    let built = xtask::native::build().unwrap_or_else(|error| panic!("{error:#}"));
    let mut module = fs::read(built).expect("the module");
    module[PLACE] = if module[PLACE] == X86_64 {
        AARCH64
    } else {
        X86_64
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("liblambda_filter.so");
    fs::write(&path, module).expect("a file in a temporary folder");
    let mesh = Mesh::to(free_address()).module(&path);
    let error = mesh
        .try_start()
        .expect_err("another architecture")
        .to_string();
    let expected = format!("{}: cannot open shared object file", path.display());
    assert!(error.contains(&expected), "{error}");
}

/// Names modules instead of giving their files.
fn by_name(config: &mut Value) {
    match config {
        Value::Object(members) => {
            if let Some(module) = members.get_mut("dynamic_module_config") {
                *module = json!({ "name": "lambda_filter" });
            }
            members.values_mut().for_each(by_name);
        }
        Value::Array(items) => items.iter_mut().for_each(by_name),
        _ => {}
    }
}
