//! The report of the client's request, by which the invoker's console shows what the client sent.

use lambda_api::client_request::{Facts, Writer};
use serde_json::Value;

use super::host::{Host, Property};
use super::phase::Attempt;
use crate::encoding::json_writer;
use crate::request::Request;
use crate::request::header_map::first;

/// The pseudo-headers of a request.
const PSEUDO_HEADERS: [&str; 4] = [":method", ":scheme", ":authority", ":path"];

/// Returns the value of [`CLIENT_REQUEST`](lambda_api::headers::CLIENT_REQUEST), if the configuration asks for it. The
/// headers are those that the event is made from.
pub(super) fn value(host: &impl Host, attempt: &Attempt, request: &Request<'_>) -> Option<Vec<u8>> {
    let settings = attempt.config.reported_settings.as_ref()?;
    let attributes = &attempt.attributes;
    let certificate = attributes.client_cert.as_ref();
    let certificate = certificate.and_then(|_| host.property(Property::PeerCertificateDigest));
    let claims = attributes.claims.clone().map(Value::Object);
    let claims = claims.as_ref().map(json_writer::to_text);
    let mut writer = Writer::new(&Facts {
        time_ns: attributes.time_ns,
        source_ip: attributes.source_ip.as_bytes(),
        protocol: attributes.protocol.as_bytes(),
        certificate: &certificate.unwrap_or_default(),
        claims: claims.unwrap_or_default().as_bytes(),
        settings: settings.as_bytes(),
    });
    for name in PSEUDO_HEADERS {
        if let Some(value) = first(&attempt.client_headers, name) {
            writer.header(name.as_bytes(), value);
        }
    }
    for (name, value) in &request.headers {
        writer.header(name.as_bytes(), value);
    }
    Some(writer.finish())
}
