//! Measures lambda-mesh side by side with Envoy's own Lambda filter and with Envoy passing
//! requests through: each on the same core, in turns, in one run.
//!
//! ```text
//! core 1: load generator, upstream, invoker          core 0: one Envoy at a time
//!         load ───────────────────────────────────────▶ contestant
//!         upstream (prepared answers) ◀────────────────────┘
//! ```

pub mod alone;
pub mod envoy;
pub mod event_stream;
pub mod functions;
pub mod invoker;
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
