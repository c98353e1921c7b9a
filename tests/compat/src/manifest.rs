//! `matrix.yaml`: the frameworks, and their known deviations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

use crate::contract::{self, Expectation};
use crate::format::Format;

/// The language of an application, with its tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Toolchain {
    /// CPython with `awslambdaric`; pinned by `requirements.txt`.
    Python,
    /// Node.js with `apps/node_runtime.mjs`; pinned by `package-lock.json`.
    Node,
    /// Go with `aws-lambda-go`; pinned by `go.sum`.
    Go,
    /// A program `compat-APP` of this package; pinned by the workspace's `Cargo.lock`.
    Rust,
    /// Java with `aws-lambda-java-runtime-interface-client`; pinned by `pom.xml`.
    Java,
}

/// The component that handles an exception of the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exceptions {
    /// The framework, with its own 500.
    #[default]
    Framework,
    /// None. The invocation fails, and the client gets the format's error.
    Function,
}

/// The component that knows the routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routes {
    /// The application. Envoy has one route to it.
    #[default]
    Application,
    /// API Gateway. Each route is a `resource` of its own, which the framework looks up.
    Gateway,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    every: Vec<Deviation>,
    rows: Vec<Framework>,
}

/// A row of the matrix.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// The short name, for `--only`.
    pub id: String,
    /// The name in the table.
    pub name: String,
    /// The language of the application.
    pub toolchain: Toolchain,
    /// The folder of the application in `apps/`.
    pub app: String,
    /// The handler for the runtime client: `MODULE.NAME` for Python and Node.js, the class for Java. Go and
    /// Rust programs need none.
    #[serde(default)]
    pub handler: String,
    /// Environment variables of the functions, in addition to `PAYLOAD_FORMAT`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The component that knows the routes.
    #[serde(default)]
    pub routes: Routes,
    /// The component that handles exceptions.
    #[serde(default)]
    pub exceptions: Exceptions,
    /// The formats that the adapter does not support, each with the source of that.
    #[serde(default)]
    pub unsupported: BTreeMap<Format, String>,
    /// The deviations from the contract, for reasons of the adapter or the format.
    #[serde(default)]
    pub deviations: Vec<Deviation>,
}

/// A known difference from the contract.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The requests, by [`contract::Case::id`].
    pub requests: BTreeSet<String>,
    /// The formats.
    pub formats: BTreeSet<Format>,
    /// The expectation that replaces members of the contract's.
    pub expect: Expectation,
    /// The reason, with its source.
    pub reason: String,
}

impl Framework {
    /// Returns the formats that the adapter supports.
    pub fn formats(&self) -> impl Iterator<Item = Format> {
        let formats = Format::value_variants().iter().copied();
        formats.filter(|format| !self.unsupported.contains_key(format))
    }

    /// Returns the known deviation of the response to `request` in `format`.
    #[must_use]
    pub fn deviation(&self, request: &str, format: Format) -> Option<&Deviation> {
        let mut deviations = self.deviations.iter();
        deviations.find(|deviation| {
            deviation.formats.contains(&format) && deviation.requests.contains(request)
        })
    }
}

/// Returns the rows in their order.
///
/// # Errors
/// `matrix.yaml` cannot be read, has an unknown key or a wrong type, or names an unknown request or
/// application.
pub fn load() -> Result<Vec<Framework>> {
    let path = crate::folder().join("matrix.yaml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let matrix: Matrix =
        serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
    let mut rows = matrix.rows;
    for row in &mut rows {
        check(row).with_context(|| format!("{}: {}", path.display(), row.id))?;
        // The row's own deviations come first and win.
        row.deviations.extend(matrix.every.iter().cloned());
    }
    Ok(rows)
}

fn check(framework: &Framework) -> Result<()> {
    if !crate::folder().join("apps").join(&framework.app).is_dir() {
        bail!("app: the folder apps/{} does not exist", framework.app);
    }
    let known: BTreeSet<_> = contract::cases().iter().map(|case| case.id).collect();
    for deviation in &framework.deviations {
        for request in &deviation.requests {
            if !known.contains(request.as_str()) {
                bail!("deviations: unknown request `{request}`; the requests are {known:?}");
            }
        }
        let unsupported = deviation
            .formats
            .iter()
            .find(|format| framework.unsupported.contains_key(format));
        if let Some(format) = unsupported {
            bail!(
                "deviations: {format} is listed as unsupported too; remove one of the two entries"
            );
        }
    }
    Ok(())
}
