//! The shipped Kubernetes resources: each against the schema of its kind, and the gateway's Envoy with
//! traffic.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::kubernetes::SECRET;
use lambda_mesh_tests::kubernetes::{documents, files};
use lambda_mesh_tests::mesh::Mesh;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::workspace_root;

use crate::service::probe;

/// The folders for `kubectl apply -k`.
const KUSTOMIZATIONS: [&str; 4] = ["kubernetes", "kubernetes/invoker", "istio", "envoy-gateway"];

/// Runs `fixtures/schemas/check.py`. Returns whether all `files` are right, and its output.
fn check(files: &[PathBuf]) -> (bool, String) {
    let mut python = xtask::python::with_kubernetes_schemas().expect("the schemas");
    let script = workspace_root().join("tests/fixtures/schemas/check.py");
    let output = python
        .arg(script)
        .args(files)
        .output()
        .expect("Python runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let printed = String::from_utf8(output.stdout).expect("text");
    (output.status.success(), printed)
}

fn is_resource(path: &Path) -> bool {
    let is = |key: &str| {
        documents(path)
            .iter()
            .all(|document| document[key].is_string())
    };
    is("apiVersion") && !path.ends_with("kustomization.yaml")
}

#[test]
fn each_resource_fits_its_schema() {
    let all = ["kubernetes", "istio", "envoy-gateway"]
        .into_iter()
        .flat_map(files);
    let resources: Vec<_> = all.filter(|path| is_resource(path)).collect();
    let count: usize = resources.iter().map(|path| documents(path).len()).sum();
    assert_eq!(check(&resources), (true, format!("{count} resources\n")));
}

#[test]
fn a_mistake_in_a_resource_is_found() {
    let folder = TempDir::new().expect("a temporary folder");
    let mistakes = [
        ("kubernetes/scaling.yaml", "maxReplicas", "maxReplica"),
        (
            "kubernetes/deployment.yaml",
            "readOnlyRootFilesystem",
            "readonlyRootFilesystem",
        ),
        ("istio/filter.yaml", "operation: MERGE", "operation: MERG"),
        ("istio/functions.yaml", "retryOn", "retriesOn"),
        ("envoy-gateway/gateway.yaml", "bufferLimit", "bufferLimits"),
        ("envoy-gateway/filter.yaml", "jsonPatches", "patches"),
    ];
    for (name, right, wrong) in mistakes {
        let text = fs::read_to_string(workspace_root().join("envoy").join(name));
        let path = folder.path().join("wrong.yaml");
        fs::write(&path, text.expect(name).replace(right, wrong)).expect("a file");
        let (success, printed) = check(&[path]);
        assert!(!success, "{name}: {printed}");
        let word = wrong.trim_start_matches("operation: ");
        assert!(printed.contains(word), "{name}: {printed}");
    }
}

/// Finds forgotten files without kubectl.
#[test]
fn each_kustomization_lists_the_files_of_its_folder() {
    for name in KUSTOMIZATIONS {
        let folder = workspace_root().join("envoy").join(name);
        let [kustomization] = &documents(&folder.join("kustomization.yaml"))[..] else {
            panic!("{name}: one document");
        };
        let list = |key: &str| kustomization[key].as_array().cloned().unwrap_or_default();
        let generated = list("configMapGenerator").into_iter();
        let generated =
            generated.flat_map(|map| map["files"].as_array().cloned().unwrap_or_default());
        let listed: Vec<_> = list("resources").into_iter().chain(generated).collect();
        for file in &listed {
            let file = file.as_str().expect("a name");
            assert!(folder.join(file).exists(), "{name} lists {file}");
        }
        for entry in fs::read_dir(&folder).expect("the folder") {
            let file = entry.expect("an entry").file_name();
            let file = file.to_str().expect("a name in UTF-8");
            let own = file.ends_with(".yaml") && file != "kustomization.yaml";
            assert!(
                !own || listed.contains(&json!(file)),
                "{name} does not list {file}"
            );
        }
    }
}

#[test]
fn kubectl_builds_each_kustomization_to_valid_resources() {
    let name = "kubectl_builds_each_kustomization_to_valid_resources";
    if Command::new("kubectl").arg("help").output().is_err() {
        xtask::skip(name, "no kubectl on PATH");
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let mut built = Vec::new();
    for (number, kustomization) in KUSTOMIZATIONS.into_iter().enumerate() {
        let output = Command::new("kubectl")
            .current_dir(workspace_root().join("envoy"))
            .args(["kustomize", kustomization])
            .output()
            .expect("kubectl runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kustomization}: {error}");
        let path = folder.path().join(format!("{number}.yaml"));
        fs::write(&path, output.stdout).expect("a file in a temporary folder");
        built.push(path);
    }
    let (success, printed) = check(&built);
    assert!(success, "{printed}");

    // The pod mounts the generated configuration.
    let gateway = documents(&built[0]);
    let named = |kind: &str| -> Vec<Value> {
        let own = gateway.iter().filter(|resource| resource["kind"] == kind);
        own.map(|resource| resource["metadata"]["name"].clone())
            .collect()
    };
    let deployment = gateway
        .iter()
        .find(|resource| resource["kind"] == "Deployment");
    let volumes = &deployment.expect("a deployment")["spec"]["template"]["spec"]["volumes"];
    for number in [0, 1] {
        let mounted = &volumes[number]["configMap"]["name"];
        assert!(named("ConfigMap").contains(mounted), "{mounted}");
    }
}

/// Writes a copy of a shipped `invoker.yaml` to `folder`, in which the operator's Secret is mounted, and
/// returns its path.
fn with_secrets(name: &str, folder: &Path) -> PathBuf {
    for key in ["current", "next"] {
        fs::write(folder.join(key), SECRET).expect("a file in a temporary folder");
    }
    let shipped = workspace_root().join("envoy").join(name);
    let text = fs::read_to_string(shipped).expect("the file");
    let text = text.replace("/run/secrets/filter", &folder.display().to_string());
    let path = folder.join("invoker.yaml");
    fs::write(&path, text).expect("a file in a temporary folder");
    path
}

#[test]
fn the_invoker_accepts_its_configurations() {
    let invoker = xtask::build::invoker().expect("the invoker");
    let folder = TempDir::new().expect("a temporary folder");
    for name in ["kubernetes/invoker.yaml", "kubernetes/invoker/invoker.yaml"] {
        let output = Command::new(&invoker)
            .args([Path::new("check"), Path::new("--config")])
            .arg(with_secrets(name, folder.path()))
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")])
            .output()
            .expect("the invoker runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {error}");
    }
}

/// The two containers of the pod are Envoy and the invoker, connected by a Unix socket.
#[test]
fn the_gateway_serves_functions_and_the_probes() {
    let functions = json!({ "orders": { "local": { "command": [probe()], "timeout": "30s" } } });
    let invoker = Invoker::start_on_unix_socket(&functions);
    let (status, admin) = (free_address(), free_address());
    let mesh = Mesh::shipped("kubernetes/envoy.yaml", &invoker)
        .edit(|config| {
            // IPv6 and IPv4.
            let port = "/static_resources/listeners/1/address/socket_address/port_value";
            *config.at(port) = json!(status.port());
            config.set_address("admin", admin);
        })
        .admin(admin)
        .start();
    let response = mesh.get("/list?page=2").host("orders.example.com").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["rawPath"], "/list");
    let probe = |path: &str| Request::new(status, "GET", path).send();
    assert_eq!(probe("/live").status, 200);
    assert_eq!(
        (probe("/ready").status, probe("/ready").text()),
        (200, "LIVE\n")
    );
    let metrics = probe("/stats/prometheus");
    assert!(
        metrics.text().contains("envoy_cluster_upstream_rq"),
        "{metrics:?}"
    );
    // Nothing else of the admin interface is reachable.
    assert_eq!(probe("/config_dump").status, 404);
    assert_eq!(
        Request::new(status, "POST", "/quitquitquit").send().status,
        404
    );
}

/// Returns the documents of `envoy/NAME`.
fn shipped(name: &str) -> Vec<Value> {
    documents(&workspace_root().join("envoy").join(name))
}

/// Several folders use the namespace. `kubectl delete -k` of one must not remove it under the others.
#[test]
fn no_folder_owns_the_namespace_that_folders_share() {
    let all = ["kubernetes", "istio", "envoy-gateway"];
    let resources = all.into_iter().flat_map(files);
    for path in resources {
        let mut kinds = documents(&path).into_iter();
        assert!(
            kinds.all(|resource| resource["kind"] != "Namespace"),
            "{path:?}"
        );
    }
}

#[test]
fn monitoring_reaches_the_invokers_metrics_with_and_without_a_sidecar() {
    let deployment = shipped("kubernetes/invoker/deployment.yaml");
    let kind = |name: &str| deployment.iter().find(|resource| resource["kind"] == name);
    let template = &kind("Deployment").expect("a deployment")["spec"]["template"];
    let ports = template["spec"]["containers"][0]["ports"]
        .as_array()
        .expect("ports");
    let admin = ports
        .iter()
        .find(|port| port["name"] == "admin")
        .expect("admin");
    let annotations = &template["metadata"]["annotations"];
    let port = admin["containerPort"].to_string();
    assert_eq!(annotations["prometheus.io/port"], port);
    assert_eq!(annotations["prometheus.io/path"], "/metrics");
    let config = fs::read_to_string(workspace_root().join("envoy/kubernetes/invoker/invoker.yaml"));
    assert!(config.expect("the file").contains(&format!(":{port}\"")));
    let [policy] = &shipped("kubernetes/invoker/network-policy.yaml")[..] else {
        panic!("one document");
    };
    // 15020 is that of Istio's agent, which merges the metrics.
    let allowed = json!([{ "port": "admin" }, { "port": 15020 }]);
    assert_eq!(policy["spec"]["ingress"][1]["ports"], allowed);
}

/// In an IPv6-only cluster a pod has no other address.
#[test]
fn the_invoker_listens_on_ipv6_and_ipv4() {
    let name = "the_invoker_listens_on_ipv6_and_ipv4";
    if TcpListener::bind("[::1]:0").is_err() {
        xtask::skip(name, "no IPv6 on this machine");
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = with_secrets("kubernetes/invoker/invoker.yaml", folder.path());
    let mut text = fs::read_to_string(&path).expect("the file");
    let (invoke, admin) = (free_address().port(), free_address().port());
    for (port, free) in [(":9090\"", invoke), (":9091\"", admin)] {
        assert_eq!(text.matches(port).count(), 1, "{text}");
        text = text.replace(port, &format!(":{free}\""));
    }
    fs::write(&path, text).expect("a file in a temporary folder");
    let mut command = Command::new(xtask::build::invoker().expect("the invoker"));
    command
        .args([Path::new("serve"), Path::new("--config"), &path])
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")])
        .stderr(Stdio::null());
    let mut invoker = command.spawn().expect("the invoker runs");
    let answered = eventually("both families answer", || {
        if let Ok(Some(status)) = invoker.try_wait() {
            return Some(Err(status));
        }
        let addresses = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, admin)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, admin)),
        ];
        let is_up = |address: &SocketAddr| {
            let answer = Request::new(*address, "GET", "/healthz").try_send();
            answer.is_ok_and(|answer| answer.status == 200)
        };
        addresses.iter().all(is_up).then_some(Ok(()))
    });
    // It has ended already if it failed.
    let _ = invoker.kill();
    invoker.wait().expect("the end of the invoker");
    assert_eq!(answered, Ok(()));
}

