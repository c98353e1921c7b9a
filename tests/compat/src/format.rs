//! The columns of the matrix.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A payload format that web frameworks have adapters for. The other formats (`envoy`, `raw`,
/// `template`) are for functions without a framework.
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
    /// Returns the value of the filter's `payload` key.
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
