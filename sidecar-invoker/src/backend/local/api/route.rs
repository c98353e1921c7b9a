//! The paths of the Runtime, Extensions, Telemetry and Logs APIs, each with its method.
//!
//! Source: the Runtime Interface Emulator, which knows no other form of a path. A slash at the end
//! makes another path.

use hyper::Method;

/// A request that an API of an execution environment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    /// A test of the API itself.
    Ping,
    /// The runtime asks for its next invocation.
    Next,
    /// The runtime responds to an invocation, whose id is not checked yet.
    Response(&'p str),
    /// The runtime reports the error of an invocation, whose id is not checked yet.
    Error(&'p str),
    /// The runtime reports that its initialisation failed.
    InitError,
    /// An extension registers.
    Register,
    /// An extension asks for its next event.
    ExtensionNext,
    /// An extension reports that its initialisation failed.
    ExtensionInitError,
    /// An extension reports an error before its exit.
    ExtensionExitError,
    /// An extension subscribes to the Telemetry API.
    Telemetry,
    /// An extension subscribes to the Logs API.
    Logs,
}

impl<'p> Route<'p> {
    /// Returns the route of a path.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let path: Vec<&str> = path.split('/').skip(1).collect();
        Some(match path.as_slice() {
            ["2018-06-01", "ping"] => Self::Ping,
            ["2018-06-01", "runtime", rest @ ..] => match rest {
                ["invocation", "next"] => Self::Next,
                ["invocation", id, "response"] => Self::Response(id),
                ["invocation", id, "error"] => Self::Error(id),
                ["init", "error"] => Self::InitError,
                _ => return None,
            },
            ["2020-01-01", "extension", rest @ ..] => match rest {
                ["register"] => Self::Register,
                ["event", "next"] => Self::ExtensionNext,
                ["init", "error"] => Self::ExtensionInitError,
                ["exit", "error"] => Self::ExtensionExitError,
                _ => return None,
            },
            ["2022-07-01", "telemetry"] => Self::Telemetry,
            ["2020-08-15", "logs"] => Self::Logs,
            _ => return None,
        })
    }

    /// Returns the only method of the path.
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Ping | Self::Next | Self::ExtensionNext => Method::GET,
            Self::Telemetry | Self::Logs => Method::PUT,
            _ => Method::POST,
        }
    }
}
