//! What a request calls: the settings of all levels, merged.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::error::ConfigError;
use super::keys::Settings;
use super::route_config::Config;
use crate::encoding::protobuf;

/// The namespace of the filter's keys.
const NAMESPACE: &str = "lambda";

/// Metadata as Envoy gives it, nearest first: route, virtual host, cluster.
pub(super) type Levels = [Vec<u8>; 3];

/// How many different sets of metadata are kept: a bound, should a control plane make new ones
/// without end.
const KEPT: usize = 16_384;

/// What one plugin in one worker knows: the configuration of every route, worked out once and
/// kept.
#[derive(Debug, Default)]
pub struct ConfigCache {
    plugin: Settings,
    known: RefCell<HashMap<Levels, Result<Rc<Config>, ConfigError>>>,
}

impl ConfigCache {
    /// For a plugin with these settings.
    #[must_use]
    pub fn new(plugin: Settings) -> Self {
        Self {
            plugin,
            ..Self::default()
        }
    }

    /// The configuration for a request with this metadata. A wrong one is logged when it is
    /// first met, with `place`: where the request came in.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn find(
        &self,
        levels: Levels,
        place: impl FnOnce() -> String,
    ) -> Result<Rc<Config>, ConfigError> {
        if let Some(found) = self.known.borrow().get(&levels) {
            return found.clone();
        }
        let found = self.resolve(&levels).map(Rc::new);
        if let Err(error) = &found {
            log::error!("{}: {error}", place());
        }
        let mut known = self.known.borrow_mut();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(levels, found.clone());
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
