//! Serves the Lambda Invoke API over TCP or a Unix domain socket, in front of functions that run
//! on AWS, in Runtime Interface Emulators or as processes of the invoker's own.
//!
//! ```text
//! caller ──▶ ingress ──▶ backend ─┬─▶ aws: AWS Lambda, by signed requests
//!            (parses)             ├─▶ rie: one emulator, one invocation at a time
//!                                 └─▶ local: a pool of processes, each with a Runtime API
//! ```
//!
//! Payloads pass through unread. [`Server`] is the entry. [`envoy_config`] writes Envoy's
//! configuration from the same file, [`lrp`] runs Envoy and the invoker together.

mod admin;
mod answer;
mod aws;
mod backend;
mod body;
mod check;
pub mod config;
pub mod envoy_config;
pub mod error;
mod event_stream;
mod events;
mod first_byte;
mod guard;
mod header;
pub mod healthcheck;
mod ingress;
pub mod invocation;
mod listener;
mod local;
mod lock;
pub mod lrp;
mod metrics;
mod processes;
mod request;
mod rie;
mod server;

pub use check::{Report, check};
pub use guard::watch_over_groups;
pub use server::{Options, ServeError, Server};
