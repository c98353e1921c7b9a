//! The caller's identity, as Envoy has verified it: the claims of a token, and a client certificate.

use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{AnyRef, Decode, Reader, SliceReader, Tag, Tagged};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::header_map::{parameter, split_quoted};
use crate::encoding::{base64, json, protobuf};

/// The namespace in which Envoy's JWT filter puts a token's payload, by `payload_in_metadata`.
const JWT_NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// Returns the claims of the token that Envoy's JWT filter verified, from the request's dynamic
/// metadata. The first of several tokens counts, by the names of their keys.
#[must_use]
pub(crate) fn claims(dynamic_metadata: &[u8]) -> Option<Map<String, Value>> {
    first_payload(protobuf::namespace(dynamic_metadata, JWT_NAMESPACE).ok()?)
}

/// Returns the same claims from the namespace of Envoy's JWT filter as a JSON object. The text is `-` if
/// the request has none.
#[must_use]
pub(crate) fn claims_of_text(namespace: &[u8]) -> Option<Map<String, Value>> {
    match json::parse(namespace).ok()? {
        Value::Object(payloads) => first_payload(payloads),
        _ => None,
    }
}

fn first_payload(payloads: Map<String, Value>) -> Option<Map<String, Value>> {
    let payloads = payloads
        .into_iter()
        .filter_map(|(name, payload)| match payload {
            Value::Object(claims) if is_payload(&claims) => Some((name, claims)),
            _ => None,
        });
    let (_, claims) = payloads.min_by(|(one, _), (other, _)| one.cmp(other))?;
    Some(claims)
}

/// Returns whether fields are the payload of a token. The namespace also holds tokens' headers
/// (`header_in_metadata`) and reasons for failures (`failed_status_in_metadata`).
fn is_payload(fields: &Map<String, Value>) -> bool {
    let has = |name| fields.contains_key(name);
    let is_failure = has("code") && has("message");
    !(is_failure || has("alg"))
}

/// The certificate of a client on a mutual-TLS listener, in AWS's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// The certificate in PEM.
    pub pem: String,
    /// The subject, in the form of RFC 4514.
    pub subject_dn: String,
    /// The issuer, in the form of RFC 4514.
    pub issuer_dn: String,
    /// The serial number: pairs of hexadecimal digits with `:` between them.
    pub serial_number: String,
    /// The beginning of its validity: `May 28 12:30:02 2019 GMT`.
    pub not_before: String,
    /// The end of its validity.
    pub not_after: String,
}

impl ClientCert {
    /// Reads the header `x-forwarded-client-cert`. Envoy sets it on a listener with
    /// `set_current_client_cert_details: {cert: true}` and `forward_client_cert_details: SANITIZE_SET`, or
    /// `APPEND_FORWARD`, with which the last element is Envoy's own.
    ///
    /// `digest` is the SHA-256, in hexadecimal, of the certificate that Envoy itself has seen. A header
    /// with another certificate is the client's own and is not believed.
    #[must_use]
    pub(crate) fn from_forwarded(header: &str, digest: &str) -> Option<Self> {
        let element = split_quoted(header, ',').last()?;
        let encoded = parameter(element, "cert")?;
        let pem = percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .ok()?;
        Self::from_pem(&pem, digest)
    }

    fn from_pem(pem: &str, digest: &str) -> Option<Self> {
        let body = pem.trim().strip_prefix("-----BEGIN CERTIFICATE-----")?;
        let body = body.strip_suffix("-----END CERTIFICATE-----")?;
        let text: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let der = base64::decode(&text).ok()?;
        if hex(&Sha256::digest(&der), "") != digest {
            return None;
        }
        Self::from_der(pem, &der).ok()
    }

