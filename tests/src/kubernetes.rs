//! The shipped Kubernetes resources, and the Envoy configurations that control planes make of them.
//!
//! Neither Istio's istiod nor Envoy Gateway runs here. The modules make the configuration that they would
//! send to Envoy, by documented rules, as far as the shipped resources need. An unknown field causes a
//! panic, so that none is overlooked.

pub mod envoy_gateway;
pub mod istio;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::workspace_root;

/// The secret between filter and invoker, which the operator has to set.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns every YAML file below `envoy/FOLDER`, sorted by name.
///
/// # Panics
/// There is no such folder.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&workspace_root().join("envoy").join(folder), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// Returns the documents of a YAML file.
///
/// # Panics
/// The file cannot be read, or is not YAML.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    // As the README of the folder says.
    let text = text.replace("SET-THIS", SECRET);
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Returns the resources of this kind.
fn of_kind<'a>(resources: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    resources
        .iter()
        .filter(move |resource| resource["kind"] == kind)
}

/// Returns the items of a list. A missing list has none.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns a value's text.
#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

/// Asserts that `value` has no keys other than `known`, which would be overlooked.
#[track_caller]
fn only(value: &Value, known: &[&str]) {
    for key in value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
    {
        assert!(
            known.contains(&key.as_str()),
            "unknown key {key} in {value}"
        );
    }
}
