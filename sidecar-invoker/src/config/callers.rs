//! The callers whom the invoker serves.

use std::path::PathBuf;

use lambda_api::FunctionName;
use wildmatch::WildMatch;

/// The block `callers`.
#[derive(Debug, Clone, PartialEq)]
pub enum CallersConfig {
    /// `anyone: true`: everyone who can connect may invoke every function.
    Anyone,
    /// The callers who may invoke functions.
    Known(KnownCallers),
}

/// The callers who may invoke functions.
///
/// A call needs the proof of an entry of `filters` or `access_keys`, if there are any, and also an
/// identity of `identities`, if there are any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownCallers {
    /// `filters`: Envoys whose filter sends a secret.
    pub filters: Vec<FilterCaller>,
    /// `access_keys`: callers that sign as AWS's SDKs do.
    pub access_keys: Vec<AccessKeyCaller>,
    /// `identities`: callers with a certificate, which a proxy in front of the invoker has verified.
    pub identities: Vec<IdentityCaller>,
}

impl KnownCallers {
    /// Returns the places of all secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        let filters = self.filters.iter().flat_map(|filter| &filter.secrets);
        filters.chain(self.access_keys.iter().map(|key| &key.secret))
    }

    /// Returns the environment variables that hold secrets.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.secrets().filter_map(|source| match source {
            SecretSource::Env(name) => Some(name.as_str()),
            SecretSource::File(_) => None,
        })
    }
}

/// An entry of `callers.filters`.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterCaller {
    /// `secrets`: one secret, or two during a rotation.
    pub secrets: Vec<SecretSource>,
    /// `functions`: the functions that this caller may invoke; default all.
    pub functions: FunctionPatterns,
}

/// An entry of `callers.access_keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessKeyCaller {
    /// `id`: the access key id.
    pub id: String,
    /// `secret`: the secret access key.
    pub secret: SecretSource,
    /// `functions`: the functions that this caller may invoke; default all.
    pub functions: FunctionPatterns,
}

/// An entry of `callers.identities`.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityCaller {
    /// `uri`: the URI in the caller's certificate.
    pub uri: UriPattern,
    /// `functions`: the functions that this caller may invoke; default all.
    pub functions: FunctionPatterns,
}

/// The place of a secret. No configuration has the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `env:NAME`: an environment variable of the invoker.
    Env(String),
    /// `file:PATH`: a file, which is read anew when it changes.
    File(PathBuf),
}

/// Patterns of the bare names of functions.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionPatterns(Vec<WildMatch>);

impl FunctionPatterns {
    /// Creates the patterns.
    pub(crate) fn new(patterns: Vec<WildMatch>) -> Self {
        Self(patterns)
    }

    /// Returns patterns that match every function.
    pub(crate) fn all() -> Self {
        Self(vec![WildMatch::new("*")])
    }

    /// Returns whether one of the patterns matches the name.
    pub fn matches(&self, name: &FunctionName) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name.as_str()))
    }
}

/// A URI, or all URIs that begin with one: `spiffe://cluster.local/ns/shop/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriPattern(String);

impl UriPattern {
    /// Reads a pattern; `None` for other texts. An asterisk stands for the rest of the URI, and only
    /// behind a slash, so that `shop*` does not admit `shop-evil`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix("/*").unwrap_or(text);
        let (scheme, rest) = stem.split_once("://")?;
        let valid = !scheme.is_empty()
            && !rest.is_empty()
            && stem
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'*');
        valid.then(|| Self(text.to_owned()))
    }

    /// Returns whether the pattern matches the URI.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => uri.strip_prefix(stem).is_some_and(|rest| !rest.is_empty()),
            None => uri == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_ends_at_a_segment() {
        let pattern = |text| UriPattern::parse(text).unwrap();
        let shop = pattern("spiffe://cluster.local/ns/shop/*");
        assert!(shop.matches("spiffe://cluster.local/ns/shop/sa/orders"));
        for other in [
            "spiffe://cluster.local/ns/shop",
            "spiffe://cluster.local/ns/shop/",
            "spiffe://cluster.local/ns/shop-evil/sa/orders",
            "spiffe://cluster.localx/ns/shop/sa/orders",
            "",
        ] {
            assert!(!shop.matches(other), "{other}");
        }
        let one = pattern("spiffe://td/a");
        assert!(one.matches("spiffe://td/a") && !one.matches("spiffe://td/a/b"));
        for wrong in [
            "",
            "*",
            "spiffe://",
            "spiffe:///*",
            "spiffe://td/a*",
            "spiffe://td/*/b",
            "td/a",
            "spiffe://td/a b",
            "spiffe://td/\u{e9}",
        ] {
            assert_eq!(UriPattern::parse(wrong), None, "{wrong}");
        }
    }
}
