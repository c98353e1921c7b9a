//! The errors of the subcommands and their exit codes.

use std::error::Error;

use crate::config::ConfigError;
use crate::envoy_config::EnvoyConfigError;

/// The reason why a subcommand ends without success. Its text is for the user.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration file has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration file has no mistake by itself, but cannot be used for this subcommand.
    #[error(transparent)]
    UnusableConfig(EnvoyConfigError),
    /// Envoy has ended although nobody asked it to.
    #[error("Envoy has ended, with exit status {0}; what it said stands above")]
    EnvoyEnded(u8),
    /// Anything else.
    #[error("{0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl CommandError {
    /// An error with the text of `error`.
    pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::UnusableConfig(_) => 2,
            // That Envoy ends by itself is no success, whatever its status says.
            Self::EnvoyEnded(code) => (*code).max(1),
            Self::Failed(_) => 1,
        }
    }
}
