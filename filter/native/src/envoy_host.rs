//! The host: the core's calls, by Envoy's functions.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_filter_core::config::RouteSettings;
use lambda_filter_core::exchange::{CLAIMS, Capabilities, Host, Property, Side};
use lambda_filter_core::metrics::{FunctionMetrics, Metric};
use lambda_filter_core::request::HeaderMap;
use lambda_filter_core::response::{HttpResponse, PartBuffer};

use crate::abi::envoy::{Attribute, BodyType, Filter, HeaderType, Headers, MetadataSource};
use crate::requests;
use crate::statistics;

/// The details of responses and resets in Envoy's access log.
const DETAILS: &str = "lambda_filter";

/// The namespace of the filter's keys in metadata.
const NAMESPACE: &[u8] = b"lambda";

/// The namespace of Envoy's JWT filter in dynamic metadata.
const JWT_NAMESPACE: &[u8] = b"envoy.filters.http.jwt_authn";

/// The callback in which the filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callback {
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    /// An event that the filter has scheduled itself.
    Scheduled,
    /// The request is about to be destroyed, and nothing of it can be changed.
    End,
}

/// Envoy, for the request in whose callback the filter is.
#[derive(Debug)]
pub(crate) struct EnvoyHost {
    /// The request that the calls are about: the filter's own, or one that was entered.
    filter: Cell<Filter>,
    own: Filter,
    callback: Callback,
    plugin: Rc<PluginState>,
    #[cfg(feature = "panic-on-request")]
    panic_in: RefCell<Option<String>>,
}

/// A worker's knowledge of a plugin.
#[derive(Debug, Default)]
pub(crate) struct PluginState {
    /// True if the cluster has keys in its metadata; known from the first request on.
    has_cluster_metadata: OnceCell<bool>,
    /// True once the log has said that claims cannot be read.
    has_logged_claims: Cell<bool>,
}

thread_local! {
    /// The buffer for the pieces of all bodies of this worker.
    static PART_BUFFER: RefCell<PartBuffer> = RefCell::default();
}

impl EnvoyHost {
    pub(crate) fn new(filter: Filter, plugin: Rc<PluginState>) -> Self {
        Self {
            filter: Cell::new(filter),
            own: filter,
            callback: Callback::RequestHeaders,
            plugin,
            #[cfg(feature = "panic-on-request")]
            panic_in: RefCell::default(),
        }
    }

    /// Panics if the header `x-panic` of the request names this callback.
    #[cfg(feature = "panic-on-request")]
    pub(crate) fn panic_if_asked(&self) {
        let asked = self.panic_in.take().or_else(|| {
            let headers = self.headers(Side::Request).into_iter();
            let mut asked = headers.filter(|(name, _)| name == "x-panic");
            String::from_utf8(asked.next()?.1).ok()
        });
        if asked == Some(format!("{:?}", self.callback)) {
            #[expect(clippy::panic, reason = "only in a build for a test")]
            {
                panic!("the header `x-panic` asks for it");
            }
        }
        self.panic_in.replace(asked);
    }

    /// Prepares for the calls of another callback.
    pub(crate) fn begin(&mut self, callback: Callback) {
        self.filter.set(self.own);
        self.callback = callback;
    }

    /// Returns the number of bytes of the request's body that Envoy holds, with what has just come.
    pub(crate) fn request_body_size(&self) -> usize {
        let filter = self.filter.get();
        self.bodies(Side::Request)
            .map(|body| filter.body_size(body))
            .sum()
    }

    /// Ends the request after a panic. If the client has a part of the response, it must not take it for
    /// the whole.
    pub(crate) fn fail(&self, has_responded: bool) {
        if has_responded {
            self.own.reset(DETAILS);
        } else {
            let headers = [(b"content-type".as_slice(), b"application/json".as_slice())];
            let body = br#"{"message":"Internal Server Error"}"#;
            self.own.respond(500, headers.into_iter(), body, DETAILS);
        }
    }

    /// Returns where Envoy has the body: what it holds, and in a body callback also what has just come, if
    /// that is not the same.
    fn bodies(&self, side: Side) -> impl Iterator<Item = BodyType> + use<> {
        let filter = self.filter.get();
        let (held, received) = match side {
            Side::Request => (BodyType::BufferedRequest, BodyType::ReceivedRequest),
            Side::Response => (BodyType::BufferedResponse, BodyType::ReceivedResponse),
        };
        let has_received = self.has_received(side);
        let is_same = has_received
            && match side {
                Side::Request => filter.received_buffered_request_body(),
                Side::Response => filter.received_buffered_response_body(),
            };
        let held = (!is_same).then_some(held);
        held.into_iter().chain(has_received.then_some(received))
    }

