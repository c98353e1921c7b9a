//! An attempt of a request on its way through the filter.
//!
//! Envoy's callbacks come in, effects go out through [`Host`]. Envoy has one request header map, which
//! retries, access logs and tracing share, and the upstream chain changes it. So the client's headers are put
//! back as soon as Envoy has sent the invocation, or will not send it. An attempt that begins before that
//! takes the client's headers from [`Attempts`].

mod attempts;
mod attributes;
mod client_response;
mod hold_check;
mod host;
mod invoke_request;
mod long_response;
mod phase;
mod report;
mod request_phases;
mod response_phases;

pub use attempts::Attempts;
pub(crate) use client_response::content_length;
pub use host::{Capabilities, Flow, Host, Property, Side};
pub use phase::{CLAIMS, Exchange, restore_after_last_attempt};
pub use response_phases::on_tick;

#[cfg(test)]
mod tests;
