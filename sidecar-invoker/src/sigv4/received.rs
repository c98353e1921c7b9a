//! The signature of a request that was received.
//!
//! A signature may stand in the query too (a presigned URL). Nobody presigns an invocation, so only the
//! header `authorization` counts.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use lambda_api::operation::canonical_query;
use ring::hmac;
use time::{Date, Month, OffsetDateTime, Time};

use super::canonical::{
    ALGORITHM, DATE, Digest, SECURITY_TOKEN, SERVICE, SignedParts, canonical_request,
    string_to_sign,
};
use super::identity::Identity;

static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// Some SDKs do not sign this header, and the invoker does not read it.
const UNSIGNED: &str = "x-amz-user-agent";
/// The largest difference between the clocks of caller and invoker. AWS allows as much.
const MAX_SKEW: Duration = Duration::from_secs(300);
/// The most headers that a signature may name.
const MAX_SIGNED_HEADERS: usize = 128;

/// The parts of a signature.
#[derive(Debug)]
pub(crate) struct Signature<'r> {
    /// The id of the access key.
    pub(crate) access_key_id: &'r str,
    /// The time in the form `20260131T235959Z`.
    time: &'r str,
    region: &'r str,
    /// The names of the signed headers, separated by semicolons.
    signed_headers: &'r str,
    code: [u8; 32],
    /// The digest of the payload, if a header has it.
    pub(crate) payload: Option<Digest>,
}

/// The reason why a signature is not accepted. The text is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// The signature has not all of its parts.
    #[error("{0}")]
    Incomplete(&'static str),
    /// The clocks differ.
    #[error(
        "Signature expired or not yet current: the clocks of caller and invoker differ by more than 5 minutes"
    )]
    Skew,
    /// The credentials are temporary ones.
    #[error(
        "The security token included in the request is invalid: the invoker knows no session tokens; unset AWS_SESSION_TOKEN"
    )]
    SessionToken,
    /// The signature does not belong to the request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check the secret access key, and that no proxy on the way changes the host, the path or a signed header."
    )]
    Mismatch,
}

impl<'r> Signature<'r> {
    /// Returns whether the request has a header `authorization` with a signature of AWS.
    pub(crate) fn is_in(headers: &HeaderMap) -> bool {
        let value = headers.get(AUTHORIZATION);
        value.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
    }

