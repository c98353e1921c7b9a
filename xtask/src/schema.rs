//! JSON Schemas, for the tests.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::python;

/// A published schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The [Compose Specification](https://compose-spec.io).
    Compose,
    /// A GitHub workflow, by SchemaStore.
    Workflow,
    /// The settings of Renovate.
    Renovate,
    /// CycloneDX 1.6.
    CycloneDx,
}

impl Schema {
    /// Checks `document`. The schemas are in the Python packages that `xtask/requirements/schemas.txt`
    /// pins. The first call fetches them.
    ///
    /// # Errors
    /// The document has mistakes, which the error lists one per line, or the packages could not be
    /// fetched.
    pub fn check(self, document: &Value) -> Result<()> {
        let name = match self {
            Self::Compose => "compose",
            Self::Workflow => "workflow",
            Self::Renovate => "renovate",
            Self::CycloneDx => "cyclonedx",
        };
        let mistakes = mistakes(&name.into(), std::slice::from_ref(document))?.concat();
        if mistakes.is_empty() {
            return Ok(());
        }
        let mistakes = mistakes.join("\n");
        bail!("the schema `{name}` does not allow this:\n{mistakes}")
    }
}

/// Checks documents against a JSON Schema, and returns the mistakes of each. The first call fetches what
/// `xtask/requirements/schemas.txt` pins.
///
/// # Errors
/// The schema is not a schema, or the packages could not be fetched.
pub fn mistakes(schema: &Value, documents: &[Value]) -> Result<Vec<Vec<String>>> {
    let mut checker = python::with_schemas()?
        .args(["-c", include_str!("schema.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 could not be started")?;
    // The checker reads until the pipe is closed, which dropping it does.
    if let Some(mut input) = checker.stdin.take() {
        let request = json!({ "schema": schema, "documents": documents }).to_string();
        input
            .write_all(request.as_bytes())
            .context("python3 did not read the documents")?;
    }
    let output = checker
        .wait_with_output()
        .context("cannot wait for python3")?;
    if !output.status.success() {
        bail!("the schema cannot be used; the cause is shown above");
    }
    serde_json::from_slice(&output.stdout).context("python3 did not print the mistakes")
}
