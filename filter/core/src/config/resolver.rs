//! Resolves the metadata of a request to the configuration of its route.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::error::ConfigError;
use super::keys::Settings;
use super::route_config::Config;
use crate::encoding::protobuf;

/// The namespace of the filter's keys.
const NAMESPACE: &str = "lambda";

/// The serialised metadata of route, virtual host and cluster, in this order.
pub(super) type Levels = [Vec<u8>; 3];

/// The largest number of configurations in the cache, in case a control plane makes new ones without
/// end.
const MAX_CACHED: usize = 16_384;

/// The configurations of all routes of a plugin in one worker. Each is resolved once.
#[derive(Debug, Default)]
pub struct ConfigCache {
    plugin: Settings,
    cached: RefCell<HashMap<Levels, Result<Rc<Config>, ConfigError>>>,
}

impl ConfigCache {
    /// Returns the cache of a plugin with these settings.
    #[must_use]
    pub fn new(plugin: Settings) -> Self {
        Self {
            plugin,
            ..Self::default()
        }
    }

    /// Returns the configuration for a request with this metadata. A wrong configuration is logged at
    /// its first request, with `place`, the route of that request.
    ///
    /// # Errors
    /// A configuration that is wrong or cannot be read.
    pub(crate) fn find(
        &self,
        levels: Levels,
        place: impl FnOnce() -> String,
    ) -> Result<Rc<Config>, ConfigError> {
        if let Some(found) = self.cached.borrow().get(&levels) {
            return found.clone();
        }
        let found = self.resolve(&levels).map(Rc::new);
        if let Err(error) = &found {
            log::error!("{}: {error}", place());
        }
        let mut cached = self.cached.borrow_mut();
        if cached.len() >= MAX_CACHED {
            cached.clear();
        }
        cached.insert(levels, found.clone());
        found
    }

    fn resolve(&self, levels: &Levels) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        for level in levels {
            let fields = protobuf::namespace(level, NAMESPACE)?;
            settings = settings.or(&Settings::parse(&fields)?);
        }
        Ok(settings.or(&self.plugin).into_config()?)
    }
}
