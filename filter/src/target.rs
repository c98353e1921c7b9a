//! What a request calls: the settings of all levels, merged.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::config::{Config, Settings};
use crate::error::Error;
use crate::metadata;

/// Metadata as Envoy gives it, nearest first: route, virtual host, cluster.
pub type Levels = [Vec<u8>; 3];

/// How many different sets of metadata are kept: a bound, should a control plane make new ones
/// without end.
const KEPT: usize = 16_384;

/// What one plugin in one worker knows: the configuration of every route, worked out once and
/// kept, and which requests are under way.
#[derive(Debug, Default)]
pub struct Targets {
    plugin: Settings,
    known: RefCell<HashMap<Levels, Result<Rc<Config>, Error>>>,
    tries: RefCell<HashMap<u64, Tries>>,
}

/// The tries of one request: with a hedging policy several at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// Not yet ended.
    pub alive: usize,
    /// Of those, whose answer is held back.
    pub held: usize,
}

impl Targets {
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
    /// [`Error::Configuration`], [`Error::Metadata`].
    pub fn find(
        &self,
        levels: Levels,
        place: impl FnOnce() -> String,
    ) -> Result<Rc<Config>, Error> {
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

    /// A try of a request has begun. All tries of one request are in one worker.
    pub fn begin(&self, request: u64) {
        self.tries.borrow_mut().entry(request).or_default().alive += 1;
    }

    /// The answer of a try is held back for good.
    pub fn hold(&self, request: u64) {
        if let Some(tries) = self.tries.borrow_mut().get_mut(&request) {
            tries.held += 1;
        }
    }

    /// A try has ended.
    pub fn end(&self, request: u64) {
        let mut tries = self.tries.borrow_mut();
        match tries.get_mut(&request) {
            Some(tries) if tries.alive > 1 => {
                tries.alive -= 1;
                tries.held = tries.held.min(tries.alive);
            }
            _ => _ = tries.remove(&request),
        }
    }

    /// The tries of a request that are under way.
    #[must_use]
    pub fn tries(&self, request: u64) -> Tries {
        let tries = self.tries.borrow();
        tries.get(&request).copied().unwrap_or_default()
    }

    fn resolve(&self, levels: &Levels) -> Result<Config, Error> {
        let read = |bytes: &Vec<u8>| -> Result<Map<String, Value>, Error> {
            metadata::fields(bytes).map_err(|error| Error::Metadata(error.to_string()))
        };
        let mut settings = Settings::default();
        for level in levels {
            settings = settings.or(&Settings::parse(&read(level)?)?);
        }
        Ok(settings.or(&self.plugin).into_config()?)
    }
}
