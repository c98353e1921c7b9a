//! The settings that Envoy hands over with its configuration.

use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use lambda_filter_core::config::{LoadedSettings, Problems};

/// The configuration of a route, a virtual host or a route table.
#[derive(Debug)]
pub(crate) struct RouteConfig {
    pub(crate) settings: LoadedSettings,
    /// True once a request has looked for keys in the route's metadata.
    is_checked: AtomicBool,
}

impl RouteConfig {
    /// Reads the `filter_config` of a route. `None` if it is wrong, after the log has said why.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let settings = read("a route's", text)?;
        Some(Self {
            settings,
            is_checked: AtomicBool::new(false),
        })
    }

    /// Returns whether this is the first call.
    pub(crate) fn is_first_use(&self) -> bool {
        // The load is cheaper than the exchange, and all but the first calls need no more.
        !self.is_checked.load(Ordering::Relaxed) && !self.is_checked.swap(true, Ordering::Relaxed)
    }
}

/// Reads settings. `None` if they are wrong, after the log has said why.
pub(crate) fn read(whose: &str, text: &[u8]) -> Option<LoadedSettings> {
    let read = || LoadedSettings::new(text);
    let settings: Result<_, Problems> = panic::catch_unwind(read).ok()?;
    let settings = settings.inspect_err(|problems| {
        log::error!("{whose} configuration is wrong: {problems}");
    });
    settings.ok()
}
