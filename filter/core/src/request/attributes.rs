//! The attributes of a request that its headers do not hold.

use serde_json::{Map, Value};

use super::identity::ClientCert;

/// The attributes of a request: everything that Envoy knows of it beyond its headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestAttributes {
    /// The client's address without its port: `198.51.100.23`, `2001:db8::7`.
    pub source_ip: String,
    /// The protocol: `HTTP/1.1`, `HTTP/2`.
    pub protocol: String,
    /// The value of `x-request-id`.
    pub request_id: String,
    /// The time of the request, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The claims of a verified token.
    pub claims: Option<Map<String, Value>>,
    /// The certificate of a client on a mutual-TLS listener.
    pub client_cert: Option<ClientCert>,
}
