//! `lambda_filter.wasm`: an Envoy HTTP filter that calls AWS Lambda functions as plain HTTP services.
//!
//! This crate passes Envoy's callbacks to `lambda-filter-core`, which decides, and carries out the
//! effects that the core asks for. It is empty on every target but `wasm32`, because its host calls
//! are imports of a WebAssembly module. So `cargo clippy --workspace` and `cargo doc --workspace`
//! accept it on any machine, and `cargo xtask ci` checks it for `wasm32`.
#![cfg(target_arch = "wasm32")]

mod envoy_host;
mod http_context;
mod root_context;

/// Private, as the SDK's macro writes functions without documentation.
mod entry {
    use crate::root_context::PluginContext;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::<PluginContext>::default());
    }}
}