    /// Reads the signature of a request that arrived at `now`. It still has to be verified.
    ///
    /// # Errors
    /// Returns an error if a part is missing or has a wrong form, or if the time is too far away.
    pub(crate) fn read(headers: &'r HeaderMap, now: SystemTime) -> Result<Self, SignatureError> {
        use SignatureError::Incomplete;
        if headers.contains_key(&SECURITY_TOKEN) {
            return Err(SignatureError::SessionToken);
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let value = value.filter(|_| values.next().is_none());
        let value = value
            .and_then(|value| value.strip_prefix(ALGORITHM)?.strip_prefix(' '))
            .ok_or(Incomplete(
                "the algorithm of the signature must be AWS4-HMAC-SHA256",
            ))?;
        let part = |name: &str| {
            let mut parts = value.split(',').map(str::trim_ascii);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = part("Credential").unwrap_or_default().split('/');
        let mut word = || scope.next().unwrap_or_default();
        let (access_key_id, day, region, service, end) = (word(), word(), word(), word(), word());
        if access_key_id.is_empty() || region.is_empty() || end != "aws4_request" {
            return Err(Incomplete(
                "Authorization header requires `Credential=KEY/DAY/REGION/lambda/aws4_request`",
            ));
        }
        if service != SERVICE {
            return Err(Incomplete(
                "Credential should be scoped to the service lambda",
            ));
        }
        let time = headers.get(&DATE).and_then(|value| value.to_str().ok());
        let time = time.filter(|time| time.starts_with(day) && day.len() == 8);
        let time = time.ok_or(Incomplete(
            "the header x-amz-date must have the day of the Credential",
        ))?;
        let sent = parse(time).ok_or(Incomplete(
            "the header x-amz-date must be like 20260131T235959Z",
        ))?;
        let skew = now
            .duration_since(sent)
            .unwrap_or_else(|error| error.duration());
        if skew > MAX_SKEW {
            return Err(SignatureError::Skew);
        }
        let signed_headers = part("SignedHeaders").unwrap_or_default();
        check_signed_headers(headers, signed_headers)?;
        let code = part("Signature").and_then(|code| from_hex(code.as_bytes()));
        let payload = match headers.get(&CONTENT_SHA256) {
            None => None,
            Some(value) => Some(Digest(from_hex(value.as_bytes()).ok_or(Incomplete(
                "the header x-amz-content-sha256 must be the SHA-256 of the body; an unsigned payload is not accepted",
            ))?)),
        };
        Ok(Self {
            access_key_id,
            time,
            region,
            signed_headers,
            code: code.ok_or(Incomplete("Authorization header requires a `Signature`"))?,
            payload,
        })
    }

    /// Verifies that the signature is that of this request with this payload, by the access key of
    /// `identity`.
    ///
    /// # Errors
    /// Returns an error if it is not.
    pub(crate) fn verify(
        &self,
        parts: &Parts,
        payload: &Digest,
        identity: &Identity,
    ) -> Result<(), SignatureError> {
        let mut signed = Vec::with_capacity(16);
        for name in self.signed_headers.split(';') {
            signed.push((name, value(parts, name).ok_or(SignatureError::Mismatch)?));
        }
        let query = canonical_query(parts.uri.query().unwrap_or_default());
        let request = SignedParts {
            path: parts.uri.path(),
            query: &query,
            host: "",
            payload,
            region: self.region,
        };
        let (canonical, _) = canonical_request(parts.method.as_str(), &request, &signed);
        let key = identity.key(self.time.get(..8).unwrap_or_default(), self.region);
        let text = string_to_sign(self.time, &key.scope, &canonical);
        // In constant time.
        hmac::verify(&key.key, &text, &self.code).map_err(|_| SignatureError::Mismatch)
    }
}

/// Checks that everything is signed that the invoker reads.
fn check_signed_headers(headers: &HeaderMap, signed: &str) -> Result<(), SignatureError> {
    let names: Vec<&str> = signed.split(';').take(MAX_SIGNED_HEADERS + 1).collect();
    let is_sorted = names.is_sorted_by(|left, right| left < right);
    if names.len() > MAX_SIGNED_HEADERS || !is_sorted {
        return Err(SignatureError::Incomplete(
            "SignedHeaders must be names of headers, sorted, each once",
        ));
    }
    let amazon = headers.keys().map(HeaderName::as_str);
    let amazon = amazon.filter(|name| name.starts_with("x-amz-") && *name != UNSIGNED);
    let mut required = [&HOST, &DATE]
        .map(HeaderName::as_str)
        .into_iter()
        .chain(amazon);
    match required.all(|name| names.binary_search(&name).is_ok()) {
        true => Ok(()),
        false => Err(SignatureError::Incomplete(
            "SignedHeaders must have host, x-amz-date, and every header that begins with x-amz-",
        )),
    }
}

/// Returns the values of a header, joined as they are signed.
fn value<'r>(parts: &'r Parts, name: &str) -> Option<Cow<'r, [u8]>> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(first) = values.next() else {
        // HTTP/2 has the host in the URI.
        let authority = parts.uri.authority().filter(|_| name == "host");
        return Some(authority?.as_str().as_bytes().into());
    };
    let mut joined = Cow::Borrowed(first.as_bytes());
    for value in values {
        let joined = joined.to_mut();
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    Some(joined)
}

/// Reads 64 hexadecimal digits.
fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        for digit in digits {
            let digit = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(bytes)
}

