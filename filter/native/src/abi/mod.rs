//! Envoy's dynamic modules ABI: its declarations, and safe functions around them.

mod declarations;
pub(crate) mod envoy;
