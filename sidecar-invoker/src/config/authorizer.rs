//! The tokens that a route asks for.

use hyper::Uri;

/// The JSON Web Tokens that a route accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthorizer {
    /// The issuer, `iss`.
    pub issuer: String,
    /// The audiences, of which `aud` has one.
    pub audiences: Vec<String>,
    /// The place of the token in a request.
    pub source: TokenSource,
    /// The URL of the issuer's keys.
    pub jwks: JwksUrl,
}

/// The place of a token in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A header of this name, behind `Bearer`.
    Header(String),
    /// A parameter of this name in the query.
    Query(String),
}

/// The URL of a JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl {
    /// The URL as it was written.
    pub text: String,
    /// The scheme is `https`.
    pub is_encrypted: bool,
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl JwksUrl {
    /// The form of a URL, as a regular expression for a JSON Schema.
    pub(crate) const PATTERN: &'static str = "^https?://[^/@]+(/|$)";

    /// Returns the URL at which most issuers have their keys.
    pub(crate) fn of_issuer(issuer: &str) -> Option<Self> {
        Self::parse(&format!(
            "{}/.well-known/jwks.json",
            issuer.trim_end_matches('/')
        ))
    }

    /// Reads a URL with a host and a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_encrypted = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let has_user = uri.authority()?.as_str().contains('@');
        let default = if is_encrypted { 443 } else { 80 };
        (!host.is_empty() && !has_user).then(|| Self {
            text: text.to_owned(),
            is_encrypted,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_an_issuer_are_at_a_url() {
        let url = |text| {
            let url = JwksUrl::of_issuer(text)?;
            Some((url.text, url.is_encrypted, url.host, url.port))
        };
        let expected = |text: &str, is_encrypted, host: &str, port| {
            Some((text.to_owned(), is_encrypted, host.to_owned(), port))
        };
        assert_eq!(
            url("https://a.example/"),
            expected(
                "https://a.example/.well-known/jwks.json",
                true,
                "a.example",
                443
            )
        );
        assert_eq!(
            url("http://[::1]:8080/realms/a"),
            expected(
                "http://[::1]:8080/realms/a/.well-known/jwks.json",
                false,
                "::1",
                8080
            )
        );
        for wrong in [
            "a.example",
            "ftp://a",
            "https://",
            "https://u:p@a.example",
            "",
        ] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
