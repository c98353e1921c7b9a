//! The documents: their commands, and their links.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod commands;
mod data;
mod limits;
mod links;
mod messages;
