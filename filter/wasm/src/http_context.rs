//! Envoy's callbacks of one request, handed to its [`Exchange`].

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::envoy_host::EnvoyHost;
use lambda_filter_core::exchange::{Exchange, Flow};

/// One try of one request.
#[derive(Debug)]
pub struct RequestContext {
    exchange: Exchange,
}

impl RequestContext {
    /// With its phases at the start.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self { exchange }
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}

impl Context for RequestContext {
    fn on_done(&mut self) -> bool {
        self.exchange.on_done(&EnvoyHost);
        true
    }
}

impl HttpContext for RequestContext {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_request_headers(&EnvoyHost, end_of_stream))
    }

    fn on_http_request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        action(
            self.exchange
                .on_request_body(&EnvoyHost, held, end_of_stream),
        )
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        action(self.exchange.on_request_trailers(&EnvoyHost))
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_response_headers(&EnvoyHost, end_of_stream))
    }

    fn on_http_response_body(&mut self, _held: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_response_body(&EnvoyHost, end_of_stream))
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        action(self.exchange.on_response_trailers(&EnvoyHost))
    }
}
