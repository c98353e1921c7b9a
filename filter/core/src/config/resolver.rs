//! Resolves the settings of a request's route to its configuration.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{ConfigError, Problems};
use super::keys::Settings;
use super::route_config::Config;
use crate::encoding::protobuf;
use crate::metrics::{FunctionMetrics, Functions};

/// The namespace of the filter's keys.
const NAMESPACE: &str = "lambda";

/// The settings of a request's route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RouteSettings {
    /// The serialised metadata of route, virtual host and cluster, in this order.
    Metadata([Vec<u8>; 3]),
    /// Settings that Envoy has handed over with the configuration, or none.
    Loaded(Option<LoadedSettings>),
    /// Settings in a place where the host cannot read them, and what to do about it.
    Unreadable(&'static str),
}

/// Settings that Envoy hands over once, with the configuration, and that all workers then share.
#[derive(Clone)]
pub struct LoadedSettings {
    /// No other settings have it, in the life of the process.
    id: u64,
    text: Arc<[u8]>,
}

impl LoadedSettings {
    /// Reads settings as [`Settings::from_plugin`] does.
    ///
    /// # Errors
    /// Those of [`Settings::from_plugin`].
    pub fn new(text: &[u8]) -> Result<Self, Problems> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // `Settings` belong to one thread, so that each worker reads the text itself.
        Settings::from_plugin(text)?;
        Ok(Self {
            id: COUNT.fetch_add(1, Ordering::Relaxed),
            text: text.into(),
        })
    }

    /// Returns the settings for this thread.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::from_plugin(&self.text).unwrap_or_default()
    }
}

impl fmt::Debug for LoadedSettings {
    /// Leaves out the text, in which a secret may stand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LoadedSettings");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for LoadedSettings {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for LoadedSettings {}

impl Hash for LoadedSettings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The largest number of configurations in the cache, in case a control plane makes new ones without
/// end.
const MAX_CACHED: usize = 16_384;

/// The configurations of all routes of a plugin in one worker. Each is resolved once.
#[derive(Debug)]
pub struct ConfigCache {
    plugin: Settings,
    cached: RefCell<HashMap<RouteSettings, Result<Rc<Config>, ConfigError>>>,
    functions: Functions,
    /// The figures of requests without a configuration.
    pub(crate) unknown: FunctionMetrics,
}

impl Default for ConfigCache {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl ConfigCache {
    /// Returns the cache of a plugin with these settings.
    #[must_use]
    pub fn new(plugin: Settings) -> Self {
        Self {
            plugin,
            cached: RefCell::default(),
            functions: Functions::default(),
            unknown: FunctionMetrics::unknown(),
        }
    }

    /// Returns the configuration for a request of a route with these settings. A wrong configuration is logged at
    /// its first request, with `place`, the route of that request.
    ///
    /// # Errors
    /// A configuration that is wrong or cannot be read.
    pub(crate) fn find(
        &self,
        route: RouteSettings,
        place: impl FnOnce() -> String,
    ) -> Result<Rc<Config>, ConfigError> {
        if let Some(found) = self.cached.borrow().get(&route) {
            return found.clone();
        }
        let found = self.resolve(&route).map(|mut config| {
            config.metrics = self.functions.share(config.metrics);
            Rc::new(config)
        });
        if let Err(error) = &found {
            log::error!("{}: {error}", place());
        }
        let mut cached = self.cached.borrow_mut();
        if cached.len() >= MAX_CACHED {
            cached.clear();
        }
        cached.insert(route, found.clone());
        found
    }

    fn resolve(&self, route: &RouteSettings) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        match route {
            RouteSettings::Metadata(levels) => {
                for level in levels {
                    let fields = protobuf::namespace(level, NAMESPACE)?;
                    settings = settings.or(&Settings::parse(&fields)?);
                }
            }
            RouteSettings::Loaded(loaded) => {
                settings = loaded
                    .as_ref()
                    .map(LoadedSettings::settings)
                    .unwrap_or_default();
            }
            RouteSettings::Unreadable(cure) => return Err(ConfigError::Unreadable(cure)),
        }
        Ok(settings.or(&self.plugin).into_config()?)
    }
}