    /// Reads the first fields of a certificate: RFC 5280, section 4.1. Keys and extensions, which follow,
    /// were checked by Envoy before there was a request.
    fn from_der(pem: &str, der: &[u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let mut body = enter(&mut enter(&mut reader, Tag::Sequence)?, Tag::Sequence)?;
        reader.finish()?;
        if Tag::peek(&body)?.is_context_specific() {
            let _version = body.tlv_bytes()?;
        }
        let serial = AnyRef::decode(&mut body)?;
        serial.tag().assert_eq(Tag::Integer)?;
        let serial = serial.value();
        let _signature_algorithm = body.tlv_bytes()?;
        let issuer = enter(&mut body, Tag::Sequence)?;
        let mut validity = enter(&mut body, Tag::Sequence)?;
        let subject = enter(&mut body, Tag::Sequence)?;
        Ok(Self {
            pem: pem.to_owned(),
            subject_dn: distinguished_name(subject)?,
            issuer_dn: distinguished_name(issuer)?,
            // DER puts a zero before a first byte of 128 or more.
            serial_number: hex(serial.strip_prefix(&[0]).unwrap_or(serial), ":"),
            not_before: openssl_time(AnyRef::decode(&mut validity)?)?,
            not_after: openssl_time(AnyRef::decode(&mut validity)?)?,
        })
    }
}

/// Returns a reader of the content of the next value, which has this tag.
fn enter<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<SliceReader<'a>> {
    let value = AnyRef::decode(reader)?;
    value.tag().assert_eq(tag)?;
    SliceReader::new(value.value())
}

/// Returns a name in the form of RFC 4514: `CN=client,O=Example`.
fn distinguished_name(mut name: SliceReader<'_>) -> der::Result<String> {
    let mut relative_names = Vec::new();
    while !name.is_finished() {
        let mut relative = enter(&mut name, Tag::Set)?;
        let mut attributes = Vec::new();
        while !relative.is_finished() {
            let mut attribute = enter(&mut relative, Tag::Sequence)?;
            let oid = ObjectIdentifier::decode(&mut attribute)?;
            let known = ATTRIBUTES.iter().find(|(known, _)| *known == oid);
            let key = known.map_or_else(|| oid.to_string(), |(_, short)| (*short).to_owned());
            attributes.push(format!(
                "{key}={}",
                attribute_value(attribute.tlv_bytes()?)?
            ));
        }
        relative_names.push(attributes.join("+"));
    }
    relative_names.reverse();
    Ok(relative_names.join(","))
}

/// The attributes of RFC 4514, section 3, and others that certificates commonly have.
const ATTRIBUTES: [(ObjectIdentifier, &str); 12] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "SERIALNUMBER"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "T"),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"),
        "UID",
    ),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"),
        "DC",
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"),
        "EMAILADDRESS",
    ),
];

/// Returns text with its special characters escaped, and any other value, with tag and length, in
/// hexadecimal.
fn attribute_value(value: &[u8]) -> der::Result<String> {
    let any = AnyRef::from_der(value)?;
    let is_text = matches!(
        any.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString
    );
    let text = std::str::from_utf8(any.value()).ok().filter(|_| is_text);
    let Some(text) = text else {
        return Ok(format!("#{}", hex(value, "")));
    };
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let at_edge = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        if at_edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

fn hex(bytes: &[u8], separator: &str) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().join(separator)
}

