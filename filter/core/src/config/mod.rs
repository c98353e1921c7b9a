//! The filter's configuration.
//!
//! The same keys may stand in the plugin's `configuration` and, under the namespace `lambda`, in the
//! metadata of a cluster, a virtual host and a route. Each level is parsed into [`Settings`] on its
//! own. The nearest level wins, key by key, and the merged settings become a [`Config`], which cannot
//! be wrong.

mod error;
mod keys;
pub(crate) mod path_template;
pub mod reference;
mod resolver;
pub(crate) mod resource;
pub(crate) mod route_config;
pub(crate) mod template;
mod value_error;
pub(crate) mod values;

pub use error::{ConfigError, Problems};
pub use keys::Settings;
pub use path_template::PathTemplate;
pub use resolver::{ConfigCache, LoadedSettings, RouteSettings};
pub use route_config::Config;
pub use value_error::ValueError;

#[cfg(test)]
mod tests;
