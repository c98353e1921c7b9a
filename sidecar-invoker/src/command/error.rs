//! The errors of the subcommands and their exit codes.

use std::error::Error;

use crate::config::{ConfigError, Exposed};
use crate::envoy_config::EnvoyConfigError;
use crate::up::ProjectError;

/// The error of a subcommand. The text is for the user.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration file has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The project cannot be served.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Other machines could reach the invoker, and the file does not say who may call.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The configuration file has no mistakes, but the subcommand cannot use it.
    #[error(transparent)]
    UnusableConfig(EnvoyConfigError),
    /// Envoy ended without being asked to.
    #[error("Envoy has ended, with exit status {0}; what it said stands above")]
    EnvoyEnded(u8),
    /// Any other error.
    #[error("{0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl CommandError {
    /// Wraps any other error.
    pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// Returns the exit code of the program.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Project(_) | Self::Exposed(_) | Self::UnusableConfig(_) => 2,
            // If Envoy ends by itself, that is a failure even with exit status 0.
            Self::EnvoyEnded(code) => (*code).max(1),
            Self::Failed(_) => 1,
        }
    }
}
