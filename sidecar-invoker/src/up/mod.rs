//! Envoy and the invoker in one command, for a project that the user names.

pub mod certificate;
pub mod debug;
mod envoy;
mod error;
mod files;
mod folder;
mod mesh;
mod project;
mod python;
mod replace;
mod run;
mod table;
mod watch;

pub use error::RunError;
pub use folder::FolderError;
pub use mesh::{Addresses, Mesh};
pub use project::{Project, ProjectError, address, with_port};
pub use run::{ExitReason, Request, Settings, run};
pub use table::{example, other_addresses, urls};
pub use watch::ProjectFiles;
