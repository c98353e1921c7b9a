//! AWS's signature of a request, version 4: pure functions of the request, the key and the time.
//!
//! `aws-sigv4` derives keys and calculates signatures. Its signer of whole requests derives the key
//! anew for each, so what is signed is put together here, and the tests compare the result with
//! that signer's.
//!
//! Source: "Create a signed AWS API request" in the AWS IAM user guide.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::lock::lock;

const SERVICE: &str = "lambda";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Most signing keys that one identity keeps: one per region on one day is usual.
const MOST_KEYS: usize = 64;

/// A request as far as its signature covers it.
pub(crate) struct Signed<'r> {
    /// The path as it is sent, percent-encoded but for letters, digits and `/-._~`.
    pub(crate) path: &'r str,
    /// The query as it is sent, encoded likewise, its parameters sorted; empty if there is none.
    pub(crate) query: &'r str,
    /// The host, with the port if it is not the scheme's own.
    pub(crate) host: &'r str,
    /// [`digest`] of the body.
    pub(crate) payload: &'r str,
    /// The region of the endpoint.
    pub(crate) region: &'r str,
}

/// Somebody whom AWS knows, and the signing keys derived so far.
pub(crate) struct Identity {
    credentials: Credentials,
    keys: Mutex<Vec<Key>>,
}

#[derive(Clone)]
struct Key {
    /// `20260131`.
    day: Box<str>,
    region: Box<str>,
    bytes: Arc<[u8]>,
}

impl Identity {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            keys: Mutex::default(),
        }
    }

    /// When it ceases to be valid; `None` if it does not or nobody can tell.
    pub(crate) fn expiry(&self) -> Option<SystemTime> {
        self.credentials.expiry()
    }

    /// Adds the headers that sign a POST request sent at `now`. Every header that is in `headers`
    /// already is signed.
    pub(crate) fn sign(&self, headers: &mut HeaderMap, request: &Signed<'_>, now: SystemTime) {
        let time = timestamp(now);
        let day = time.get(..8).unwrap_or_default();
        if let Ok(value) = HeaderValue::try_from(&time) {
            headers.insert(DATE, value);
        }
        let token = self.credentials.session_token().map(HeaderValue::try_from);
        if let Some(Ok(mut token)) = token {
            token.set_sensitive(true);
            headers.insert(SECURITY_TOKEN, token);
        }
        let (canonical, names) = canonical(headers, request);
        let region = request.region;
        let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical));
        let signature = calculate_signature(self.key(day, region, now), text.as_bytes());
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.credentials.access_key_id()
        );
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }

    fn key(&self, day: &str, region: &str, now: SystemTime) -> Arc<[u8]> {
        let mut keys = lock(&self.keys);
        let known = keys
            .iter()
            .find(|key| &*key.day == day && &*key.region == region);
        if let Some(key) = known {
            return Arc::clone(&key.bytes);
        }
        keys.retain(|key| &*key.day == day);
        if keys.len() >= MOST_KEYS {
            keys.clear();
        }
        let secret = self.credentials.secret_access_key();
        let bytes: Arc<[u8]> = generate_signing_key(secret, now, region, SERVICE)
            .as_ref()
            .into();
        keys.push(Key {
            day: day.into(),
            region: region.into(),
            bytes: Arc::clone(&bytes),
        });
        bytes
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the credentials nor the keys may get into a log.
        out.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The SHA-256 of a body in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(*DIGITS.get(usize::from(value)).unwrap_or(&b'0'));
    let digits = |byte: u8| [digit(byte >> 4), digit(byte & 15)];
    Sha256::digest(bytes).into_iter().flat_map(digits).collect()
}

/// The canonical request, and the names of the signed headers.
fn canonical(headers: &HeaderMap, request: &Signed<'_>) -> (Vec<u8>, String) {
    let mut signed: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    signed.push(("host", request.host.as_bytes()));
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");

    // Every service but S3 signs the path encoded once more than it is sent.
    let path = request.path.replace('%', "%25");
    let mut text = format!("POST\n{path}\n{}\n", request.query).into_bytes();
    for (name, value) in signed {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        let words = value
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(names.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(request.payload.as_bytes());
    (text, names)
}

/// `20260131T235959Z`.
fn timestamp(now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = (now.hour(), now.minute(), now.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_sigv4::http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use hyper::Request;

    use super::*;

    const HOST: &str = "lambda.eu-west-1.amazonaws.com";

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_798_761_599)
    }

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        )
    }

    /// What `aws-sigv4` signs by itself.
    fn reference(
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        credentials: &Credentials,
    ) -> String {
        let identity = credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(SERVICE)
            .time(now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = headers.iter().copied();
        let request =
            SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request.headers()[AUTHORIZATION]
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn signatures_are_those_of_the_sdk() {
        let paths = [
            ("/2015-03-31/functions/hello/invocations", ""),
            (
                "/2015-03-31/functions/hello/invocations",
                "Qualifier=%24LATEST",
            ),
            (
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello%3Alive/invocations",
                "",
            ),
            (
                "/2021-11-15/functions/a-b_c/response-streaming-invocations",
                "Qualifier=live",
            ),
        ];
        let headers: [&[(&str, &str)]; 3] = [
            &[],
            &[
                ("content-type", "application/json"),
                ("x-amz-invocation-type", "Event"),
            ],
            &[
                ("x-amz-tenant-id", "  a   tenant = x "),
                ("x-amz-client-context", "e30="),
            ],
        ];
        for (path, query) in paths {
            for headers in headers {
                for token in [None, Some("a/session+token==")] {
                    let credentials = credentials(token);
                    let body = "{\"name\":\"J\u{fc}rgen\"}".as_bytes();
                    let question = if query.is_empty() { "" } else { "?" };
                    let uri = format!("https://{HOST}{path}{question}{query}");
                    let mut map = HeaderMap::new();
                    for (name, value) in headers {
                        let name: HeaderName = name.parse().unwrap();
                        map.insert(name, HeaderValue::from_static(value));
                    }
                    let request = Signed {
                        path,
                        query,
                        host: HOST,
                        payload: &digest(body),
                        region: "eu-west-1",
                    };
                    Identity::new(credentials.clone()).sign(&mut map, &request, now());
                    assert_eq!(
                        map[AUTHORIZATION],
                        reference(&uri, headers, body, &credentials),
                        "{uri} {headers:?} {token:?}"
                    );
                    assert_eq!(map[DATE], "20261231T235959Z");
                    assert_eq!(map.contains_key(SECURITY_TOKEN), token.is_some());
                }
            }
        }
    }

    #[test]
    fn a_key_holds_for_its_day_and_region() {
        let identity = Identity::new(credentials(None));
        let one = identity.key("20261231", "eu-west-1", now());
        assert!(Arc::ptr_eq(
            &one,
            &identity.key("20261231", "eu-west-1", now())
        ));
        assert_ne!(one, identity.key("20261231", "eu-west-2", now()));
        let next_day = now() + Duration::from_secs(1);
        assert_ne!(one, identity.key("20270101", "eu-west-1", next_day));
        assert_eq!(
            identity.keys.lock().unwrap().len(),
            1,
            "yesterday's are gone"
        );
    }
}
