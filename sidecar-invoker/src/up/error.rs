//! The errors in running Envoy and the invoker together.

use std::io;

use crate::config::ConfigError;
use crate::envoy_config::EnvoyConfigError;
use crate::server::ServeError;

/// The error if Envoy or the invoker fails. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Creating a folder for temporary files failed.
    #[error(
        "no folder for sockets and Envoy's configuration: {0}; name a writable one with TMPDIR"
    )]
    Folder(io::Error),
    /// Starting Envoy failed.
    #[error("{envoy} cannot be started: {error}")]
    Start {
        /// The program.
        envoy: String,
        /// The operating system's reason.
        error: io::Error,
    },
    /// Envoy does not take over its configuration.
    #[error("Envoy does not serve with this configuration; what it said stands above")]
    Rejected,
    /// The configuration of the invoker has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Creating the configuration of Envoy failed.
    #[error(transparent)]
    EnvoyConfig(#[from] EnvoyConfigError),
    /// The invoker cannot serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The operating system refuses an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The invoker panicked.
    #[error(transparent)]
    Panic(#[from] tokio::task::JoinError),
}
