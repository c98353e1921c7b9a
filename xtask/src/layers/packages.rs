//! The packages of the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::block::{Block, WORKSPACE};
use super::problem::Problem;
use crate::build::cargo;
use crate::run;

/// A package of the workspace.
#[derive(Debug, PartialEq)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the workspace.
    pub(super) manifest: PathBuf,
    /// The root file of the library, with the library's name.
    pub(super) library: Option<(String, PathBuf)>,
    /// The root files of all other crates.
    pub(super) programs: Vec<PathBuf>,
    /// The packages of the workspace that it needs, its tests and build script included.
    needs: Vec<String>,
}

#[cfg(test)]
impl Package {
    /// Returns a package that has a library alone.
    pub(super) fn library(name: &str, file: &str) -> Self {
        Self {
            name: name.to_owned(),
            manifest: "Cargo.toml".into(),
            library: Some((name.replace('-', "_"), file.into())),
            programs: Vec::new(),
            needs: Vec::new(),
        }
    }
}

/// Asks cargo for the packages.
///
/// # Errors
/// A manifest cannot be read.
pub(super) fn all() -> Result<Vec<Package>> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--no-deps", "--format-version=1"]);
    let text = run::captured(&mut command).context("`cargo metadata` failed")?;
    let metadata = serde_json::from_str(&text);
    let metadata = metadata.context("`cargo metadata` did not print JSON")?;
    of(&metadata).context("`cargo metadata` lacks a field")
}

fn of(metadata: &Value) -> Option<Vec<Package>> {
    let root = Path::new(metadata.get("workspace_root")?.as_str()?);
    let relative = |value: &Value, key| {
        let path = Path::new(value.get(key)?.as_str()?);
        Some(path.strip_prefix(root).unwrap_or(path).to_owned())
    };
    let packages = metadata.get("packages")?.as_array()?.iter();
    let packages = packages.map(|package| {
        let mut library = None;
        let mut programs = Vec::new();
        for target in package.get("targets")?.as_array()? {
            let file = relative(target, "src_path")?;
            let kinds = target.get("kind")?.as_array()?;
            if kinds
                .iter()
                .any(|kind| kind.as_str().is_some_and(|kind| kind.ends_with("lib")))
            {
                let name = target.get("name")?.as_str()?.replace('-', "_");
                library = Some((name, file));
            } else {
                programs.push(file);
            }
        }
        let needs = package.get("dependencies")?.as_array()?.iter();
        let needs = needs.filter(|needed| needed.get("path").is_some());
        let needs = needs.map(|needed| Some(needed.get("name")?.as_str()?.to_owned()));
        Some(Package {
            name: package.get("name")?.as_str()?.to_owned(),
            manifest: relative(package, "manifest_path")?,
            library,
            programs,
            needs: needs.collect::<Option<_>>()?,
        })
    });
    packages.collect()
}

/// Checks the packages by the block of the workspace. `manifest` returns the text of a file.
pub(super) fn check(
    block: &Block,
    packages: &[Package],
    manifest: &dyn Fn(&Path) -> Option<String>,
    problems: &mut Vec<Problem>,
) {
    let layer = |package: &str| {
        let mut names = block.names();
        names
            .find(|name| name.text == package)
            .map(|name| name.layer)
    };
    for name in block.names() {
        if !packages.iter().any(|package| package.name == name.text) {
            let text = format!("the workspace has no package `{}`; remove it", name.text);
            problems.push(super::block::problem(name.line, text));
        }
    }
    for package in packages {
        let name = &package.name;
        let Some(own) = layer(name) else {
            let text = format!("no layer of the {WORKSPACE} has the package `{name}`; add it");
            problems.push(block.problem(text));
            continue;
        };
        for needed in &package.needs {
            let Some(other) = layer(needed).filter(|other| *other <= own) else {
                continue;
            };
            let place = if other < own { "above" } else { "beside" };
            let manifest_text = manifest(&package.manifest).unwrap_or_default();
            problems.push(Problem {
                file: package.manifest.clone(),
                line: line_of(&manifest_text, needed),
                text: format!(
                    "`{name}` needs `{needed}`, which stands {place} it; move what both need into a \
                     package below them"
                ),
            });
        }
    }
}

/// Returns the line of the dependency in the text of a manifest.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let is_line = |line: &str| {
        let rest = line.trim_start().strip_prefix(dependency);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest
        .lines()
        .position(is_line)
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::block;
    use super::*;
    use serde_json::json;

    fn package(name: &str, needs: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            manifest: format!("{name}/Cargo.toml").into(),
            library: None,
            programs: Vec::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        }
    }

    fn problems(layers: &str, packages: &[Package]) -> Vec<String> {
        let text = format!("```layers workspace\n{layers}\n```\n");
        let blocks = block::parse(&text, &mut Vec::new());
        let mut problems = Vec::new();
        let manifest =
            |_: &Path| Some("[dependencies]\nlow-er = \"1\"\nlow.workspace = true\n".to_owned());
        check(&blocks[0], packages, &manifest, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_package_may_depend_only_on_lower_ones() {
        let packages = [package("high", &["low"]), package("low", &[])];
        assert_eq!(problems("high\nlow", &packages), [""; 0]);
        let cure = "move what both need into a package below them";
        assert_eq!(
            problems("low\nhigh", &packages),
            [format!(
                "high/Cargo.toml:3: `high` needs `low`, which stands above it; {cure}"
            )]
        );
        assert_eq!(
            problems("high, low", &packages),
            [format!(
                "high/Cargo.toml:3: `high` needs `low`, which stands beside it; {cure}"
            )]
        );
    }

    #[test]
    fn the_block_and_the_workspace_have_the_same_packages() {
        assert_eq!(
            problems("gone", &[package("new", &[])]),
            [
                "ARCHITECTURE.md:2: the workspace has no package `gone`; remove it",
                "ARCHITECTURE.md:1: no layer of the workspace has the package `new`; add it",
            ]
        );
    }

    #[test]
    fn packages_are_read_from_cargo_metadata() {
        let metadata = json!({
            "workspace_root": "/w",
            "packages": [{
                "name": "my-lib",
                "manifest_path": "/w/lib/Cargo.toml",
                "targets": [
                    { "name": "my-lib", "kind": ["cdylib", "rlib"], "src_path": "/w/lib/src/lib.rs" },
                    { "name": "it", "kind": ["test"], "src_path": "/w/lib/tests/it.rs" },
                ],
                "dependencies": [
                    { "name": "serde", "source": "registry" },
                    { "name": "other", "kind": "dev", "path": "/w/other" },
                ],
            }],
        });
        let expected = Package {
            library: Some(("my_lib".to_owned(), "lib/src/lib.rs".into())),
            manifest: "lib/Cargo.toml".into(),
            programs: vec!["lib/tests/it.rs".into()],
            ..package("my-lib", &["other"])
        };
        assert_eq!(of(&metadata), Some(vec![expected]));
        assert_eq!(of(&json!({})), None);
    }
}
