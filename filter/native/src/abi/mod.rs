//! Envoy's dynamic modules ABI: its declarations, and safe functions around them.

pub(crate) mod buffer;
mod declarations;
pub(crate) mod envoy;
pub(crate) mod filter_config;
