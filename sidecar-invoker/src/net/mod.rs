//! Listening sockets, and the connections that they accept.

pub(crate) mod connections;
pub(crate) mod listener;
