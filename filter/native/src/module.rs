//! The module's part in each of Envoy's hooks. No panic leaves it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use lambda_filter_core::config::{ConfigCache, LoadedSettings};
use lambda_filter_core::exchange::{Attempts, Exchange, Flow, on_tick, restore_after_last_attempt};

use crate::abi::envoy::{self, Filter};
use crate::envoy_host::{Callback, EnvoyHost, PluginState};
use crate::logger;
use crate::plugin::Plugin;
use crate::requests;

/// The largest number of plugins that a worker remembers after Envoy has replaced the plugins.
const MAX_PLUGINS: usize = 64;

/// A worker's own part of a plugin.
type LocalPlugin = (Rc<ConfigCache>, Rc<PluginState>);

thread_local! {
    /// The attempts of all requests of this worker.
    static ATTEMPTS: Rc<Attempts> = Rc::default();

    /// This worker's own part of each plugin.
    static PLUGINS: RefCell<HashMap<LoadedSettings, LocalPlugin>> = RefCell::default();
}

/// Prepares the module, and returns the version of the ABI that it speaks. `None` if this Envoy is too old:
/// it then refuses the module.
pub(crate) fn start() -> Option<&'static CStr> {
    if let Some(function) = envoy::missing_function() {
        // Envoy's own function for messages may be the one that is missing.
        eprintln!(
            "liblambda_filter.so needs Envoy 1.40 or newer, and this Envoy has no {function}; with an older \
             Envoy, use lambda_filter.wasm in its place"
        );
        return None;
    }
    logger::install();
    panic::set_hook(Box::new(|panic| {
        log::error!("the filter has panicked: {panic}");
    }));
    Some(c"v0.2.0")
}

/// Returns this worker's own part of a plugin.
fn local(settings: &LoadedSettings) -> LocalPlugin {
    PLUGINS.with_borrow_mut(|plugins| {
        if let Some(plugin) = plugins.get(settings) {
            return plugin.clone();
        }
        if plugins.len() >= MAX_PLUGINS {
            plugins.clear();
        }
        let cache = ConfigCache::new(settings.settings());
        let plugin: LocalPlugin = (Rc::new(cache), Rc::default());
        plugins.insert(settings.clone(), plugin.clone());
        plugin
    })
}

/// The task of the module in a request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a request is in a box of its own, and nearly all are exchanges"
)]
enum Role {
    /// In a cluster's chain: the exchange, with its context.
    Exchange(Exchange, u32),
    /// In the listener's chain: puts the client's headers back.
    RestoreHeaders,
    /// Refuses a request that could not begin.
    Refuse,
}

/// A request, or one attempt of a request that is retried.
#[derive(Debug)]
pub(crate) struct Request {
    role: Role,
    host: EnvoyHost,
    /// A part of the response has passed on.
    has_responded: bool,
    has_panicked: bool,
}

impl Request {
    /// Returns a request of which nothing has come yet.
    pub(crate) fn begin(plugin: &Plugin, filter: Filter) -> Self {
        let begin = || match plugin {
            Plugin::RestoreHeaders { .. } => (Role::RestoreHeaders, Rc::default()),
            Plugin::Exchange(settings) => {
                let (cache, state) = local(settings);
                let context = requests::insert(filter);
                let exchange = Exchange::new(cache, ATTEMPTS.with(Rc::clone), context);
                (Role::Exchange(exchange, context), state)
            }
        };
        let begun = panic::catch_unwind(AssertUnwindSafe(begin));
        let (role, state) = begun.unwrap_or_else(|_| (Role::Refuse, Rc::default()));
        Self {
            role,
            host: EnvoyHost::new(filter, state),
            has_responded: false,
            has_panicked: false,
        }
    }

    /// Ends the request, perhaps without a response.
    pub(crate) fn end(mut self) {
        self.guarded(Callback::End, |exchange, host| {
            exchange.on_done(host);
            Flow::Pause
        });
        if let Role::Exchange(_, context) = self.role {
            requests::remove(context);
        }
    }

    pub(crate) fn on_request_headers(&mut self, end_of_stream: bool) -> Flow {
        self.guarded(Callback::RequestHeaders, |exchange, host| {
            exchange.on_request_headers(host, end_of_stream)
        })
    }

    pub(crate) fn on_request_body(&mut self, end_of_stream: bool) -> Flow {
        self.guarded(Callback::RequestBody, |exchange, host| {
            let held = host.request_body_size();
            exchange.on_request_body(host, held, end_of_stream)
        })
    }

    pub(crate) fn on_request_trailers(&mut self) -> Flow {
        self.guarded(Callback::RequestTrailers, |exchange, host| {
            exchange.on_request_trailers(host)
        })
    }

    pub(crate) fn on_response_headers(&mut self, end_of_stream: bool) -> Flow {
        let flow = self.guarded(Callback::ResponseHeaders, |exchange, host| {
            exchange.on_response_headers(host, end_of_stream)
        });
        self.respond(flow)
    }

    pub(crate) fn on_response_body(&mut self, end_of_stream: bool) -> Flow {
        let flow = self.guarded(Callback::ResponseBody, |exchange, host| {
            exchange.on_response_body(host, end_of_stream)
        });
        self.respond(flow)
    }

    pub(crate) fn on_response_trailers(&mut self) -> Flow {
        let flow = self.guarded(Callback::ResponseTrailers, |exchange, host| {
            exchange.on_response_trailers(host)
        });
        self.respond(flow)
    }

    pub(crate) fn on_scheduled(&mut self) {
        self.guarded(Callback::Scheduled, |_, host| {
            ATTEMPTS.with(|attempts| on_tick(attempts, host));
            Flow::Pause
        });
    }

    fn respond(&mut self, flow: Flow) -> Flow {
        self.has_responded |= flow == Flow::Continue;
        flow
    }

    /// Calls `hook`. A panic ends the request, and nothing else: the client gets 500, or the end of a
    /// response that it has a part of.
    fn guarded(
        &mut self,
        callback: Callback,
        hook: impl FnOnce(&mut Exchange, &EnvoyHost) -> Flow,
    ) -> Flow {
        self.host.begin(callback);
        let Self { role, host, .. } = self;
        let result = panic::catch_unwind(AssertUnwindSafe(|| match role {
            Role::Exchange(..) if self.has_panicked => Flow::Pause,
            Role::Exchange(exchange, _) => {
                #[cfg(feature = "panic-on-request")]
                host.panic_if_asked();
                hook(exchange, host)
            }
            Role::RestoreHeaders => {
                if callback == Callback::ResponseHeaders {
                    restore_after_last_attempt(host);
                }
                Flow::Continue
            }
            Role::Refuse => {
                if callback == Callback::RequestHeaders {
                    host.fail(false);
                }
                Flow::Pause
            }
        }));
        result.unwrap_or_else(|_| {
            self.has_panicked = true;
            match self.role {
                // Only a log shows the headers of the invocation.
                Role::RestoreHeaders => return Flow::Continue,
                _ if callback == Callback::End => {}
                _ => self.host.fail(self.has_responded),
            }
            Flow::Pause
        })
    }
}
