//! Asks Envoy for the attributes of a request.

use std::net::IpAddr;

use lambda_api::headers::ENVOY_REQUEST_ID;
use serde_json::{Map, Value};

use super::host::{Host, Property};
use super::phase::CLAIMS;
use crate::config::Config;
use crate::config::values::{BuiltInFormat, EventFormat};
use crate::request::header_map::{first, text};
use crate::request::identity::{self, ClientCert};
use crate::request::{HeaderMap, RequestAttributes};

/// Returns the attributes of the request that came at `time_ns`. Attributes that are not in the
/// event's format are not asked for.
pub(super) fn collect(
    host: &impl Host,
    headers: &HeaderMap,
    config: &Config,
    time_ns: i64,
) -> RequestAttributes {
    let string = |property| {
        let bytes = host.property(property).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    // A mirrored request has no connection. If its address is asked for, Envoy (1.36 to 1.40) ends
    // in a segmentation fault. Only this property tells whether there is a connection.
    let has_connection = host.property(Property::ConnectionId).is_some();
    let source = has_connection.then(|| string(Property::SourceAddress));
    // The console shows the event in all formats.
    let is_reported = config.reported_settings.is_some();
    let has_identity = is_reported
        || matches!(
            config.format,
            EventFormat::BuiltIn(BuiltInFormat::ApigatewayV1 | BuiltInFormat::ApigatewayV2)
        );
    let has_certificate = has_identity && has_connection;
    let has_protocol =
        has_identity || config.format == EventFormat::BuiltIn(BuiltInFormat::FunctionUrl);
    RequestAttributes {
        source_ip: match &source {
            Some(address) => source_ip(address),
            None => last_hop(headers),
        },
        protocol: match has_protocol {
            true => string(Property::Protocol),
            false => String::new(),
        },
        request_id: text(first(headers, ENVOY_REQUEST_ID).unwrap_or_default()).into_owned(),
        time_ns,
        claims: has_identity.then(|| claims(host)).flatten(),
        client_cert: has_certificate
            .then(|| client_cert(host, headers))
            .flatten(),
    }
}

/// Returns the caller of a mirrored request, which the listener has appended to the header.
fn last_hop(headers: &HeaderMap) -> String {
    let hops = text(first(headers, "x-forwarded-for").unwrap_or_default());
    let last = hops.rsplit(',').next().unwrap_or_default();
    last.trim().to_owned()
}

fn claims(host: &impl Host) -> Option<Map<String, Value>> {
    if host.capabilities().has_dynamic_metadata {
        identity::claims(&host.property(Property::DynamicMetadata)?)
    } else {
        identity::claims_of_text(&host.filter_state(CLAIMS)?)
    }
}

/// Returns the certificate in the header if it is the one of this connection.
fn client_cert(host: &impl Host, headers: &HeaderMap) -> Option<ClientCert> {
    let header = text(first(headers, "x-forwarded-client-cert")?);
    let digest = host.property(Property::PeerCertificateDigest)?;
    ClientCert::from_forwarded(&header, &text(&digest))
}

/// Returns the IP address of `198.51.100.23:4711` or `[2001:db8::7]:4711`. A caller on a Unix socket
/// is on this machine. The result is empty for any other caller.
fn source_ip(address: &str) -> String {
    if address.starts_with(['/', '@']) {
        return "127.0.0.1".to_owned();
    }
    let ip = match address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((ip, _port)) => ip,
        None => match address.rsplit_once(':') {
            Some((ip, _port)) if !ip.contains(':') => ip,
            _ => address,
        },
    };
    // An interface may follow the address: `fe80::1%eth0`.
    let ip = ip.split('%').next().unwrap_or_default();
    match ip.parse::<IpAddr>() {
        Ok(_) => ip.to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_an_address_without_a_port() {
        assert_eq!(source_ip("198.51.100.23:4711"), "198.51.100.23");
        assert_eq!(source_ip("[2001:db8::7]:4711"), "2001:db8::7");
        assert_eq!(source_ip("[fe80::1%eth0]:4711"), "fe80::1");
        assert_eq!(source_ip("2001:db8::7"), "2001:db8::7");
        assert_eq!(source_ip("198.51.100.23"), "198.51.100.23");
        assert_eq!(source_ip("/run/envoy.sock"), "127.0.0.1");
        assert_eq!(source_ip("envoy://internal/1"), "");
    }
}