/// Reads a time such as `20260131T235959Z`.
fn parse(text: &str) -> Option<SystemTime> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(day, 8) || !is_number(time, 6) {
        return None;
    }
    let two = |text: &str, at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let month = Month::try_from(two(day, 4)?).ok()?;
    let date = Date::from_calendar_date(day.get(..4)?.parse().ok()?, month, two(day, 6)?).ok()?;
    let time = Time::from_hms(two(time, 0)?, two(time, 2)?, two(time, 4)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time).into())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use aws_credential_types::Credentials;
    use hyper::Request;
    use hyper::header::HeaderValue;

    use super::*;

    const PATH: &str = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello/invocations";

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_798_761_599)
    }

    fn identity(secret: &str) -> Identity {
        Identity::new(Credentials::new("AKIDEXAMPLE", secret, None, None, "test"))
    }

    /// Returns a request that the signer of the invoker signed.
    fn signed(query: &str) -> Parts {
        let payload = Digest::of(b"{}");
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-invocation-type", HeaderValue::from_static("Event"));
        let request = SignedParts {
            path: PATH,
            query,
            host: "invoker:9090",
            payload: &payload,
            region: "eu-west-1",
        };
        identity("secret").sign(&mut headers, &request, now());
        let question = if query.is_empty() { "" } else { "?" };
        let mut received = Request::post(format!("{PATH}{question}{query}"))
            .header("host", "invoker:9090")
            .header("content-type", "not signed")
            .body(())
            .unwrap();
        received.headers_mut().extend(headers);
        received.into_parts().0
    }

    fn verify(parts: &Parts, at: SystemTime, secret: &str) -> Result<(), SignatureError> {
        let payload = Digest::of(b"{}");
        Signature::read(&parts.headers, at)?.verify(parts, &payload, &identity(secret))
    }

    #[test]
    fn a_signature_is_that_of_one_request_key_and_time() {
        for query in ["", "Qualifier=%24LATEST"] {
            assert_eq!(verify(&signed(query), now(), "secret"), Ok(()), "{query}");
        }
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(&signed(""), now(), "another"), mismatch);
        let second = Duration::from_secs(1);
        for (at, expected) in [
            (now() + MAX_SKEW, Ok(())),
            (now() - MAX_SKEW, Ok(())),
            (now() + MAX_SKEW + second, Err(SignatureError::Skew)),
            (now() - MAX_SKEW - second, Err(SignatureError::Skew)),
        ] {
            assert_eq!(verify(&signed(""), at, "secret"), expected);
        }
        let changes: [fn(&mut Parts); 4] = [
            |parts| parts.method = hyper::Method::GET,
            |parts| parts.uri = PATH.replace("hello", "other").parse().unwrap(),
            |parts| parts.uri = format!("{PATH}?Qualifier=2").parse().unwrap(),
            |parts| {
                let event = HeaderValue::from_static("DryRun");
                parts.headers.insert("x-amz-invocation-type", event);
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut parts = signed("");
            change(&mut parts);
            assert_eq!(verify(&parts, now(), "secret"), mismatch, "{number}");
        }
        let parts = signed("");
        let signature = Signature::read(&parts.headers, now()).unwrap();
        let payload = Digest::of(b"{ }");
        let verified = signature.verify(&parts, &payload, &identity("secret"));
        assert_eq!(verified, mismatch);
    }

    #[test]
    fn everything_that_the_invoker_reads_has_to_be_signed() {
        let mut parts = signed("");
        let agent = HeaderValue::from_static("sdk");
        parts.headers.insert(UNSIGNED, agent);
        assert_eq!(verify(&parts, now(), "secret"), Ok(()));
        let tail = HeaderValue::from_static("Tail");
        parts.headers.insert("x-amz-log-type", tail);
        assert!(matches!(
            verify(&parts, now(), "secret"),
            Err(SignatureError::Incomplete(_))
        ));
        let mut parts = signed("");
        let token = HeaderValue::from_static("token");
        parts.headers.insert(&SECURITY_TOKEN, token);
        assert_eq!(
            verify(&parts, now(), "secret"),
            Err(SignatureError::SessionToken)
        );
        let mut parts = signed("");
        let unsigned = HeaderValue::from_static("UNSIGNED-PAYLOAD");
        parts.headers.insert(&CONTENT_SHA256, unsigned);
        assert!(verify(&parts, now(), "secret").is_err());
    }

    #[test]
    fn a_signature_of_another_form_is_incomplete() {
        let good = signed("").headers[AUTHORIZATION]
            .to_str()
            .unwrap()
            .to_owned();
        let long = format!("{good}{}", ",".repeat(100_000));
        assert_eq!(verify(&with(&long), now(), "secret"), Ok(()));
        for wrong in [
            "AWS4-ECDSA-P256-SHA256 Credential=a/b/c".to_owned(),
            "AWS4-HMAC-SHA256".to_owned(),
            "AWS4-HMAC-SHA256 ".to_owned(),
            good.replace("/lambda/", "/s3/"),
            good.replace("20261231/", "20261230/"),
            good.replace("20261231/", "/"),
            good.replace("AKIDEXAMPLE", ""),
            good.replace("host;", ""),
            good.replace("host;x-amz-date", "x-amz-date;host"),
            good.replace("Signature=", "Signature=0"),
            good.replace("Signature=", "Signature=\u{20}zz"),
            good.replace("SignedHeaders=", "SignedHeaders=host;"),
        ] {
            let parts = with(&wrong);
            let read = Signature::read(&parts.headers, now());
            assert!(
                matches!(read, Err(SignatureError::Incomplete(_))),
                "{wrong}"
            );
        }
    }

    fn with(authorization: &str) -> Parts {
        let mut parts = signed("");
        let value = authorization.parse().unwrap();
        parts.headers.insert(AUTHORIZATION, value);
        parts
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(parse("20261231T235959Z"), Some(now()));
        for wrong in [
            "",
            "T",
            "Z",
            "20261231T235959",
            "20261331T235959Z",
            "20260230T000000Z",
            "20261231T240000Z",
            "+0261231T235959Z",
            "20261231t235959Z",
            "２0261231T235959Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
