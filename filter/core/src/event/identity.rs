//! The caller's identity, in the members of API Gateway's events.

use serde_json::{Map, Value};

use crate::encoding::json_writer::{self, JsonWriter};
use crate::request::RequestAttributes;

/// Writes the member `authorizer` of an HTTP API with a JWT authorizer, if there is a token.
pub(super) fn jwt_authorizer(json: &mut JsonWriter, attributes: &RequestAttributes) {
    if let Some(claims) = &attributes.claims {
        json.key("authorizer").object(|json| {
            json.key("jwt").object(|json| {
                write_claims(json, claims);
                json.key("scopes").null();
            });
        });
    }
}

/// Writes the member `authorizer` of a REST API with a Cognito authorizer, if there is a token.
pub(super) fn cognito_authorizer(json: &mut JsonWriter, attributes: &RequestAttributes) {
    if let Some(claims) = &attributes.claims {
        json.key("authorizer")
            .object(|json| write_claims(json, claims));
    }
}

/// Writes the claims as API Gateway does: every claim as a string, an array as its items in brackets.
fn write_claims(json: &mut JsonWriter, claims: &Map<String, Value>) {
    json.key("claims").object(|json| {
        for (name, value) in claims {
            json.name(name).string(&claim(value));
        }
    });
}

fn claim(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(claim).collect();
            format!("[{}]", items.join(" "))
        }
        other => json_writer::to_text(other),
    }
}

/// Writes the member `authentication` of an HTTP API with mutual TLS.
pub(super) fn authentication(json: &mut JsonWriter, attributes: &RequestAttributes) {
    if attributes.client_cert.is_some() {
        json.key("authentication")
            .object(|json| client_cert(json, attributes));
    }
}

/// Writes the member `clientCert`, if there is a certificate.
pub(super) fn client_cert(json: &mut JsonWriter, attributes: &RequestAttributes) {
    let Some(cert) = &attributes.client_cert else {
        return;
    };
    json.key("clientCert").object(|json| {
        json.key("clientCertPem").string(&cert.pem);
        json.key("issuerDN").string(&cert.issuer_dn);
        json.key("serialNumber").string(&cert.serial_number);
        json.key("subjectDN").string(&cert.subject_dn);
        json.key("validity").object(|json| {
            json.key("notAfter").string(&cert.not_after);
            json.key("notBefore").string(&cert.not_before);
        });
    });
}
