//! The host: the parts of Envoy that an exchange uses, so that everything else runs without Envoy.

use std::time::Duration;

use crate::config::RouteSettings;
use crate::metrics::{FunctionMetrics, Metric};
use crate::request::HeaderMap;
use crate::response::{HttpResponse, PartBuffer};

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

/// A property of a request or its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// The number of the client's connection, which a mirrored request does not have.
    ConnectionId,
    /// The client's address with its port.
    SourceAddress,
    /// The version of HTTP, such as `HTTP/1.1`.
    Protocol,
    /// The SHA-256 of the client's certificate, in hexadecimal.
    PeerCertificateDigest,
    /// The dynamic metadata as a serialised `Metadata`.
    DynamicMetadata,
    /// The bytes received of the request as a little-endian number of eight bytes.
    TotalSize,
}

impl Property {
    /// Returns the path of the property among Envoy's attributes.
    #[must_use]
    pub fn path(self) -> &'static [&'static str] {
        match self {
            Self::ConnectionId => &["connection_id"],
            Self::SourceAddress => &["source", "address"],
            Self::Protocol => &["request", "protocol"],
            Self::PeerCertificateDigest => &["connection", "sha256_peer_certificate_digest"],
            Self::DynamicMetadata => &["metadata"],
            Self::TotalSize => &["request", "total_size"],
        }
    }
}

/// The abilities of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// It can set the body of a message that came without one.
    pub makes_bodies: bool,
    /// It can set request headers when an exchange ends, also to empty values.
    pub restores_headers: bool,
    /// It holds headers alone, whatever its configuration.
    pub holds_headers: bool,
    /// It has [`Property::DynamicMetadata`].
    pub has_dynamic_metadata: bool,
    /// It can [change a part of a body](Host::change_part).
    pub changes_parts: bool,
}

/// The calls to Envoy, about the request in whose callback the filter is.
///
/// A host reports its own failures: no exchange could do better without the result of a call.
pub trait Host {
    /// Returns what this host can do.
    fn capabilities(&self) -> Capabilities;
    /// Returns the settings of the request's route.
    fn route_settings(&self) -> RouteSettings;
    /// Returns a property.
    fn property(&self, property: Property) -> Option<Vec<u8>>;
    /// Returns an object of filter state that [`set_filter_state`](Self::set_filter_state) has stored.
    fn filter_state(&self, name: &str) -> Option<Vec<u8>>;
    /// Returns the time in nanoseconds since 1970.
    fn now_ns(&self) -> i64;
    /// Returns the time in nanoseconds since any moment, to measure how long something takes.
    fn clock_ns(&self) -> i64 {
        self.now_ns()
    }
    /// Adds to a counter of a function, or a value to a histogram.
    fn record(&self, function: &FunctionMetrics, metric: Metric, value: u64);
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
    /// Replaces the whole body. Only a host that [makes bodies](Capabilities::makes_bodies) can do so
    /// before a body callback.
    fn set_body(&self, side: Side, body: &[u8]);
    /// Replaces the part of a response's body that has just come. `change` gets each piece of it, and appends what
    /// is to be there. If it returns `false`, the part stays as it is. Returns whether the part is replaced.
    fn change_part(&self, change: impl FnMut(&[u8], &mut PartBuffer) -> bool) -> bool;
    /// Removes all trailers.
    fn clear_trailers(&self, side: Side);
    /// Responds to the client without an upstream.
    fn respond(&self, response: &HttpResponse);
    /// Asks for a call of [`on_tick`](super::on_tick) after this time, or soon after this callback, for
    /// the sake of a request. A later call may replace this one.
    fn request_tick(&self, delay: Duration, context: u32);
    /// Makes a request the one that the other functions are about. Returns `false` if it is gone.
    fn enter(&self, context: u32) -> bool;
    /// Ends the exchange without ending the response, so that the client knows it is cut off.
    fn reset(&self);
}
