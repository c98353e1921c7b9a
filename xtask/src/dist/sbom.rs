//! Software bills of materials in the form of [CycloneDX] 1.6.
//!
//! They are written here, from the output of cargo: the tools for it are published as source only, and
//! take longer to build than the release. A bill has no time and no serial number, so that the same
//! source makes the same bytes.
//!
//! [CycloneDX]: https://cyclonedx.org/docs/1.6/json/

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::files::{set, sha256};
use crate::build::cargo;
use crate::{run, workspace_root};

/// A program of the release.
pub(super) struct Program {
    /// The package of the program in this workspace.
    pub(super) package: &'static str,
    /// The target triple; `None` for this machine.
    pub(super) target: Option<&'static str>,
}

/// The name and the version of a package.
type Name = (String, String);

impl Program {
    /// Returns the bill of materials of the program whose file has the content `bytes`.
    ///
    /// Every crate that cargo compiles for the program is a component. A crate that only runs during the
    /// build has the scope `excluded`.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let built = self.tree("normal,build")?;
        let shipped = self.tree("normal,no-proc-macro")?;
        let metadata = self.metadata()?;
        let checksums = checksums()?;
        let packages: BTreeMap<&str, Name> = array(&metadata, "/packages")
            .filter_map(|package| Some((package.get("id")?.as_str()?, name(package)?)))
            .filter(|(_, name)| built.contains(name))
            .collect();

        let mut root = Value::Null;
        let mut components = BTreeMap::new();
        for package in array(&metadata, "/packages") {
            let Some(name) = name(package).filter(|name| built.contains(name)) else {
                continue;
            };
            let mut component = component(package, &name);
            if name.0 == self.package {
                set(&mut component, "type", json!("application"));
                set(&mut component, "hashes", hashes(&sha256(bytes)));
                root = component;
                continue;
            }
            let scope = if shipped.contains(&name) {
                "required"
            } else {
                "excluded"
            };
            set(&mut component, "scope", json!(scope));
            if let Some(checksum) = checksums.get(&name) {
                set(&mut component, "hashes", hashes(checksum));
            }
            components.insert(name, component);
        }
        let mut dependencies = BTreeMap::new();
        for node in array(&metadata, "/resolve/nodes") {
            let Some(name) = node
                .get("id")
                .and_then(Value::as_str)
                .and_then(|id| packages.get(id))
            else {
                continue;
            };
            let needs: BTreeSet<String> = array(node, "/deps")
                .filter(|needed| {
                    array(needed, "/dep_kinds").any(|kind| kind.get("kind") != Some(&json!("dev")))
                })
                .filter_map(|needed| packages.get(needed.get("pkg")?.as_str()?))
                .map(purl)
                .collect();
            dependencies.insert(name, json!({ "ref": purl(name), "dependsOn": needs }));
        }
        let mut bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": root },
            "components": components.into_values().collect::<Vec<_>>(),
            "dependencies": dependencies.into_values().collect::<Vec<_>>(),
        });
        bill.sort_all_objects();
        let mut text = serde_json::to_string_pretty(&bill)?;
        text.push('\n');
        Ok(text.into_bytes())
    }

    /// Returns the packages that cargo compiles for dependencies of these kinds, with the features that
    /// this program alone needs.
    fn tree(&self, edges: &str) -> Result<BTreeSet<Name>> {
        let mut command = cargo();
        command.args([
            "tree",
            "--locked",
            "--prefix=none",
            "--no-dedupe",
            "--format={p}",
        ]);
        command.args(["--package", self.package, "--edges", edges]);
        if let Some(target) = self.target {
            command.args(["--target", target]);
        }
        let text = run::captured(&mut command).context("`cargo tree` failed")?;
        // A line is `NAME vVERSION`, and may have a note such as `(proc-macro)`.
        let packages = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
        });
        Ok(packages.collect())
    }

    /// Returns the output of `cargo metadata`: licences, and which package needs which.
    fn metadata(&self) -> Result<Value> {
        let mut command = cargo();
        command.args(["metadata", "--locked", "--format-version=1"]);
        if let Some(target) = self.target {
            command.args(["--filter-platform", target]);
        }
        let text = run::captured(&mut command).context("`cargo metadata` failed")?;
        serde_json::from_str(&text).context("`cargo metadata` did not print JSON")
    }
}

/// Returns the SHA-256 of each package of a registry, as pinned in `Cargo.lock`.
fn checksums() -> Result<BTreeMap<Name, String>> {
    let file = workspace_root().join("Cargo.lock");
    let text = fs::read_to_string(file).context("cannot read Cargo.lock")?;
    let lock: toml::Table = text.parse().context("Cargo.lock is not valid TOML")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let checksums = packages.into_iter().flatten().filter_map(|package| {
        let field = |key| Some(package.get(key)?.as_str()?.to_owned());
        Some(((field("name")?, field("version")?), field("checksum")?))
    });
    Ok(checksums.collect())
}

fn component(package: &Value, name: &Name) -> Value {
    let mut component = json!({
        "bom-ref": purl(name),
        "name": name.0,
        "purl": purl(name),
        "type": "library",
        "version": name.1,
    });
    let text = |key| package.get(key).and_then(Value::as_str);
    if let Some(license) = text("license") {
        // Old packages separate alternatives by a slash, which is not SPDX.
        let expression = license
            .split('/')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" OR ");
        set(
            &mut component,
            "licenses",
            json!([{ "expression": expression }]),
        );
    }
    if let Some(description) = text("description") {
        set(&mut component, "description", json!(description.trim()));
    }
    if let Some(repository) = text("repository") {
        set(
            &mut component,
            "externalReferences",
            json!([{ "type": "vcs", "url": repository }]),
        );
    }
    component
}

fn name(package: &Value) -> Option<Name> {
    let field = |key| Some(package.get(key)?.as_str()?.to_owned());
    Some((field("name")?, field("version")?))
}

/// Returns the package URL, <https://github.com/package-url/purl-spec>.
fn purl((name, version): &Name) -> String {
    // `+` is the only character of a version that a package URL must encode.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
