//! Published schemas, for the tests: of Compose files, GitHub workflows and bills of materials.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::python;

/// A published schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The [Compose Specification](https://compose-spec.io).
    Compose,
    /// A GitHub workflow, by SchemaStore.
    Workflow,
    /// CycloneDX 1.6.
    CycloneDx,
}

impl Schema {
    /// Checks `document`. The schemas come with the Python packages that
    /// `xtask/requirements/schemas.txt` pins; the first call fetches them.
    ///
    /// # Errors
    /// The document's mistakes, one a line, or the packages could not be fetched.
    pub fn check(self, document: &Value) -> Result<()> {
        let name = match self {
            Self::Compose => "compose",
            Self::Workflow => "workflow",
            Self::CycloneDx => "cyclonedx",
        };
        let mut checker = python::with_schemas()?
            .args(["-c", include_str!("schema.py"), name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 could not be started")?;
        // It reads all of it before it writes; dropped, the pipe is closed.
        if let Some(mut input) = checker.stdin.take() {
            input
                .write_all(document.to_string().as_bytes())
                .context("python3 does not read the document")?;
        }
        let output = checker.wait_with_output().context("python3 was lost")?;
        if !output.status.success() {
            bail!("the schema `{name}` cannot be used; the cause is shown above");
        }
        match String::from_utf8_lossy(&output.stdout).trim() {
            "" => Ok(()),
            mistakes => bail!("not what the schema `{name}` allows:\n{mistakes}"),
        }
    }
}
