//! Listening sockets, and the connections that they accept.

pub(crate) mod connections;
mod interface;
pub(crate) mod listener;
pub(crate) mod proxy;

pub(crate) use interface::Interface;
