//! An Envoy and the invoker behind it.

use std::net::SocketAddr;

use crate::config::{Config, HostPort, Listen};
use crate::envoy_config::Gateway;

/// The configuration of an Envoy and of the invoker behind it.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// The functions.
    pub config: Config,
    /// The routes to them.
    pub gateway: Gateway,
}

/// The addresses of a mesh that serves.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The address of Envoy.
    pub gateway: SocketAddr,
    /// The address of the Invoke API.
    pub invoker: Listen,
    /// The address of the invoker's admin endpoints.
    pub admin: HostPort,
    /// The console is among the admin endpoints.
    pub has_console: bool,
}