/// Returns a time in the form of OpenSSL and AWS: `Aug  5 09:36:04 2021 GMT`.
fn openssl_time(time: AnyRef<'_>) -> der::Result<String> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let time = match time.tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>()?.to_date_time(),
        _ => time.decode_as::<GeneralizedTime>()?.to_date_time(),
    };
    let month = usize::from(time.month()).checked_sub(1);
    let month = month.and_then(|month| MONTHS.get(month));
    Ok(format!(
        "{} {:>2} {:02}:{:02}:{:02} {} GMT",
        month.copied().unwrap_or_default(),
        time.day(),
        time.hour(),
        time.minutes(),
        time.seconds(),
        time.year(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Made with `openssl req -x509 -subj "/C=DE/O=Example Corp, Inc./CN=client.example.com"`.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIB1TCCAXugAwIBAgIEAKGywzAKBggqhkjOPQQDAjBHMQswCQYDVQQGEwJERTEb\n\
MBkGA1UECgwSRXhhbXBsZSBDb3JwLCBJbmMuMRswGQYDVQQDDBJjbGllbnQuZXhh\n\
bXBsZS5jb20wIBcNMjYxMTIxMjEzNjA5WhgPMjEyNjEwMjgyMTM2MDlaMEcxCzAJ\n\
BgNVBAYTAkRFMRswGQYDVQQKDBJFeGFtcGxlIENvcnAsIEluYy4xGzAZBgNVBAMM\n\
EmNsaWVudC5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAWO\n\
GEWj3qWhziZzHcJYyc6JL9MdbIUplMSGMZgnm42KQKlHvIgdXxAZB5dnZ74fRF/k\n\
o6Q2AO1ItJzob3Szjr6jUzBRMB0GA1UdDgQWBBRIyd6xFCfh8b2RnI2tGAHptJmp\n\
BjAfBgNVHSMEGDAWgBRIyd6xFCfh8b2RnI2tGAHptJmpBjAPBgNVHRMBAf8EBTAD\n\
AQH/MAoGCCqGSM49BAMCA0gAMEUCIG0tNLfeNlAveiC21Vl5qu9YvGbC2nPgwOF0\n\
W3s2MHq4AiEAumJxR06C+CXPLQwap5nFPuR4Ohy1zS1AGZhtGjPmWwU=\n\
-----END CERTIFICATE-----\n";

    /// The digest of the DER form: `openssl x509 -outform der | sha256sum`.
    const DIGEST: &str = "069aec7cde5f38fc4f5ec63c4846a11f72741ed96f6a618714ceec46ccc395cc";

    fn forwarded(cert: &str) -> String {
        let encoded =
            percent_encoding::utf8_percent_encode(cert, percent_encoding::NON_ALPHANUMERIC);
        format!("By=spiffe://a;Hash=00;Cert=\"{encoded}\";Subject=\"CN=x,O=y;z\"")
    }

    #[test]
    fn claims_are_the_payload_of_a_verified_token_and_nothing_else() {
        let payload = json!({"sub": "user-1"});
        for (namespace, expected) in [
            (json!({"p": payload}), Some(&payload)),
            (
                json!({"a": {"alg": "RS256", "kid": "1"}, "p": payload}),
                Some(&payload),
            ),
            (
                json!({"failed": {"code": 401, "message": "Jwt is expired"}}),
                None,
            ),
            (json!({"p": "text"}), None),
            (json!({}), None),
        ] {
            let claims =
                claims(&protobuf::tests::message(JWT_NAMESPACE, &namespace)).map(Value::Object);
            assert_eq!(claims.as_ref(), expected);
        }
        assert_eq!(claims(b""), None);
    }

    #[test]
    fn a_forwarded_certificate_is_read_as_openssl_prints_it() {
        let cert = ClientCert::from_forwarded(&forwarded(PEM), DIGEST).unwrap();
        assert_eq!(cert.pem, PEM);
        assert_eq!(
            cert.subject_dn,
            r"CN=client.example.com,O=Example Corp\, Inc.,C=DE"
        );
        assert_eq!(cert.issuer_dn, cert.subject_dn);
        assert_eq!(cert.serial_number, "a1:b2:c3");
        assert_eq!(cert.not_before, "Nov 21 21:36:09 2026 GMT");
        assert_eq!(cert.not_after, "Oct 28 21:36:09 2126 GMT");
    }

    #[test]
    fn of_several_hops_the_last_is_envoys_own() {
        let header = format!("Cert=\"other\";Subject=\"a,b\",{}", forwarded(PEM));
        assert!(ClientCert::from_forwarded(&header, DIGEST).is_some());
        let header = format!("{},Hash=1", forwarded(PEM));
        assert_eq!(ClientCert::from_forwarded(&header, DIGEST), None);
    }

    #[test]
    fn a_certificate_that_envoy_was_not_shown_is_none() {
        assert_eq!(ClientCert::from_forwarded(&forwarded(PEM), "00"), None);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        for header in [
            "",
            "Cert",
            "Cert=",
            "Cert=\"%ff\"",
            "Cert=\"x",
            &forwarded(PEM.get(..200).unwrap()),
        ] {
            assert_eq!(ClientCert::from_forwarded(header, DIGEST), None, "{header}");
        }
    }

    #[test]
    fn a_name_holds_what_certificates_hold() {
        // {CN="#a" + an unknown attribute that is a number}, {O=" b "}.
        let name = b"\x31\x16\x30\x09\x06\x03\x55\x04\x03\x0c\x02#a\
            \x30\x09\x06\x04\x2a\x03\x04\x05\x02\x01\x07\
            \x31\x0c\x30\x0a\x06\x03\x55\x04\x0a\x13\x03 b ";
        let name = distinguished_name(SliceReader::new(name).unwrap()).unwrap();
        assert_eq!(name, r"O=\ b\ ,CN=\#a+1.2.3.4.5=#020107");
    }

    proptest! {
        #[test]
        fn no_certificate_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let text: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
            let mut der = base64::decode(text.as_bytes()).unwrap();
            let at = at.index(der.len());
            der[at] = byte;
            let _ = ClientCert::from_der(PEM, &der);
            prop_assert!(ClientCert::from_der(PEM, &der[..at]).is_err());
        }
    }
}
