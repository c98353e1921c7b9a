//! The header [`headers::CLIENT_REQUEST`](crate::headers::CLIENT_REQUEST): a client's HTTP request, which the
//! filter reports to the invoker beside the invocation that it made of it.
//!
//! The value is a list of fields with `|` between them: time, address, protocol, certificate, claims,
//! settings, and then a name and a value for each header. Bytes that are not visible ASCII, `|` and `%` are
//! percent-encoded, so that a header can hold them. A last field that is empty says that the report was too
//! long, and that something is left out.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

use crate::limits::MAX_CLIENT_REQUEST_BYTES;

const SEPARATOR: u8 = b'|';
const ENCODED: &AsciiSet = &CONTROLS.add(SEPARATOR).add(b'%');

/// The facts about a request besides its headers and its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The time of the request, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The client's address without its port.
    pub source_ip: &'a [u8],
    /// The protocol: `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a [u8],
    /// The SHA-256 of the client's certificate in hexadecimal. Empty without a certificate.
    pub certificate: &'a [u8],
    /// The claims of a verified token as a JSON object. Empty without a token.
    pub claims: &'a [u8],
    /// The keys of the filter for the route as a JSON object.
    pub settings: &'a [u8],
}

/// A writer of the value.
#[derive(Debug)]
pub struct Writer {
    value: Vec<u8>,
    is_cut: bool,
}

impl Writer {
    /// Begins a value with everything but the headers. Settings and claims that are too long are left out.
    #[must_use]
    pub fn new(facts: &Facts<'_>) -> Self {
        let mut writer = Self {
            value: facts.time_ns.to_string().into_bytes(),
            is_cut: false,
        };
        for field in [
            facts.source_ip,
            facts.protocol,
            facts.certificate,
            facts.claims,
            facts.settings,
        ] {
            if !writer.add(&[field]) {
                writer.value.push(SEPARATOR);
            }
        }
        writer
    }

    /// Adds a header, unless the value would be too long.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        self.add(&[name, value]);
    }

    /// Returns the value.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if self.is_cut {
            self.value.push(SEPARATOR);
        }
        self.value
    }

    fn add(&mut self, fields: &[&[u8]]) -> bool {
        let start = self.value.len();
        for field in fields {
            self.value.push(SEPARATOR);
            for part in percent_encode(field, ENCODED) {
                self.value.extend_from_slice(part.as_bytes());
            }
        }
        let fits = self.value.len() <= MAX_CLIENT_REQUEST_BYTES;
        if !fits {
            self.value.truncate(start);
            self.is_cut = true;
        }
        fits
    }
}

/// A report that was read from a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientRequest {
    /// The time of the request, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The client's address without its port.
    pub source_ip: Vec<u8>,
    /// The protocol.
    pub protocol: Vec<u8>,
    /// The SHA-256 of the client's certificate in hexadecimal.
    pub certificate: Vec<u8>,
    /// The claims of a verified token as JSON.
    pub claims: Vec<u8>,
    /// The keys of the filter as JSON.
    pub settings: Vec<u8>,
    /// The headers, with pseudo-headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Something was too long and is left out.
    pub is_cut: bool,
}

/// Reads the value.
///
/// # Errors
/// A value with fewer than six fields, or whose first field is no number.
pub fn read(value: &[u8]) -> Result<ClientRequest, ClientRequestError> {
    let mut fields = value.split(|&byte| byte == SEPARATOR);
    let mut field = || {
        let field = fields.next().ok_or(ClientRequestError)?;
        Ok(percent_decode(field).collect::<Vec<u8>>())
    };
    let time = String::from_utf8(field()?).map_err(|_| ClientRequestError)?;
    let mut request = ClientRequest {
        time_ns: time.parse().map_err(|_| ClientRequestError)?,
        source_ip: field()?,
        protocol: field()?,
        certificate: field()?,
        claims: field()?,
        settings: field()?,
        ..ClientRequest::default()
    };
    while let Ok(name) = field() {
        match field() {
            Ok(value) => request.headers.push((name, value)),
            Err(ClientRequestError) if name.is_empty() => request.is_cut = true,
            Err(error) => return Err(error),
        }
    }
    Ok(request)
}

/// A value that is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRequestError;

impl fmt::Display for ClientRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header x-lambda-mesh-client-request is no report of the filter")
    }
}

impl std::error::Error for ClientRequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts<'static> {
        Facts {
            time_ns: 1_584_039_838_390_000_000,
            source_ip: b"2001:db8::7",
            protocol: b"HTTP/1.1",
            certificate: b"",
            claims: br#"{"sub":"a|b"}"#,
            settings: "{\"function\":\"f\",\"stage\":\"é\"}".as_bytes(),
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let every_byte: Vec<u8> = (0..=0xff).collect();
        let mut writer = Writer::new(&facts());
        writer.header(b":path", b"/a?b=%7C|");
        writer.header(b"x-all", &every_byte);
        writer.header(b"x-empty", b"");
        let value = writer.finish();
        assert!(value.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let request = read(&value).unwrap();
        let Facts {
            time_ns,
            source_ip,
            protocol,
            certificate,
            claims,
            settings,
        } = facts();
        let expected = ClientRequest {
            time_ns,
            source_ip: source_ip.into(),
            protocol: protocol.into(),
            certificate: certificate.into(),
            claims: claims.into(),
            settings: settings.into(),
            headers: vec![
                (b":path".to_vec(), b"/a?b=%7C|".to_vec()),
                (b"x-all".to_vec(), every_byte),
                (b"x-empty".to_vec(), Vec::new()),
            ],
            is_cut: false,
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn what_is_too_long_is_left_out_and_marked() {
        let long = vec![b'x'; MAX_CLIENT_REQUEST_BYTES];
        let mut writer = Writer::new(&facts());
        writer.header(b"cookie", &long);
        writer.header(b"x-short", b"1");
        let value = writer.finish();
        assert!(value.len() < MAX_CLIENT_REQUEST_BYTES);
        let request = read(&value).unwrap();
        assert!(request.is_cut);
        assert_eq!(request.headers, [(b"x-short".to_vec(), b"1".to_vec())]);

        let facts = Facts {
            settings: &long,
            ..facts()
        };
        let request = read(&Writer::new(&facts).finish()).unwrap();
        assert!(request.is_cut && request.settings.is_empty() && request.headers.is_empty());
        assert_eq!(request.claims, facts.claims);
    }

    #[test]
    fn any_other_value_is_refused() {
        for value in ["", "1", "x|||||", "1||||", "1||||||name"] {
            assert_eq!(read(value.as_bytes()), Err(ClientRequestError), "{value}");
        }
        assert!(read(b"1|||||").is_ok());
    }
}
