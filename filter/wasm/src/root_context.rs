//! The plugin: reads its configuration, makes a context per request.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::http_context::RequestContext;
use lambda_filter_core::config::{ConfigCache, Settings};
use lambda_filter_core::exchange::{Attempts, Exchange};

thread_local! {
    /// Of all plugins that share this VM: a request may be tried by several.
    static TRIES: Rc<Attempts> = Rc::default();
}

/// One plugin in one worker.
#[derive(Debug, Default)]
pub struct PluginContext {
    configs: Rc<ConfigCache>,
}

impl Context for PluginContext {}

impl RootContext for PluginContext {
    /// `false` makes Envoy refuse the configuration; the log says why.
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        let text = text.unwrap_or_default().unwrap_or_default();
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

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let exchange = Exchange::new(Rc::clone(&self.configs), TRIES.with(Rc::clone));
        Some(Box::new(RequestContext::new(exchange)))
    }
}
