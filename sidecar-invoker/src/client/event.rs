//! Events made from requests, by the code of the filter.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use lambda_filter_core::config::{Config, Problems, Settings};
use lambda_filter_core::request::{Request, RequestAttributes};
use lambda_filter_core::{Error, event};
use serde_json::{Map, Value};

use super::call::Mode;
use crate::config::Route;
use crate::envoy_config::route_keys;
use crate::invocation::RequestId;
use lambda_api::FunctionReference;
use lambda_api::headers::ENVOY_REQUEST_ID;

/// The address of the client of a request that an event is made from.
const CLIENT_ADDRESS: &str = "127.0.0.1";
const AGENT: &str = concat!("sidecar-invoker/", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A request that is not sent, but made into an event.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) host: String,
    /// The headers that replace those that a client sends by itself.
    pub(crate) headers: Vec<ClientHeader>,
    pub(crate) body: Vec<u8>,
}

/// A header, as curl takes it: `Name: value`, `Name;` for an empty value, and `Name:` to leave the header out.
#[derive(Debug, Clone)]
pub(crate) struct ClientHeader {
    name: HeaderName,
    value: Option<HeaderValue>,
}

/// The error for a header in another form.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected `Name: value`")]
pub(crate) struct NotHeader;

impl std::str::FromStr for ClientHeader {
    type Err = NotHeader;

    fn from_str(text: &str) -> Result<Self, NotHeader> {
        let (name, value) = match (text.split_once(':'), text.strip_suffix(';')) {
            (Some((name, value)), _) => {
                (name, Some(value.trim()).filter(|value| !value.is_empty()))
            }
            (None, Some(name)) => (name, Some("")),
            (None, None) => return Err(NotHeader),
        };
        let value = value.map(|value| HeaderValue::from_bytes(value.as_bytes()));
        Ok(Self {
            name: name.trim().parse().map_err(|_| NotHeader)?,
            value: value.transpose().map_err(|_| NotHeader)?,
        })
    }
}

impl ClientRequest {
    /// Returns the event of the request, in the format of `keys`, whose configuration is `config`.
    ///
    /// # Errors
    /// Those of [`event::encode`].
    pub(crate) fn encode(
        &self,
        keys: &FilterKeys,
        config: &Config,
        now: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let request_id = RequestId::random().to_string();
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let attributes = RequestAttributes {
            source_ip: CLIENT_ADDRESS.to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            time_ns: i64::try_from(since_1970.as_nanos()).unwrap_or_default(),
            request_id,
            ..RequestAttributes::default()
        };
        let map = self.header_map(&attributes.request_id);
        let strip_prefix = keys.0.get("strip_prefix").and_then(Value::as_str);
        let request = Request::new(&map, strip_prefix, &attributes, &self.body);
        event::encode(&request.ok_or(Error::NoPath)?, config)
    }

    /// Returns the headers as the filter gets them from Envoy.
    fn header_map(&self, request_id: &str) -> Vec<(String, Vec<u8>)> {
        let content_type = match serde_json::from_slice::<serde::de::IgnoredAny>(&self.body) {
            Ok(_) => JSON,
            Err(_) => FORM,
        };
        let mut map: Vec<(String, Vec<u8>)> = [
            (":method", self.method.as_str()),
            (":path", self.path.as_str()),
            (":authority", &self.host),
            (":scheme", "http"),
            ("accept", "*/*"),
            ("content-type", content_type),
            ("user-agent", AGENT),
            // Envoy adds these.
            ("x-forwarded-for", CLIENT_ADDRESS),
            ("x-forwarded-proto", "http"),
            (ENVOY_REQUEST_ID, request_id),
        ]
        .into_iter()
        .filter(|(name, _)| *name != "content-type" || !self.body.is_empty())
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
        let replaced = |name: &str| self.headers.iter().any(|header| header.name == name);
        map.retain(|(name, _)| !replaced(name));
        for ClientHeader { name, value } in &self.headers {
            let Some(value) = value else { continue };
            let name = match name.as_str() {
                "host" => ":authority",
                name => name,
            };
            map.retain(|(known, _)| known != name || name != ":authority");
            map.push((name.to_owned(), value.as_bytes().to_vec()));
        }
        map
    }
}

/// The keys of the filter's configuration, by which events are made and responses are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterKeys(Map<String, Value>);

impl FilterKeys {
    /// Sets a key. The value is JSON if the key takes it so, and otherwise a text.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let is_valid = |value: &Value| {
            let fields = [(key.to_owned(), value.clone())];
            Settings::parse(&Map::from_iter(fields)).is_ok()
        };
        let json = serde_json::from_str(value).ok().filter(is_valid);
        let value = json.unwrap_or_else(|| Value::from(value));
        self.0.insert(key.to_owned(), value);
    }

    /// Returns the keys of a route, as the configuration of Envoy has them.
    pub(crate) fn of_route(route: &Route) -> Self {
        Self(route_keys(route))
    }

    /// Returns whether the event and the response are those of an HTTP service, and not any JSON.
    pub(crate) fn is_http(&self) -> bool {
        self.0.get("payload").is_none_or(|payload| payload != RAW)
    }

    /// Returns the mode of the key `invocation`, if it is set.
    pub(crate) fn mode(&self) -> Option<Mode> {
        let invocation = self.0.get("invocation")?;
        Some(Mode::of_filter(invocation.as_str()?))
    }

    /// Returns the configuration with these keys for a function. A mode replaces that of the keys.
    ///
    /// # Errors
    /// Every key that is unknown or has a wrong value, and keys that exclude each other.
    pub(crate) fn config(
        &self,
        function: &FunctionReference,
        mode: Option<Mode>,
    ) -> Result<Config, Problems> {
        let mut keys = self.0.clone();
        keys.insert("function".to_owned(), function.as_str().into());
        if let Some(mode) = mode {
            keys.insert("invocation".to_owned(), mode.for_filter().into());
        }
        Settings::parse(&keys)?.into_config()
    }

    /// Returns the keys for payloads that are passed on as they are.
    pub(crate) fn raw(mode: Mode) -> Self {
        let mut keys = Self::default();
        keys.set("payload", RAW);
        if mode == Mode::Stream {
            // A stream may begin with the status and the headers of an HTTP response.
            keys.set("response", RAW);
        }
        keys
    }
}

/// The format in which the body is the event, and the payload the response.
const RAW: &str = "raw";
