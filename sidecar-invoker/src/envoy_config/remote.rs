//! Clusters of servers that Envoy itself calls.

use serde_json::json;

use super::address::socket_address;
use super::yaml;

/// The authorities of Debian and Ubuntu.
const TRUSTED_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server.
pub(super) struct Remote<'r> {
    /// The name of the cluster.
    pub(super) name: &'r str,
    /// A comment line.
    pub(super) comment: &'r str,
    pub(super) host: &'r str,
    pub(super) port: u16,
    pub(super) is_encrypted: bool,
}

impl Remote<'_> {
    /// Returns the text of the cluster below its name.
    pub(super) fn cluster(&self) -> String {
        let Self {
            name,
            comment,
            host,
            port,
            is_encrypted,
        } = *self;
        let mut text = format!(
            "    # {comment}\n    connect_timeout: 5s\n    \
             type: STRICT_DNS\n    dns_lookup_family: V4_PREFERRED\n    load_assignment:\n      \
             cluster_name: {name}\n      endpoints:\n      - lb_endpoints:\n        \
             - endpoint: {{ address: {} }}\n",
            yaml::flow(&socket_address(host, port)),
        );
        if is_encrypted {
            text.push_str(&tls(host));
        }
        text
    }
}

fn tls(host: &str) -> String {
    let name = json!([{ "san_type": "DNS", "matcher": { "exact": host } }]);
    format!(
        "    transport_socket:\n      name: envoy.transport_sockets.tls\n      typed_config:\n        \
         \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        \
         sni: {}\n        common_tls_context:\n          validation_context:\n            \
         # The path of Debian and Ubuntu. On Amazon Linux: /etc/pki/tls/certs/ca-bundle.crt\n            \
         trusted_ca: {{ filename: {TRUSTED_CA} }}\n            match_typed_subject_alt_names: {}\n",
        yaml::text(host),
        yaml::flow(&name),
    )
}
