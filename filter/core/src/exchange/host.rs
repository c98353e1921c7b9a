//! The host: the parts of Envoy that an exchange uses, so that everything else runs without Envoy.

use std::time::Duration;

use crate::request::HeaderMap;
use crate::response::HttpResponse;

/// A direction of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the upstream.
    Request,
    /// To the client.
    Response,
}

/// The instruction to Envoy at the end of a callback, about its headers or its part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Envoy passes them on.
    Continue,
    /// Envoy holds them.
    Pause,
}

/// The calls to Envoy, about the request in whose callback the filter is.
///
/// A host reports its own failures: no exchange could do better without the result of a call.
pub trait Host {
    /// Returns a property or an object of filter state.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Returns the time in nanoseconds since 1970.
    fn now_ns(&self) -> i64;
    /// Stores an object in filter state under `wasm.<name>`.
    fn set_filter_state(&self, name: &str, value: &[u8]);
    /// Returns all headers.
    fn headers(&self, side: Side) -> HeaderMap;
    /// Sets a header and removes all others of its name.
    fn set_header(&self, side: Side, name: &str, value: &[u8]);
    /// Replaces all headers.
    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>);
    /// Returns the whole body that Envoy holds.
    fn body(&self, side: Side) -> Vec<u8>;
    /// Replaces the whole body. Envoy has a buffer for a body only after a body callback.
    fn set_body(&self, side: Side, body: &[u8]);
    /// Removes all trailers.
    fn clear_trailers(&self, side: Side);
    /// Responds to the client without an upstream.
    fn respond(&self, response: &HttpResponse);
    /// Asks for a call of [`on_tick`](super::on_tick) after this time, outside of any request. A later
    /// call replaces this one.
    fn request_tick(&self, delay: Duration);
    /// Makes a request the one that the other functions are about. Returns `false` if it is gone.
    fn enter(&self, context: u32) -> bool;
    /// Ends the exchange without ending the response, so that the client knows it is cut off.
    fn reset(&self);
}
