//! Listening sockets and the connections that they accept.

pub(crate) mod listener;
