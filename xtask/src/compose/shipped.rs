//! The shipped Compose files and their Dockerfiles.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace_root;

/// Returns `docker-compose.yaml`, parsed.
///
/// # Errors
/// The file cannot be read, or is not YAML.
pub fn compose_file() -> Result<Value> {
    parsed(&workspace_root().join("docker-compose.yaml"))
}

/// Returns the images that these Compose files need: those that they name, and those at which their Dockerfiles
/// begin. Images of this project are not among them.
///
/// # Errors
/// A file cannot be read or parsed.
pub(super) fn images<'f>(files: impl Iterator<Item = &'f str>) -> Result<BTreeSet<String>> {
    let mut images = bases(&workspace_root().join("Dockerfile"))?;
    for file in files {
        let path = workspace_root().join(file);
        let folder = path.parent().unwrap_or(workspace_root());
        let compose = parsed(&path)?;
        let services = compose.get("services").and_then(Value::as_object);
        for service in services.into_iter().flat_map(|services| services.values()) {
            match (service.get("build"), service.get("image")) {
                (Some(build), _) => images.extend(bases(&dockerfile(folder, build)?)?),
                (None, Some(Value::String(image))) => {
                    images.insert(image.clone());
                }
                _ => {}
            }
        }
    }
    Ok(images)
}

fn parsed(path: &Path) -> Result<Value> {
    let name = crate::display(path);
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{name} is not valid YAML"))
}

/// Returns the Dockerfile of a service's `build`.
fn dockerfile(folder: &Path, build: &Value) -> Result<PathBuf> {
    let context = build.get("context").unwrap_or(build);
    let context = context.as_str().context("a build has no context")?;
    Ok(folder.join(context).join("Dockerfile"))
}

/// Returns the images at which the stages of a Dockerfile begin.
fn bases(dockerfile: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(dockerfile)
        .with_context(|| format!("cannot read {}", crate::display(dockerfile)))?;
    let bases = text.lines().filter_map(|line| line.strip_prefix("FROM "));
    let bases = bases.filter_map(|base| base.split(' ').next());
    // A base without a tag is `scratch`, an earlier stage, or an image of this project.
    Ok(bases
        .filter(|base| base.contains(':'))
        .map(str::to_owned)
        .collect())
}
