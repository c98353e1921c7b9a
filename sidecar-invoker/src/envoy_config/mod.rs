//! Writes Envoy configurations: complete, with comments, and the same bytes for the same input.
//!
//! A template and a writer for YAML's flow style are enough for that, and keep the comments and the line
//! breaks, which a serializer would lose.

mod address;
mod conditions;
mod cors;
mod envoy;
mod error;
mod filter;
mod gateway;
mod installed;
mod jwt;
mod parts;
mod remote;
mod render;
mod routes;
mod template;
mod tls;
mod tracing;
pub(crate) mod yaml;

pub use envoy::Envoy;
pub use error::EnvoyConfigError;
pub use filter::{Filter, Host};
pub(crate) use gateway::file_name;
pub use gateway::{Gateway, HeadLimit, NotFound};
pub(crate) use installed::file as installed_file;
pub use render::ConfigFile;
pub(crate) use render::{CLUSTERS, LISTENERS, ROUTES};
pub use routes::Health;
pub(crate) use routes::keys as route_keys;
pub use tls::Tls;
pub use tracing::Tracing;
