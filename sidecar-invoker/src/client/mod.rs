//! A client of the Invoke API for the command line: it makes an event, invokes a function and shows the answer.
//!
//! ```text
//! event, samples ─▶ place (running invoker, AWS, invoker for one call) ─▶ answer ─▶ output, report
//! ```
//!
//! Events of requests are made, and responses are decoded, by the filter's own code.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod event;
pub(crate) mod output;
pub(crate) mod place;
mod pretty;
mod report;
pub(crate) mod route;
pub(crate) mod samples;
