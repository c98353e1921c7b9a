//! Measures lambda-mesh beside Envoy's own Lambda filter and beside an Envoy that passes requests through.
//! The contestants take turns on the same core.
//!
//! ```text
//! core 1: load generator, upstream, invoker          core 0: one Envoy at a time
//!         load ───────────────────────────────────────▶ contestant
//!         upstream (prepared responses) ◀──────────────────┘
//! ```

pub mod bare_function;
pub mod console;
pub mod contestant;
pub mod envoy;
pub mod functions;
pub mod invoker;
pub mod invoker_alone;
pub mod lab;
pub mod latency;
pub mod load;
pub mod local;
pub mod markdown;
pub mod memory;
pub mod plot;
pub mod process;
pub mod proxy;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod stream;
pub mod throughput;
pub mod upstream;
pub mod wire;
