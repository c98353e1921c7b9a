//! Addresses of servers.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

/// The endpoint of an Invoke API.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl Endpoint {
    /// Returns an `lb_endpoint` of Envoy.
    pub(crate) fn lb_endpoint(&self) -> Value {
        json!({ "endpoint": { "address": match self {
            Self::Tcp(address) => socket_address(*address),
            Self::Unix(path) => json!({ "pipe": { "path": path } }),
        } } })
    }
}

/// Returns an address in Envoy's form.
pub(crate) fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": {
        "address": address.ip(),
        "port_value": address.port(),
    } })
}

/// Returns a loopback address on which nothing listens.
///
/// # Panics
/// The system has no port left.
pub fn free_address() -> SocketAddr {
    let port = xtask::ports::free().expect("a free port");
    SocketAddr::from(([127, 0, 0, 1], port))
}
