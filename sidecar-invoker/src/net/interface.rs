//! The interface on which a connection arrived.

use tokio::net::TcpStream;

/// The interface on which a connection arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    /// A Unix domain socket.
    UnixSocket,
    /// The loopback interface: the peer is on this machine.
    Loopback,
    /// Any other interface.
    Network,
}

impl Interface {
    /// Returns the interface of a TCP connection.
    pub(crate) fn of(stream: &TcpStream) -> Self {
        let address = stream.local_addr().map(|address| address.ip());
        match address {
            Ok(address) if address.to_canonical().is_loopback() => Self::Loopback,
            _ => Self::Network,
        }
    }
}
