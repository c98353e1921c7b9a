//! The refusal of requests that a web page has a browser send.
//!
//! A browser on the invoker's machine reaches ports that listen on loopback, and any web page can have
//! it send requests. It names the page in `Origin` and `Sec-Fetch-Site`. A page whose host name points
//! to a loopback address (DNS rebinding) counts as the invoker's own page for the browser, and only
//! the host of its requests gives it away.
//!
//! The client of Envoy may be a browser too. With the event in a header, the filter passes the
//! client's own `Origin` and `Host` on. A page can send that header too, but it cannot keep the
//! browser from sending `Connection: keep-alive`, which Envoy never passes on.
//!
//! Sources: "Forbidden request-header" and "HTTP-network fetch" in the Fetch standard;
//! `ConnectionManagerUtility::mutateRequestHeaders` in Envoy.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use hyper::http::uri::Authority;

use crate::config::Host;
use crate::invoke_api::headers as header;
use crate::net::Interface;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rule that tells the requests of web pages from all others.
#[derive(Debug, Clone, Default)]
pub(super) struct WebPages {
    /// The host names that the configuration adds to the invoker's own.
    hosts: Vec<Host>,
}

/// The reason why a request is refused. The text is for the caller and contains nothing of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WebPageError {
    /// A page of another site sent the request.
    #[error("web pages may not call the invoker: the request has the header {0}")]
    Page(&'static str),
    /// The request names a host that is not the invoker's own.
    #[error(
        "web pages may not call the invoker: the host of the request is none of the invoker's own; \
         use localhost or an IP address, or add the name to `hosts` in the invoker's configuration"
    )]
    Host,
}

impl WebPages {
    /// Creates the rule. `hosts` are names of the invoker besides `localhost`.
    pub(super) fn new(hosts: Vec<Host>) -> Self {
        Self { hosts }
    }

    /// Checks a request that arrived on `interface`.
    ///
    /// # Errors
    /// Returns an error if a web page may have sent the request.
    pub(super) fn check(
        &self,
        interface: Interface,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), WebPageError> {
        if interface == Interface::UnixSocket {
            // No browser connects to a Unix socket.
            return Ok(());
        }
        let is_direct = is_direct(headers);
        if headers.contains_key(header::INVOCATION) && !is_direct {
            return Ok(());
        }
        if headers.contains_key(ORIGIN) {
            return Err(WebPageError::Page("Origin"));
        }
        check_site(headers)?;
        // The filter leaves the host as it is. It removes `Origin`, which a page cannot.
        let is_of_filter = headers.contains_key(header::INVOCATION_TYPE)
            && headers.contains_key(header::TRACE_ID)
            && !is_direct;
        if interface == Interface::Loopback && !is_of_filter && !self.names_invoker(uri, headers) {
            return Err(WebPageError::Host);
        }
        Ok(())
    }

    /// Checks a request for the console, which is a page of the invoker itself.
    ///
    /// # Errors
    /// Returns an error if another site's page may have sent the request.
    pub(super) fn check_own_page(
        &self,
        interface: Interface,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), WebPageError> {
        if interface == Interface::Loopback && !self.names_invoker(uri, headers) {
            return Err(WebPageError::Host);
        }
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        let is_own = |origin: &HeaderValue| {
            let origin = origin.as_bytes();
            let authority = origin
                .strip_prefix(b"http://")
                .or_else(|| origin.strip_prefix(b"https://"));
            authority.is_some() && authority == host
        };
        if !headers.get_all(ORIGIN).iter().all(is_own) {
            return Err(WebPageError::Page("Origin"));
        }
        check_site(headers)
    }

    /// Returns whether every host that the request names is the invoker's own. A request without a host
    /// comes from no browser.
    fn names_invoker(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let named = headers.get_all(HOST).iter();
        let mut named = named.map(|host| Authority::try_from(host.as_bytes()).ok());
        uri.authority()
            .is_none_or(|authority| self.is_own(authority))
            && named.all(|host| host.is_some_and(|host| self.is_own(&host)))
    }