    fn has_received(&self, side: Side) -> bool {
        let body = match side {
            Side::Request => Callback::RequestBody,
            Side::Response => Callback::ResponseBody,
        };
        self.callback == body
    }
}

fn header_type(side: Side) -> HeaderType {
    match side {
        Side::Request => HeaderType::Request,
        Side::Response => HeaderType::Response,
    }
}

/// Calls `call` with the key of an object in filter state: that of the proxy-wasm module, so that one access
/// log serves both.
fn with_state_key<T>(name: &str, call: impl FnOnce(&[u8]) -> T) -> T {
    const PREFIX: &[u8] = b"wasm.";
    let mut key = [0; 64];
    let length = PREFIX.len() + name.len();
    let parts = PREFIX.iter().chain(name.as_bytes());
    for (place, byte) in key.iter_mut().zip(parts) {
        *place = *byte;
    }
    match key.get(..length) {
        Some(key) => call(key),
        None => call(&[PREFIX, name.as_bytes()].concat()),
    }
}

/// Appends a copy of a body to `target`.
fn copy(filter: Filter, body: BodyType, target: &mut Vec<u8>) {
    target.reserve(filter.body_size(body));
    filter.with_body(body, |pieces| {
        pieces.for_each(|piece| target.extend_from_slice(piece));
    });
}

/// Appends bytes to a body.
fn append(filter: Filter, body: BodyType, bytes: &[u8]) {
    if !bytes.is_empty() && !filter.append_body(body, bytes) {
        log::error!("Envoy does not take {} bytes of a body", bytes.len());
    }
}

