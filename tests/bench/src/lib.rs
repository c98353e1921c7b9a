//! Measures lambda-mesh beside Envoy's own Lambda filter and beside an Envoy that passes requests through.
//! The contestants take turns on the same core. A service that does the filter's work outside Envoy is on Envoy's core.
//!
//! ```text
//! core 1: load generator, upstream, invoker          core 0: one Envoy at a time
//!         load ───────────────────────────────────────▶ contestant
//!         upstream (prepared responses) ◀──────────────────┘
//! ```

pub mod agreement;
pub mod bare_function;
pub mod console;
pub mod contestant;
pub mod entrant;
pub mod envoy;
pub mod envoy_config;
pub mod functions;
pub mod goals;
pub mod invoker;
pub mod invoker_alone;
pub mod lab;
pub mod latency;
pub mod load;
pub mod local;
pub mod markdown;
pub mod memory;
pub mod observation;
pub mod peers;
pub mod plot;
pub mod process;
pub mod proxy;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod stream;
pub mod summary;
mod table;
pub mod throughput;
pub mod upstream;
pub mod wire;
