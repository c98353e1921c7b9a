//! The invoker's integration tests, in one program, because each program is linked separately.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod attach;
mod aws;
mod build;
mod callers;
#[cfg(target_os = "linux")]
mod chaos;
mod console;
mod differences;
mod envoy_config;
mod events;
mod figures;
mod healthcheck;
mod import;
mod invoke;
mod invoke_api;
#[cfg(target_os = "linux")]
mod isolation;
#[cfg(target_os = "linux")]
mod isolation_end;
#[cfg(target_os = "linux")]
mod isolation_levels;
mod lifecycle;
mod local;
#[cfg(target_os = "linux")]
mod local_memory;
mod local_watch;
mod logs;
mod program;
mod queues;
mod reference;
mod references;
mod reload;
mod rie;
mod runtime_api;
mod schema;
mod slow_clients;
mod start_errors;
mod streaming;
mod support;
mod traces;
mod web_pages;
