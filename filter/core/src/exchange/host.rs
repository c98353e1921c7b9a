//! What the filter asks of Envoy, so that all that decides can run without it.

use crate::request::HeaderMap;
use crate::response::HttpResponse;

/// The two directions of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the upstream.
    Request,
    /// To the client.
    Response,
}

/// What Envoy is to do with what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Pass it on.
    Continue,
    /// Hold it.
    Pause,
}

/// What the exchange asks of Envoy.
pub trait Host {
    /// A property or an object of filter state.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// What time it is, in nanoseconds since 1970.
    fn now_ns(&self) -> i64;
    /// Keeps an object in filter state under `wasm.<name>`.
    fn set_filter_state(&self, name: &str, value: &[u8]);
    /// All headers.
    fn headers(&self, side: Side) -> HeaderMap;
    /// Sets one header, in the place of all of that name.
    fn set_header(&self, side: Side, name: &str, value: &[u8]);
    /// Replaces all headers.
    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>);
    /// The whole body as held so far.
    fn body(&self, side: Side) -> Vec<u8>;
    /// Replaces the whole body. Envoy has a place for one only after a body callback.
    fn set_body(&self, side: Side, body: &[u8]);
    /// Removes all trailers.
    fn clear_trailers(&self, side: Side);
    /// Answers the client without an upstream.
    fn respond(&self, response: &HttpResponse);
    /// Ends the exchange without ending the response, so that the client knows it is not whole.
    fn reset(&self);
}
