//! TLS of connections that the invoker opens.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Returns a configuration with the authorities that the system trusts, or that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
///
/// # Errors
/// Returns an error if TLS cannot be set up.
pub(crate) fn trusting_system() -> Result<ClientConfig, rustls::Error> {
    match builder()?.with_native_roots() {
        Ok(trusting) => Ok(trusting.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(
                "no HTTPS endpoint can be trusted: {error}; install ca-certificates, or name a file of certificates in SSL_CERT_FILE"
            );
            trusting_nobody()
        }
    }
}

/// Returns a configuration for a client that opens no encrypted connection.
///
/// # Errors
/// Returns an error if TLS cannot be set up.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let trusting = builder()?.with_root_certificates(RootCertStore::empty());
    Ok(trusting.with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
}
