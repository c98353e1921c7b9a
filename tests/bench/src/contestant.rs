//! The contestants of the benchmark.

use serde::Serialize;

/// A way to serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Envoy passes the request through untouched, which is the limit.
    PassThrough,
    /// Envoy's own `aws_lambda` filter, which signs.
    Native,
    /// Our filter, unsigned, with the events of requests without a body in a header, as towards the
    /// invoker.
    Ours,
    /// Our filter behind the Lua filter that adds a body, unsigned, as towards an emulator.
    OursShim,
    /// Our filter, then Envoy's `aws_request_signing`.
    OursSigned,
    /// Our filter, then the invoker, which signs.
    OursInvoker,
}

impl Contestant {
    /// All contestants, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::PassThrough,
        Self::Native,
        Self::Ours,
        Self::OursShim,
        Self::OursSigned,
        Self::OursInvoker,
    ];

    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::PassThrough => "pass-through",
            Self::Native => "native",
            Self::Ours => "ours",
            Self::OursShim => "ours-shim",
            Self::OursSigned => "ours-signed",
            Self::OursInvoker => "ours-invoker",
        }
    }

    /// Returns the title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::PassThrough => "Envoy, passed through untouched",
            Self::Native => "Envoy's `aws_lambda` (signs)",
            Self::Ours => "lambda-mesh, unsigned",
            Self::OursShim => "lambda-mesh, unsigned, with the Lua filter",
            Self::OursSigned => "lambda-mesh, signed by Envoy",
            Self::OursInvoker => "lambda-mesh, signed by the invoker",
        }
    }
}
