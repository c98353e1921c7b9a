//! The commands that have more to say than `main` should hold.

pub mod envoy_config;
pub mod lrp;
