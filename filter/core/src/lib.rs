//! Turns HTTP requests into invocations of AWS Lambda functions, and the functions' responses into HTTP
//! responses.
//!
//! ```text
//!  client's request ─▶ request ─▶ event ─▶ exchange::invoke_request ─▶ upstream
//!                     (headers,  (JSON)   (path and headers of
//!                      body)               the Invoke API)
//!
//!  client's response ◀─ response::contract ◀─ response::payload ◀───── upstream
//! ```
//!
//! Nothing in this crate calls Envoy, so all of it runs natively too: [`exchange::Exchange`] holds
//! the phases of one request and asks for effects through [`exchange::Host`]. The crate
//! `lambda-filter` carries them out as a proxy-wasm module.

pub mod config;
mod encoding;
mod error;
pub mod event;
pub mod exchange;
pub mod metrics;
mod reported_request;
pub mod request;
pub mod response;

pub use error::Error;
pub use reported_request::{DecodedResponse, ReportedRequest, UpstreamResponse};
