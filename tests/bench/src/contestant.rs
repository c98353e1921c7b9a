//! The contestants of the benchmark.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A way to serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Envoy passes the request through untouched, which is the limit.
    PassThrough,
    /// Envoy's own `aws_lambda` filter, which signs.
    AwsLambda,
    /// Our filter as a native module, unsigned, with the events of requests without a body in a header, as
    /// towards the invoker.
    Module,
    /// The module, unsigned, with all events in bodies, as towards an emulator.
    ModuleBody,
    /// The module, then Envoy's `aws_request_signing`.
    ModuleSigned,
    /// Our filter as WebAssembly, unsigned, with the events of requests without a body in a header, as towards the
    /// invoker.
    Ours,
    /// Our filter behind the Lua filter that adds a body, unsigned, as towards an emulator.
    OursShim,
    /// Our filter, then Envoy's `aws_request_signing`.
    OursSigned,
    /// Our filter, then the invoker, which signs.
    OursInvoker,
    /// Envoy's `ext_proc` with a service in Go, unsigned.
    ExtProc,
    /// The Lambda Reverse Proxy, a program in Go without Envoy, towards an emulator.
    Lrp,
}

impl Contestant {
    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::PassThrough => "pass-through",
            Self::AwsLambda => "aws-lambda",
            Self::Module => "module",
            Self::ModuleBody => "module-body",
            Self::ModuleSigned => "module-signed",
            Self::Ours => "ours",
            Self::OursShim => "ours-shim",
            Self::OursSigned => "ours-signed",
            Self::OursInvoker => "ours-invoker",
            Self::ExtProc => "ext-proc",
            Self::Lrp => "lrp",
        }
    }

    /// Returns the title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::PassThrough => "Envoy, passed through untouched",
            Self::AwsLambda => "Envoy's `aws_lambda` (signs)",
            Self::Module => "native module, unsigned",
            Self::ModuleBody => "native module, unsigned, events in bodies",
            Self::ModuleSigned => "native module, signed by Envoy",
            Self::Ours => "WebAssembly, unsigned",
            Self::OursShim => "WebAssembly, unsigned, with the Lua filter",
            Self::OursSigned => "WebAssembly, signed by Envoy",
            Self::OursInvoker => "WebAssembly, signed by the invoker",
            Self::ExtProc => "Envoy's `ext_proc` and a service in Go, unsigned",
            Self::Lrp => "Lambda Reverse Proxy, unsigned, without Envoy",
        }
    }

    /// Returns whether the filter is the native module.
    pub fn is_module(self) -> bool {
        matches!(self, Self::Module | Self::ModuleBody | Self::ModuleSigned)
    }

    /// Returns whether all work is done in Envoy. The others have a garbage collector, whose CPU time varies more.
    pub fn is_inside_envoy(self) -> bool {
        !matches!(self, Self::ExtProc | Self::Lrp)
    }
}