impl Host for EnvoyHost {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            makes_bodies: true,
            restores_headers: false,
            holds_headers: true,
            has_dynamic_metadata: false,
            changes_parts: true,
        }
    }

    fn route_settings(&self) -> RouteSettings {
        let filter = self.filter.get();
        let has_metadata = |source| filter.has_metadata(source, NAMESPACE);
        let in_cluster = self
            .plugin
            .has_cluster_metadata
            .get_or_init(|| has_metadata(MetadataSource::Cluster));
        if *in_cluster {
            return RouteSettings::Unreadable(
                "the keys are in the cluster's `metadata`, which a native module cannot read; put \
                 them into the filter's `filter_config`",
            );
        }
        let config = filter.route_config();
        // With a configuration of its own, a route need be checked only once.
        let is_checked = config.is_some_and(|config| !config.is_first_use());
        if !is_checked && has_metadata(MetadataSource::Route) {
            const CURE: &str = "the keys are in the route's `metadata`, which a native module cannot \
                                read; put them into its `typed_per_filter_config`";
            if config.is_none() {
                return RouteSettings::Unreadable(CURE);
            }
            log::warn!("{CURE}; those that are there count, and the others have no effect");
        }
        RouteSettings::Loaded(config.map(|config| config.settings.clone()))
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        let filter = self.filter.get();
        let number = |attribute| {
            let number = filter.number_attribute(attribute)?;
            Some(number.to_le_bytes().to_vec())
        };
        match property {
            Property::ConnectionId => number(Attribute::ConnectionId),
            Property::SourceAddress => filter.text_attribute(Attribute::SourceAddress),
            Property::Protocol => filter.text_attribute(Attribute::RequestProtocol),
            Property::PeerCertificateDigest => {
                filter.text_attribute(Attribute::PeerCertificateDigest)
            }
            Property::TotalSize => number(Attribute::RequestTotalSize),
            Property::DynamicMetadata => None,
        }
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        let filter = self.filter.get();
        let found = with_state_key(name, |key| filter.filter_state(key));
        if found.is_none()
            && name == CLAIMS
            && filter.has_metadata(MetadataSource::Dynamic, JWT_NAMESPACE)
            && !self.plugin.has_logged_claims.replace(true)
        {
            log::error!(
                "events have no claims: a native module cannot read those of `jwt_authn`; put the filter \
                 `envoy.filters.http.set_filter_state` behind it, as docs/filter.md shows"
            );
        }
        found
    }

    fn now_ns(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
    }

    fn clock_ns(&self) -> i64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    fn record(&self, function: &FunctionMetrics, metric: Metric, value: u64) {
        statistics::record(function, metric, value);
    }

    fn set_filter_state(&self, name: &str, value: &[u8]) {
        let set = with_state_key(name, |key| self.filter.get().set_filter_state(key, value));
        if !set && self.callback != Callback::End {
            log::error!("Envoy does not store the filter state {name}");
        }
    }

    fn headers(&self, side: Side) -> HeaderMap {
        self.filter
            .get()
            .with_headers(header_type(side), |headers| {
                headers
                    .map(|(name, value)| {
                        let name = String::from_utf8_lossy(name).into_owned();
                        (name, value.to_vec())
                    })
                    .collect()
            })
    }

    fn set_header(&self, side: Side, name: &str, value: &[u8]) {
        let filter = self.filter.get();
        filter.set_header(header_type(side), name.as_bytes(), value);
    }

    /// Envoy has no function that replaces all headers, and each change costs more than a comparison. So
    /// headers that stay as they are are left alone.
    fn set_headers(&self, side: Side, headers: Vec<(&str, &[u8])>) {
        let filter = self.filter.get();
        let kind = header_type(side);
        let mut changes = Changes::default();
        filter.with_headers(kind, |present| changes.collect(&present, &headers));
        for name in &changes.removed {
            filter.remove_header(kind, name);
        }
        for (index, (name, value)) in headers.iter().enumerate() {
            let is_kept = changes.kept.get(index).is_some_and(|kept| *kept);
            let mut before = headers.iter().take(index);
            if is_kept {
                continue;
            } else if before.any(|(other, _)| other == name) {
                filter.add_header(kind, name.as_bytes(), value);
            } else {
                filter.set_header(kind, name.as_bytes(), value);
            }
        }
    }

    fn body(&self, side: Side) -> Vec<u8> {
        let filter = self.filter.get();
        let mut bytes = Vec::new();
        for body in self.bodies(side) {
            copy(filter, body, &mut bytes);
        }
        bytes
    }

    fn set_body(&self, side: Side, bytes: &[u8]) {
        let filter = self.filter.get();
        let mut last = None;
        for body in self.bodies(side) {
            filter.drain_body(body, usize::MAX);
            last = Some(body);
        }
        if let Some(body) = last {
            append(filter, body, bytes);
        }
    }

    fn change_part(&self, mut change: impl FnMut(&[u8], &mut PartBuffer) -> bool) -> bool {
        const PART: BodyType = BodyType::ReceivedResponse;
        let filter = self.filter.get();
        if !self.has_received(Side::Response) || filter.received_buffered_response_body() {
            return false;
        }
        let part_bytes = filter.body_size(PART);
        let mut buffer = PART_BUFFER.take();
        // The bytes for a piece are appended while they are in the processor's cache.
        let is_changed = filter.with_body(PART, |mut pieces| {
            pieces.all(|piece| {
                let is_changed = change(piece, &mut buffer);
                append(filter, PART, buffer.bytes());
                buffer.clear();
                is_changed
            })
        });
        PART_BUFFER.set(buffer);
        if is_changed {
            filter.drain_body(PART, part_bytes);
        } else {
            let mut part = Vec::new();
            copy(filter, PART, &mut part);
            part.truncate(part_bytes);
            filter.drain_body(PART, usize::MAX);
            append(filter, PART, &part);
        }
        is_changed
    }

    fn clear_trailers(&self, side: Side) {
        let filter = self.filter.get();
        let kind = match side {
            Side::Request => HeaderType::RequestTrailers,
            Side::Response => HeaderType::ResponseTrailers,
        };
        let copied = |headers: Headers<'_>| headers.map(|(name, _)| name.to_vec()).collect();
        let names: Vec<Vec<u8>> = filter.with_headers(kind, copied);
        for name in names {
            filter.remove_header(kind, &name);
        }
    }

    fn respond(&self, response: &HttpResponse) {
        let headers = response.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let filter = self.filter.get();
        filter.respond(response.status, headers, &response.body, DETAILS);
    }

    fn request_tick(&self, _delay: Duration, context: u32) {
        if let Some(filter) = requests::find(context) {
            filter.schedule();
        }
    }

    fn enter(&self, context: u32) -> bool {
        let filter = requests::find(context);
        if let Some(filter) = filter {
            self.filter.set(filter);
        }
        filter.is_some()
    }

    fn reset(&self) {
        self.filter.get().reset(DETAILS);
    }
}

/// The difference between the headers in Envoy and those that are to be there.
#[derive(Debug, Default)]
struct Changes {
    /// The names that are not to be there.
    removed: Vec<Vec<u8>>,
    /// For each header that is to be there, whether it is there already, and alone of its name.
    kept: Vec<bool>,
}

impl Changes {
    fn collect(&mut self, present: &Headers<'_>, wanted: &[(&str, &[u8])]) {
        self.kept.resize(wanted.len(), false);
        for (name, value) in present.clone() {
            let mut same = wanted
                .iter()
                .enumerate()
                .filter(|(_, (other, _))| other.as_bytes() == name);
            match same.next() {
                Some((index, (_, wanted))) => {
                    let is_kept = *wanted == value
                        && same.next().is_none()
                        && present.clone().filter(|(other, _)| *other == name).count() == 1;
                    if let Some(kept) = self.kept.get_mut(index) {
                        *kept = is_kept;
                    }
                }
                None if self.removed.iter().any(|removed| removed == name) => {}
                None => self.removed.push(name.to_vec()),
            }
        }
    }
}
