//! Envoy and the invoker in one command, for a project that the user names.

mod envoy;
mod error;
mod files;
mod replace;
mod run;

pub use error::RunError;
pub use run::{Addresses, ExitReason, Mesh, Request, Settings, run};
