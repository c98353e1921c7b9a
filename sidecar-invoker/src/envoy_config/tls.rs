//! HTTPS.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::yaml;

/// The certificate and the key of a server, as files in the PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Tls {
    /// Returns the transport socket of the listener.
    pub(super) fn in_listener(&self) -> String {
        let file = |path: &Path| json!({ "filename": path.to_string_lossy() });
        let context = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{
                    "certificate_chain": file(&self.certificate),
                    "private_key": file(&self.key),
                }],
            },
        });
        let socket = json!({ "name": "envoy.transport_sockets.tls", "typed_config": context });
        format!("transport_socket: {}\n      ", yaml::flow(&socket))
    }
}