    /// Returns whether a host is the invoker's own: an address, a name that no public domain has, or a
    /// name of the configuration.
    fn is_own(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if address.unwrap_or(host).parse::<IpAddr>().is_ok() {
            return true;
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match host.rsplit_once('.') {
            // Public domains have a dot.
            None => !host.is_empty(),
            // RFC 6761, and the resolution of ICANN of 2024-07-29: no public domain has these endings.
            Some((_, "localhost" | "test" | "internal")) => true,
            Some(_) => {
                host.ends_with(".cluster.local")
                    || self.hosts.iter().any(|known| matches(known, &host))
            }
        }
    }
}

/// Checks that a browser does not name another site as the origin of a request.
fn check_site(headers: &HeaderMap) -> Result<(), WebPageError> {
    // `none` is a request of the user, for example an address that was typed.
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    match sites.any(|site| site != "none" && site != "same-origin") {
        true => Err(WebPageError::Page("Sec-Fetch-Site")),
        false => Ok(()),
    }
}

/// Returns whether the request comes from a browser itself, if it comes from a browser at all.
///
/// Over HTTP/1.1, browsers send `Connection: keep-alive`, and no page can change that. Envoy removes the
/// header, except from requests for another protocol, which no page can combine with headers of its
/// own. No browser speaks HTTP/2 without TLS.
fn is_direct(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values
        .filter_map(|value| HeaderValue::to_str(value).ok())
        .flat_map(|value| value.split(','));
    !headers.contains_key(UPGRADE)
        && options.any(|option| option.trim().eq_ignore_ascii_case("keep-alive"))
}

/// Returns whether `host` is one of the hosts of `known`, as in routes.
fn matches(known: &Host, host: &str) -> bool {
    match known.as_str().strip_prefix('*') {
        Some("") => true,
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => known.as_str() == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVOKE: &str = "/2015-03-31/functions/f/invocations";
    const FILTER: [(&str, &str); 2] = [
        ("x-amz-invocation-type", "RequestResponse"),
        ("x-amzn-trace-id", "Root=1-a-b"),
    ];

    fn check_on(interface: Interface, headers: &[(&str, &str)]) -> Result<(), WebPageError> {
        let hosts = vec![
            "invoker.example.com".parse().unwrap(),
            "*.corp.example".parse().unwrap(),
        ];
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let headers = headers.collect::<Vec<_>>();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        WebPages::new(hosts).check(interface, &Uri::from_static(INVOKE), &map)
    }

    fn check(headers: &[(&str, &str)]) -> Result<(), WebPageError> {
        check_on(Interface::Loopback, headers)
    }

    #[test]
    fn requests_of_pages_are_refused_on_every_port() {
        for interface in [Interface::Loopback, Interface::Network] {
            for origin in ["https://evil.example", "null", "http://127.0.0.1:9090", ""] {
                let headers = [("host", "127.0.0.1:9090"), ("origin", origin)];
                let error = check_on(interface, &headers);
                assert_eq!(error, Err(WebPageError::Page("Origin")), "{origin}");
            }
            for site in ["cross-site", "same-site", "other"] {
                let headers = [("host", "127.0.0.1:9090"), ("sec-fetch-site", site)];
                let error = check_on(interface, &headers);
                assert_eq!(error, Err(WebPageError::Page("Sec-Fetch-Site")), "{site}");
            }
        }
        let twice = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert!(check(&twice).is_err());
        assert_eq!(
            check(&[("host", "localhost"), ("sec-fetch-site", "none")]),
            Ok(())
        );
    }

    #[test]
    fn a_preflight_is_refused() {
        let preflight = [
            ("host", "127.0.0.1:9090"),
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-lambda-mesh-invocation"),
            ("connection", "keep-alive"),
        ];
        assert!(check(&preflight).is_err());
    }

    #[test]
    fn own_hosts_are_addresses_local_names_and_those_of_the_configuration() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "[::1]:9090",
            "[::1]",
            "192.168.1.7:9090",
            "localhost",
            "LOCALHOST.:9090",
            "f.localhost:9090",
            "invoker",
            "invoker:9090",
            "host.docker.internal:9090",
            "invoker.test",
            "invoker.mesh.svc.cluster.local",
            "invoker.example.com",
            "Invoker.Example.com.:1",
            "a.corp.example",
            "a.b.corp.example:80",
        ] {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example.",
            "cluster.local.evil.example",
            "corp.example",
            "xcorp.example",
            "127.0.0.1.nip.io",
            "",
            ".",
            "a b",
            "127.1",
        ] {
            assert_eq!(check(&[("host", host)]), Err(WebPageError::Host), "{host}");
        }
        assert!(check(&[("host", "localhost"), ("host", "evil.example")]).is_err());
        assert_eq!(check(&[]), Ok(()), "HTTP/1.0 without a host");
    }

