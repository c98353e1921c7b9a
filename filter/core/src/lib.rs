//! An Envoy HTTP filter that calls AWS Lambda functions as plain HTTP services.
//!
//! It stands in a cluster's *upstream* filter chain. A request becomes an event, and the call
//! becomes an *Invoke* of the Lambda API; the function's answer becomes the response.
//!
//! ```text
//!  client's request ─▶ request ─▶ target ─▶ event ─▶ invoke ─▶ upstream
//!                     (headers,  (function, (JSON)  (path and
//!                      body)      settings)          headers)
//!
//!  client's response ◀─ reply::contract ◀─ reply::payload ◀─── answer
//! ```
//!
//! Nothing in this crate calls Envoy, so all of it runs natively too: [`machine::Machine`] holds the
//! phases of one request and asks for effects through [`host::Host`]. The crate `lambda-filter`
//! carries them out.

pub mod config;
pub mod error;
pub mod event;
mod facts;
pub mod function;
pub mod host;
pub mod identity;
pub mod invoke;
mod json;
pub mod machine;
pub mod metadata;
mod node;
pub mod reply;
pub mod request;
pub mod resource;
pub mod target;
pub mod tries;
