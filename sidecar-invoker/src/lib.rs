//! Serves the Lambda Invoke API over TCP or a Unix domain socket. The functions run on AWS, in Runtime
//! Interface Emulators, or as child processes.
//!
//! ```text
//! caller ──▶ server ──▶ backend ─┬─▶ aws: AWS Lambda, by signed requests
//!            (parses)            ├─▶ rie: one emulator, one invocation at a time
//!                                └─▶ local: a pool of processes, each with a Runtime API
//! ```
//!
//! Payloads pass through as they came, once an event is known to be JSON. [`Server`] is the entry point.
//! [`envoy_config`] writes an Envoy configuration from the invoker's configuration. [`up`] runs Envoy and the invoker together.

mod backend;
mod callers;
mod client;
pub mod command;
pub mod config;
mod console;
pub mod envoy_config;
mod invocation;
mod invoke_api;
pub mod lrp;
mod metrics;
mod net;
mod observation;
mod recorder;
mod server;
mod sigv4;
mod traces;
pub mod up;
mod util;

pub use callers::SecretError;
pub use net::listener::BindError;
pub use server::{FunctionOutput, Options, ServeError, Server};
