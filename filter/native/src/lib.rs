//! `liblambda_filter.so`: the filter as a native module of Envoy 1.40 and newer.
//!
//! This crate puts `lambda-filter-core` behind Envoy's dynamic modules ABI. `abi` has Envoy's functions in
//! safe wrappers, and `hooks` the functions that Envoy calls. Only these two have `unsafe` code.
#![cfg(target_os = "linux")]

mod abi;
mod envoy_host;
mod hooks;
mod logger;
mod module;
mod plugin;
mod requests;
mod settings;
mod statistics;
