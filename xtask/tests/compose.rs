//! Checks docker-compose.yaml, the Dockerfile and the workflows without running them. `cargo xtask
//! test-compose` runs them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use xtask::schema::Schema;
use xtask::{compose, workspace_root};

fn text(file: impl AsRef<Path>) -> String {
    fs::read_to_string(workspace_root().join(file)).unwrap()
}

fn yaml(file: impl AsRef<Path>) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap()
}

fn services() -> Map<String, Value> {
    compose::compose_file().unwrap()["services"]
        .as_object()
        .unwrap()
        .clone()
}

fn strings(array: &Value) -> BTreeSet<&str> {
    array
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn the_compose_files_the_workflows_and_renovates_settings_fit_their_schemas() {
    for file in compose::files() {
        let checked = Schema::Compose.check(&yaml(file));
        checked.unwrap_or_else(|error| panic!("{file}: {error:#}"));
    }
    let renovate = yaml(".github/renovate.json");
    Schema::Renovate.check(&renovate).unwrap();
    let folder = workspace_root().join(".github/workflows");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let checked = Schema::Workflow.check(&yaml(&file));
        checked.unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
    }
}

#[test]
fn test_compose_runs_the_compose_file_of_each_example() {
    let known: Vec<_> = compose::files().collect();
    for example in fs::read_dir(workspace_root().join("examples")).unwrap() {
        let folder = example.unwrap().path();
        for name in ["compose.yaml", "docker-compose.yaml"] {
            let file = folder.join(name);
            let path = file.strip_prefix(workspace_root()).unwrap();
            let is_known = known.iter().any(|known| Path::new(known) == path);
            assert_eq!(is_known, file.is_file(), "{}", path.display());
        }
    }
}

/// The owner of an action can move its tags. Without a pin, the owner could publish in this project's
/// name.
#[test]
fn actions_are_pinned_to_a_commit_with_a_comment_that_has_the_version() {
    let folder = workspace_root().join(".github/workflows");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let content = text(&file);
        let actions = content.lines().filter_map(|line| line.split_once("uses: "));
        for (_, action) in actions.filter(|(_, action)| !action.starts_with("./")) {
            let (commit, version) = action
                .split_once('@')
                .and_then(|(_, pin)| pin.split_once(" # v"))
                .unwrap_or_else(|| panic!("{}: {action}", file.display()));
            let is_commit =
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                is_commit && version.contains('.'),
                "{}: {action}",
                file.display()
            );
        }
    }
}

#[test]
fn a_document_that_does_not_fit_its_schema_is_refused_with_the_place() {
    let mut file = compose::compose_file().unwrap();
    file["services"]["envoy"]["portz"] = file["services"]["envoy"]["ports"].take();
    let error = Schema::Compose.check(&file).unwrap_err().to_string();
    assert!(
        error.contains("$.services.envoy") && error.contains("portz"),
        "{error}"
    );
}

#[test]
fn the_images_have_existing_stages_and_do_not_run_as_root() {
    let dockerfile = text("Dockerfile");
    let mut stages = BTreeSet::new();
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["FROM", base, "AS", stage] => {
                let is_known = base == "scratch" || stages.contains(base);
                assert!(is_known || base.contains(':'), "{line}: no tag");
                stages.insert(stage);
            }
            ["COPY", ".", "."] => {}
            ["COPY", from, ..] => {
                let stage = from.strip_prefix("--from=").unwrap();
                assert!(stages.contains(stage), "{line}: no such stage");
            }
            _ => {}
        }
    }
    let envoy = format!("FROM envoyproxy/envoy:v{} AS envoy", xtask::envoy::NEWEST);
    assert!(
        dockerfile.contains(&envoy),
        "the image and the tests have different versions of Envoy"
    );
    for service in services().values() {
        let Some(build) = service.get("build") else {
            assert!(
                service["image"].as_str().unwrap().contains(':'),
                "{service}: no tag"
            );
            assert_ne!(service["user"], Value::Null, "{service} has no user");
            continue;
        };
        let target = build["target"].as_str().unwrap();
        assert!(stages.contains(target), "{target}: no such stage");
        let stage = dockerfile.split("\nFROM ").find(|stage| {
            stage
                .lines()
                .next()
                .unwrap()
                .ends_with(&format!(" AS {target}"))
        });
        let stage = stage.unwrap();
        assert!(
            stage.contains("\nHEALTHCHECK "),
            "{target} has no health check"
        );
        assert!(
            stage.contains(":nonroot AS ") || stage.contains("\nUSER 101:101\n"),
            "{target} runs as root"
        );
    }
}

#[test]
fn what_dist_needs_is_in_the_build_context() {
    let ignored = text(".dockerignore");
    let included: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for path in &included {
        assert!(
            workspace_root().join(path).exists(),
            ".dockerignore: {path} does not exist"
        );
    }
    // The archive has the licence in it.
    for file in ["Cargo.lock", "LICENSE"] {
        assert!(
            included.contains(&file),
            "{file} is not in the build context"
        );
    }
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let member = Path::new(member.as_str().unwrap());
        assert!(
            included.iter().any(|path| member.starts_with(path)),
            "{} is not in the build context",
            member.display()
        );
    }
}

#[test]
fn each_host_name_leads_to_a_container_with_its_code() {
    let services = services();
    let functions = yaml("examples/compose/invoker.yaml")["functions"].clone();
    let envoy = yaml("envoy/emulators.yaml");
    let hosts =
        envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            ["route_config"]["virtual_hosts"]
            .as_array()
            .unwrap();
    let aliases = strings(&services["envoy"]["networks"]["default"]["aliases"]);
    assert_eq!(aliases.len(), hosts.len());
    for alias in aliases {
        let host = hosts
            .iter()
            .find(|host| strings(&host["domains"]).contains(alias));
        let route = &host.unwrap_or_else(|| panic!("{alias} is not routed"))["routes"][0];
        let keys = &route["typed_per_filter_config"]["lambda"]["filter_config"]["value"];
        let function = keys["function"].as_str().unwrap();
        let emulator = functions[function]["rie"].as_str().unwrap();
        let container = emulator
            .strip_prefix("http://")
            .unwrap()
            .strip_suffix(":8080")
            .unwrap();
        let service = &services[container];
        assert_eq!(strings(&service["networks"]), BTreeSet::from(["functions"]));
        assert!(
            service.get("ports").is_none(),
            "{container} can be called past the invoker"
        );
        let code = strings(&service["volumes"])
            .iter()
            .find_map(|volume| volume.strip_suffix(":/var/task:ro"))
            .unwrap()
            .to_owned();
        let handler = service["command"][0].as_str().unwrap();
        let module = handler.split_once('.').unwrap().0;
        let code = workspace_root().join(code);
        assert!(
            ["py", "mjs"]
                .iter()
                .any(|kind| code.join(module).with_extension(kind).is_file()),
            "{container}: no {handler} in {}",
            code.display()
        );
    }
    for service in ["envoy", "invoker"] {
        for volume in strings(&services[service]["volumes"]) {
            let file = volume.split(':').next().unwrap();
            if volume == "run:/run/lambda-mesh" {
                continue;
            }
            assert!(
                workspace_root().join(file).is_file(),
                "{service}: no {file}"
            );
        }
    }
}
