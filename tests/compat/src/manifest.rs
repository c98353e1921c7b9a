//! `matrix.yaml`: which frameworks there are, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contract::{self, Expectation};

/// A payload format that web frameworks have adapters for: a column of the matrix. The others
/// (`envoy`, `raw`, `template`) are for functions without a framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each is the filter's `payload` value of the same name"
)]
pub enum Format {
    ApigatewayV1,
    ApigatewayV2,
    FunctionUrl,
    Alb,
    AlbMultiValue,
    VpcLatticeV1,
    VpcLatticeV2,
}

impl Format {
    /// The value of the filter's `payload` key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApigatewayV1 => "apigateway-v1",
            Self::ApigatewayV2 => "apigateway-v2",
            Self::FunctionUrl => "function-url",
            Self::Alb => "alb",
            Self::AlbMultiValue => "alb-multi-value",
            Self::VpcLatticeV1 => "vpc-lattice-v1",
            Self::VpcLatticeV2 => "vpc-lattice-v2",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What an application is built with and runs on.
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

/// Who answers a request that throws in the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exceptions {
    /// The framework, with a 500 of its own.
    #[default]
    Framework,
    /// Nobody: the invocation fails, and the client gets the format's error.
    Function,
}

/// Who knows the routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routes {
    /// The application: one route leads to it.
    #[default]
    Application,
    /// API Gateway: each route is a `resource` of its own there, which the framework looks up.
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
    /// Its short name, as `--only` takes it.
    pub id: String,
    /// How the table calls it.
    pub name: String,
    /// What it runs on.
    pub toolchain: Toolchain,
    /// The folder of its application in `apps/`.
    pub app: String,
    /// What the runtime client calls: `MODULE.NAME` for Python and Node.js, the class for Java.
    /// Go and Rust programs know it themselves.
    #[serde(default)]
    pub handler: String,
    /// Variables of its functions, beside `PAYLOAD_FORMAT`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Who knows the routes.
    #[serde(default)]
    pub routes: Routes,
    /// Who answers a request that throws.
    #[serde(default)]
    pub exceptions: Exceptions,
    /// The formats that its adapter does not know, with where it says so.
    #[serde(default)]
    pub unsupported: BTreeMap<Format, String>,
    /// Answers that are not the contract's, for a reason that is the adapter's or the format's.
    #[serde(default)]
    pub deviations: Vec<Deviation>,
}

/// An answer that differs from the contract's, and is known to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The requests that it is about, by [`contract::Case::id`].
    pub requests: BTreeSet<String>,
    /// The formats that it happens in.
    pub formats: BTreeSet<Format>,
    /// What is answered instead. What is not named here stays as in the contract.
    pub expect: Expectation,
    /// Why, with the place that shows it.
    pub reason: String,
}

impl Framework {
    /// The formats that its adapter knows.
    pub fn formats(&self) -> impl Iterator<Item = Format> {
        let formats = Format::value_variants().iter().copied();
        formats.filter(|format| !self.unsupported.contains_key(format))
    }

    /// What is known of the answer to `request` in `format`, if it is not the contract's.
    #[must_use]
    pub fn deviation(&self, request: &str, format: Format) -> Option<&Deviation> {
        let mut deviations = self.deviations.iter();
        deviations.find(|deviation| {
            deviation.formats.contains(&format) && deviation.requests.contains(request)
        })
    }
}

/// The rows, in their order.
///
/// # Errors
/// `matrix.yaml` cannot be read, has an unknown key or a wrong type, or names a request or an
/// application that is not there.
pub fn load() -> Result<Vec<Framework>> {
    let path = crate::folder().join("matrix.yaml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let matrix: Matrix =
        serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
    let mut rows = matrix.rows;
    for row in &mut rows {
        check(row).with_context(|| format!("{}: {}", path.display(), row.id))?;
        // After its own, which win.
        row.deviations.extend(matrix.every.iter().cloned());
    }
    Ok(rows)
}

fn check(framework: &Framework) -> Result<()> {
    if !crate::folder().join("apps").join(&framework.app).is_dir() {
        bail!("app: there is no folder apps/{}", framework.app);
    }
    let known: BTreeSet<_> = contract::cases().iter().map(|case| case.id).collect();
    for deviation in &framework.deviations {
        for request in &deviation.requests {
            if !known.contains(request.as_str()) {
                bail!("deviations: there is no request `{request}`; there are {known:?}");
            }
        }
        let unsupported = deviation
            .formats
            .iter()
            .find(|format| framework.unsupported.contains_key(format));
        if let Some(format) = unsupported {
            bail!("deviations: {format} is listed as unsupported; remove it from one of the two");
        }
    }
    Ok(())
}