    #[test]
    fn the_console_serves_its_own_page_and_no_other() {
        let check = |interface, headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: HeaderName = name.parse().unwrap();
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            let uri = Uri::from_static("/console/api/invocations");
            WebPages::default().check_own_page(interface, &uri, &map)
        };
        let own = [
            ("host", "localhost:9091"),
            ("origin", "http://localhost:9091"),
            ("sec-fetch-site", "same-origin"),
        ];
        for interface in [Interface::Loopback, Interface::Network] {
            assert_eq!(check(interface, &own), Ok(()));
            assert_eq!(check(interface, &own[..1]), Ok(()));
            for origin in [
                "http://localhost:8080",
                "https://evil.example",
                "null",
                "",
                "localhost:9091",
            ] {
                let headers = [own[0], ("origin", origin)];
                let error = Err(WebPageError::Page("Origin"));
                assert_eq!(check(interface, &headers), error, "{origin}");
            }
            for site in ["cross-site", "same-site"] {
                let headers = [own[0], ("sec-fetch-site", site)];
                let error = Err(WebPageError::Page("Sec-Fetch-Site"));
                assert_eq!(check(interface, &headers), error, "{site}");
            }
        }
        // A name that points to this machine, for a page that has its own name as its origin.
        let rebound = [
            ("host", "evil.example:9091"),
            ("origin", "http://evil.example:9091"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(
            check(Interface::Loopback, &rebound),
            Err(WebPageError::Host)
        );
    }

    #[test]
    fn the_target_of_a_request_names_a_host_too() {
        let check = |target: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            WebPages::default().check(Interface::Loopback, &Uri::from_static(target), &headers)
        };
        assert_eq!(check("http://localhost/x"), Ok(()));
        assert_eq!(check("http://evil.example/x"), Err(WebPageError::Host));
    }

    #[test]
    fn only_loopback_knows_its_hosts_and_a_unix_socket_has_no_pages() {
        let host = [("host", "invoker.prod.example.net")];
        assert!(check(&host).is_err());
        assert_eq!(check_on(Interface::Network, &host), Ok(()));
        let page = [("host", "evil.example"), ("origin", "https://evil.example")];
        assert_eq!(check_on(Interface::UnixSocket, &page), Ok(()));
    }

    #[test]
    fn the_client_of_envoy_may_be_a_browser() {
        let page = [
            ("host", "shop.example.com"),
            ("origin", "https://shop.example.com"),
            ("sec-fetch-site", "cross-site"),
            (
                "x-lambda-mesh-invocation",
                "RequestResponse Root=1-a-b / {}",
            ),
        ];
        assert_eq!(check(&page), Ok(()), "the event in a header");
        let upgrade = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert_eq!(check(&[&page[..], &upgrade[..]].concat()), Ok(()));
        let body = [&FILTER[..], &[("host", "shop.example.com")]].concat();
        assert_eq!(check(&body), Ok(()), "the event in the body");
    }

    #[test]
    fn a_page_that_points_its_name_to_loopback_is_refused_whatever_it_sends() {
        let always = [("host", "evil.example:9090"), ("connection", "keep-alive")];
        let event = [("x-lambda-mesh-invocation", "Event Root=1-a-b /x {}")];
        let get = [&always[..], &event[..]].concat();
        assert_eq!(check(&get), Err(WebPageError::Host));
        let filter = [&always[..], &FILTER[..]].concat();
        assert_eq!(check(&filter), Err(WebPageError::Host));
        let post = [&filter[..], &[("origin", "http://evil.example:9090")]].concat();
        assert_eq!(check(&post), Err(WebPageError::Page("Origin")));
    }
}
