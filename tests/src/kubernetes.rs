//! The shipped Kubernetes resources, and what the control planes that read them make of them.
//!
//! Neither Istio's istiod nor Envoy Gateway runs here. What they would send to an Envoy is made by
//! the rules that each module names, just far enough for the resources that are shipped: a field
//! that is not known here is a panic, not a field that is overlooked.

pub mod envoy_gateway;
pub mod istio;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::workspace_root;

/// Every YAML file below `envoy/FOLDER`, in the order of names.
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

/// The documents of a YAML file.
///
/// # Panics
/// It cannot be read, or is not YAML.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The resources of `kind` among `resources`.
fn of_kind<'a>(resources: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    resources
        .iter()
        .filter(move |resource| resource["kind"] == kind)
}

/// The items of a list, of which there are none if it is not there.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of a value that has to be one.
#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Panics if `value` has a key other than `known`: it would be overlooked.
#[track_caller]
fn only(value: &Value, known: &[&str]) {
    for key in value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
    {
        assert!(
            known.contains(&key.as_str()),
            "not known here: {key} in {value}"
        );
    }
}
