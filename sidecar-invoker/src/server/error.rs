//! The errors of a server.

use crate::callers::SecretError;
use crate::config::Exposed;
use crate::net::listener::BindError;

/// The error if the invoker cannot serve. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Listening on an address failed.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The operating system does not know the address of the Invoke API.
    #[error("the address of the Invoke API is not known: {0}")]
    Address(std::io::Error),
    /// Starting the orphan reaper failed.
    #[error("the guard process cannot be started: {0}")]
    OrphanReaper(std::io::Error),
    /// Other machines can reach the address, and the configuration does not say who may call.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A secret of the callers cannot be used.
    #[error("callers: {0}")]
    Secret(#[from] SecretError),
    /// The token of the console cannot be used.
    #[error("console.token: {0}")]
    ConsoleToken(SecretError),
    /// Setting up TLS for connections to AWS failed.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
