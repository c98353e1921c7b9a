//! The plugin: reads its configuration and makes a context for each request.

use std::rc::Rc;
use std::time::Duration;

use lambda_filter_core::config::{ConfigCache, Settings};
use lambda_filter_core::exchange::{Attempts, Exchange, Host as _, on_tick};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::envoy_host::EnvoyHost;
use crate::http_context::RequestContext;

thread_local! {
    /// The attempts of all plugins that share this VM: several plugins may try one request.
    static ATTEMPTS: Rc<Attempts> = Rc::default();
}

/// A plugin in one worker.
#[derive(Debug, Default)]
pub(crate) struct PluginContext {
    configs: Rc<ConfigCache>,
}

impl Context for PluginContext {}

impl RootContext for PluginContext {
    /// Returns `false`, on which Envoy refuses the configuration, after the log has said why.
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = match hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX) {
            Ok(text) => text.unwrap_or_default(),
            Err(status) => {
                log::error!("Envoy does not hand over the plugin's configuration: {status:?}");
                return false;
            }
        };
        match Settings::from_plugin(&text) {
            Ok(settings) => {
                self.configs = Rc::new(ConfigCache::new(settings));
                true
            }
            Err(problems) => {
                log::error!("the plugin's configuration is wrong: {problems}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn on_tick(&mut self) {
        // Of the ticks that Envoy would go on with, one was asked for.
        EnvoyHost.request_tick(Duration::ZERO, 0);
        ATTEMPTS.with(|attempts| on_tick(attempts, &EnvoyHost));
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let attempts = ATTEMPTS.with(Rc::clone);
        let exchange = Exchange::new(Rc::clone(&self.configs), attempts, context);
        Some(Box::new(RequestContext::new(exchange)))
    }
}
