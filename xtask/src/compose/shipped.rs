//! The shipped `docker-compose.yaml` and `Dockerfile`.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace_root;

/// Returns `docker-compose.yaml`, parsed.
///
/// # Errors
/// The file cannot be read, or is not YAML.
pub fn compose_file() -> Result<Value> {
    let text = fs::read_to_string(workspace_root().join("docker-compose.yaml"))
        .context("cannot read docker-compose.yaml")?;
    serde_saphyr::from_str(&text).context("docker-compose.yaml is not valid YAML")
}

/// Returns the images that a build needs: those that `docker-compose.yaml` and the `Dockerfile` name.
///
/// # Errors
/// A file cannot be read or parsed.
pub fn images() -> Result<Vec<String>> {
    let file = compose_file()?;
    let services = file.get("services").and_then(Value::as_object);
    let mut images: Vec<String> = services
        .into_iter()
        .flatten()
        .filter_map(|(_, service)| Some(service.get("image")?.as_str()?.to_owned()))
        .collect();
    let text = fs::read_to_string(workspace_root().join("Dockerfile"));
    let text = text.context("cannot read the Dockerfile")?;
    let bases = text.lines().filter_map(|line| line.strip_prefix("FROM "));
    let bases = bases.filter_map(|base| base.split(' ').next());
    // A base without a tag is `scratch` or an earlier stage.
    images.extend(bases.filter(|base| base.contains(':')).map(str::to_owned));
    Ok(images)
}
