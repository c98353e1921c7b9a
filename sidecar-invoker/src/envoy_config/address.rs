//! Addresses, as Envoy takes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::error::EnvoyConfigError;
use crate::config::{HostPort, Listen};

/// Returns the address at which processes on the same machine reach a server that listens on `listen`.
pub(super) fn reachable(listen: &Listen) -> Result<Listen, EnvoyConfigError> {
    let Listen::Tcp(HostPort { host, port }) = listen else {
        return Ok(listen.clone());
    };
    if *port == 0 {
        return Err(EnvoyConfigError::NoFixedPort(listen.clone()));
    }
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.clone(),
    };
    Ok(Listen::Tcp(HostPort { host, port: *port }))
}

pub(super) fn cluster_type(invoker: &Listen) -> &'static str {
    match invoker {
        Listen::Tcp(address) if address.host.parse::<IpAddr>().is_err() => "STRICT_DNS",
        _ => "STATIC",
    }
}

pub(super) fn address(listen: &Listen) -> Value {
    match listen {
        Listen::Tcp(HostPort { host, port }) => socket_address(host, *port),
        Listen::Unix(path) => json!({ "pipe": { "path": path } }),
    }
}

pub(super) fn socket_address(host: &str, port: u16) -> Value {
    let address = match host {
        // Accepts IPv4 too.
        "::" => json!({ "address": host, "port_value": port, "ipv4_compat": true }),
        _ => json!({ "address": host, "port_value": port }),
    };
    json!({ "socket_address": address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoker_that_listens_on_all_addresses_is_reached_on_loopback() {
        let reached =
            |text: &str| reachable(&text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(reached("0.0.0.0:9090").unwrap(), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090").unwrap(), "[::1]:9090");
        assert_eq!(reached("invoker:9090").unwrap(), "invoker:9090");
        assert_eq!(reached("unix:///run/i.sock").unwrap(), "unix:///run/i.sock");
        assert!(
            reached("127.0.0.1:0")
                .unwrap_err()
                .to_string()
                .contains("--invoker")
        );
    }
}
