//! Listening sockets, the connections that they accept, and TLS.

pub(crate) mod connections;
mod interface;
pub(crate) mod listener;
pub(crate) mod proxy;
pub(crate) mod tls;

pub(crate) use interface::Interface;
