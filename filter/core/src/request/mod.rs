//! The client's request.

mod attributes;
pub(crate) mod header_map;
pub(crate) mod identity;
mod trace_headers;

use std::borrow::Cow;

use lambda_api::headers::{OWN_PREFIX, is_hop_by_hop};
use lambda_api::trace::Trace;

pub use attributes::RequestAttributes;
pub use header_map::HeaderMap;
pub use identity::ClientCert;

use header_map::{is_envoys, text};
pub(crate) use trace_headers::{trace_of, trace_state};

/// A request with the route's changes, and without the filter's.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, as sent.
    pub(crate) method: Cow<'a, str>,
    /// The `Host` header or `:authority`, with its port if there is one.
    pub(crate) authority: Cow<'a, str>,
    /// The path without the query and without `strip_prefix`, percent-encoded as sent.
    pub(crate) path: &'a [u8],
    /// The query as sent, without `?`.
    pub(crate) query: Option<&'a [u8]>,
    /// The headers of the client and of the route. Pseudo-headers, headers of one hop, Envoy's own and
    /// lambda-mesh's own are not among them.
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    /// The trace: the caller's own, Envoy's, or a new one that is the same for each attempt.
    pub(crate) trace: Trace<'a>,
    /// The attributes that are not in the headers.
    pub(crate) attributes: &'a RequestAttributes,
    /// The whole body.
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a header map. Returns `None` if it has no method or no path, as for `CONNECT`.
    #[must_use]
    pub fn new(
        map: &'a [(String, Vec<u8>)],
        strip_prefix: Option<&str>,
        attributes: &'a RequestAttributes,
        body: &'a [u8],
    ) -> Option<Self> {
        let mut method = None;
        let mut authority = Cow::Borrowed("");
        let mut target: Option<&[u8]> = None;
        let mut headers = Vec::with_capacity(map.len());
        for (name, value) in map {
            match name.as_str() {
                ":method" => method = Some(text(value)),
                ":authority" => authority = text(value),
                ":path" => target = Some(value),
                name if name.starts_with(':')
                    || is_hop_by_hop(name)
                    || is_envoys(name)
                    || name.starts_with(OWN_PREFIX) => {}
                name => headers.push((name, value.as_slice())),
            }
        }
        let target = target?;
        let (path, query) = match target.iter().position(|&byte| byte == b'?') {
            Some(at) => {
                let (path, query) = target.split_at(at);
                (path, query.get(1..))
            }
            None => (target, None),
        };
        Some(Self {
            method: method?,
            authority,
            path: strip(path, strip_prefix),
            query,
            headers,
            trace: trace_of(map, attributes),
            attributes,
            body,
        })
    }

    /// Returns the first value of a header.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(key, _)| *key == name)?;
        Some(header.1)
    }

    /// Returns the path with the query.
    #[must_use]
    pub(crate) fn target(&self) -> String {
        let path = text(self.path);
        match self.query {
            Some(query) => format!("{path}?{}", text(query)),
            None => path.into_owned(),
        }
    }

    /// Returns the authority without its port.
    #[must_use]
    pub(crate) fn domain_name(&self) -> &str {
        match self.port() {
            Some(port) => {
                let name = self.authority.strip_suffix(port).unwrap_or_default();
                name.strip_suffix(':').unwrap_or(name)
            }
            None => &self.authority,
        }
    }

    /// Returns the first label of the domain name.
    #[must_use]
    pub(crate) fn domain_prefix(&self) -> &str {
        self.domain_name().split('.').next().unwrap_or_default()
    }

    /// Returns the cookies, each as `name=value`.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let headers = self.headers.iter().filter(|(name, _)| *name == "cookie");
        headers
            .flat_map(|(_, value)| value.split(|&byte| byte == b';'))
            .map(<[u8]>::trim_ascii)
            .filter(|cookie| !cookie.is_empty())
    }

    /// Returns the port in the authority.
    #[must_use]
    pub(crate) fn port(&self) -> Option<&str> {
        let (_, port) = self.authority.rsplit_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        digits.then_some(port)
    }
}

fn strip<'a>(path: &'a [u8], prefix: Option<&str>) -> &'a [u8] {
    let rest = prefix.and_then(|prefix| path.strip_prefix(prefix.as_bytes()));
    match rest {
        Some([]) => b"/",
        Some(rest @ [b'/', ..]) => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> RequestAttributes {
        RequestAttributes {
            source_ip: "198.51.100.23".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            request_id: "6b1c7a0e-0d5e-4c57-9a40-0c7a1a5d7e11".to_owned(),
            time_ns: 1_584_039_838_390_000_000,
            ..RequestAttributes::default()
        }
    }

    fn map(authority: &str, path: &str) -> HeaderMap {
        [
            (":method", "GET"),
            (":authority", authority),
            (":path", path),
            (":scheme", "https"),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .to_vec()
    }

    #[test]
    fn the_path_loses_a_prefix_only_at_a_segment() {
        let attributes = attributes();
        for (sent, path, query) in [
            ("/py", "/", None),
            ("/py/", "/", None),
            ("/py/hi?x=1?y", "/hi", Some("x=1?y")),
            ("/python", "/python", None),
            ("/other?", "/other", Some("")),
        ] {
            let map = map("a", sent);
            let request = Request::new(&map, Some("/py"), &attributes, b"").unwrap();
            assert_eq!(request.path, path.as_bytes(), "{sent}");
            assert_eq!(request.query, query.map(str::as_bytes), "{sent}");
        }
    }

    #[test]
    fn the_domain_name_has_no_port() {
        let attributes = attributes();
        for (authority, name, port) in [
            ("api.example.com", "api.example.com", None),
            ("api.example.com:8080", "api.example.com", Some("8080")),
            ("[2001:db8::7]", "[2001:db8::7]", None),
            ("[2001:db8::7]:8080", "[2001:db8::7]", Some("8080")),
            ("odd:", "odd:", None),
            ("", "", None),
        ] {
            let map = map(authority, "/");
            let request = Request::new(&map, None, &attributes, b"").unwrap();
            assert_eq!((request.domain_name(), request.port()), (name, port));
        }
    }

    #[test]
    fn headers_of_one_hop_and_envoys_own_are_left_out() {
        let attributes = attributes();
        let mut map = map("a", "/");
        for name in [
            "te",
            "x-envoy-expected-rq-timeout-ms",
            "connection",
            "x-lambda-mesh-secret",
            "x-mine",
        ] {
            map.push((name.to_owned(), b"1".to_vec()));
        }
        let request = Request::new(&map, None, &attributes, b"").unwrap();
        assert_eq!(request.headers, [("x-mine", b"1".as_slice())]);
    }

    #[test]
    fn no_path_is_no_request() {
        let map = vec![(":method".to_owned(), b"CONNECT".to_vec())];
        assert!(Request::new(&map, None, &attributes(), b"").is_none());
    }
}
