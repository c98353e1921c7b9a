//! Free TCP ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Returns a loopback port on which nothing listens.
///
/// Another process may take the port before the caller does. That is rare, because the kernel assigns
/// such ports in turn.
///
/// # Errors
/// The kernel has no port left.
pub fn free() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