/// The component is an option of `istio/kustomization.yaml`.
#[test]
fn an_option_limits_the_filter_to_pods_with_a_label() {
    let name = "an_option_limits_the_filter_to_pods_with_a_label";
    if Command::new("kubectl").arg("help").output().is_err() {
        xtask::skip(name, "no kubectl on PATH");
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let up = "../".repeat(folder.path().components().count() - 1);
    let istio = workspace_root().join("envoy/istio");
    let istio = format!(
        "{up}{}",
        istio.strip_prefix("/").expect("an absolute path").display()
    );
    let text = format!("resources: [{istio}]\ncomponents: [{istio}/callers]\n");
    fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder.path())
        .output();
    let output = output.expect("kubectl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let built = folder.path().join("built.yaml");
    fs::write(&built, output.stdout).expect("a file");
    let (success, printed) = check(std::slice::from_ref(&built));
    assert!(success, "{printed}");
    let filters = documents(&built).into_iter();
    let filters = filters.filter(|resource| resource["kind"] == "EnvoyFilter");
    for filter in filters.filter(|filter| filter["metadata"]["name"] != "invoker") {
        let labels = &filter["spec"]["workloadSelector"]["labels"];
        assert_eq!(*labels, json!({ "lambda-mesh/caller": "true" }), "{filter}");
    }
}
