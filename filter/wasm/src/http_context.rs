//! Passes Envoy's callbacks of one request to its [`Exchange`].

use lambda_filter_core::exchange::{Exchange, Flow};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::envoy_host::EnvoyHost;

/// A request, or one attempt of a request that is retried.
#[derive(Debug)]
pub(crate) struct RequestContext {
    exchange: Exchange,
}

impl RequestContext {
    pub(crate) fn new(exchange: Exchange) -> Self {
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
    fn on_http_request_headers(&mut self, _header_count: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_request_headers(&EnvoyHost, end_of_stream))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        action(
            self.exchange
                .on_request_body(&EnvoyHost, body_size, end_of_stream),
        )
    }

    fn on_http_request_trailers(&mut self, _trailer_count: usize) -> Action {
        action(self.exchange.on_request_trailers(&EnvoyHost))
    }

    fn on_http_response_headers(&mut self, _header_count: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_response_headers(&EnvoyHost, end_of_stream))
    }

    fn on_http_response_body(&mut self, _body_size: usize, end_of_stream: bool) -> Action {
        action(self.exchange.on_response_body(&EnvoyHost, end_of_stream))
    }

    fn on_http_response_trailers(&mut self, _trailer_count: usize) -> Action {
        action(self.exchange.on_response_trailers(&EnvoyHost))
    }
}
