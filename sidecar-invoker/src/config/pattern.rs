//! The host names and paths that a route matches.

use std::fmt;
use std::str::FromStr;

use lambda_filter_core::config::{PathTemplate, ValueError};

/// The hosts of a route, in lower case: `orders.example.com`, `*.example.com` (any name below it)
/// or `*` (every host that no other route names).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(String);

impl Host {
    /// The form of a host, as a regular expression for a JSON Schema.
    pub(crate) const PATTERN: &'static str = r"^(\*|(\*\.)?[A-Za-z0-9._-]+)$";

    /// Returns `*`.
    #[must_use]
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Returns whether every name that `other` stands for is one of this host.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let suffix = self.0.strip_prefix('*');
        self == other || suffix.is_some_and(|suffix| other.0 != "*" && other.0.ends_with(suffix))
    }

    /// Returns the host as Envoy's `domains` take it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = ValueError;

    /// Reads a name of RFC 1123, in which `_` may stand too (Compose names its services so).
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text == "*" || (text.len() <= 253 && name.split('.').all(is_label)) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ValueError::of_text(
                "a host name without a port such as orders.example.com, *.example.com or *",
                text,
            ))
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The paths of a route.
///
/// | text | matches |
/// |---|---|
/// | `/pets` | this path alone |
/// | `/pets/*` | `/pets` and all below it; `/*` is every path |
/// | `/pets/{id}` | one segment for each name in braces |
/// | `/files/{path+}` | one segment or more at the end |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    /// `None` is any one segment.
    segments: Vec<Option<String>>,
    /// More segments may follow.
    open: bool,
    form: Form,
}

/// The notation of a [`PathPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A path without names in braces.
    Exact,
    /// `/PATH/*`.
    Prefix,
    /// With names in braces.
    Template,
}

impl PathPattern {
    /// Returns `/*`.
    #[must_use]
    pub fn any() -> Self {
        Self {
            text: "/*".to_owned(),
            segments: Vec::new(),
            open: true,
            form: Form::Prefix,
        }
    }

    /// Returns the pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Returns the path before `/*`; empty for every path.
    pub(crate) fn prefix(&self) -> &str {
        self.text.trim_end_matches("/*")
    }

    /// Returns whether this pattern matches every path that `other` matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let mut pairs = self.segments.iter().zip(&other.segments);
        self.segments.len() <= other.segments.len()
            && pairs.all(|(own, other)| own.is_none() || own == other)
            && (self.open || (!other.open && self.segments.len() == other.segments.len()))
    }

    /// Returns whether both patterns match the same paths.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }

    /// Returns whether the pattern matches `prefix` or a path below it.
    pub(crate) fn may_begin_with(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        let mut wanted = prefix.split('/').skip(1);
        wanted.all(|wanted| match own.next() {
            Some(own) => own.as_deref().is_none_or(|own| own == wanted),
            None => self.open,
        })
    }

    /// Returns a key that sorts the more specific of two patterns first. Segment by segment, a text
    /// goes before a name, and a name before a rest of any length.
    pub(crate) fn generality(&self) -> Vec<u8> {
        let mut generality: Vec<u8> = self
            .segments
            .iter()
            .map(|text| text.is_none().into())
            .collect();
        if self.open {
            // The last name of a template that takes all that follows is that very segment.
            if self.form == Form::Template {
                generality.pop();
            }
            generality.push(2);
        }
        generality
    }

    /// Returns the path template for the event's `resource`; `None` for a prefix. The template begins
    /// after `strip_prefix`, which the filter removes from the path first.
    pub(crate) fn resource(&self, strip_prefix: &str) -> Option<&str> {
        let rest = self.text.strip_prefix(strip_prefix).unwrap_or(&self.text);
        let rest = if rest.is_empty() { "/" } else { rest };
        (self.form != Form::Prefix && PathTemplate::parse(rest).is_ok()).then_some(rest)
    }

    /// Returns the pattern whose paths do not end in a slash; that of `/` has only this path.
    pub(crate) fn without_trailing_slash(&self) -> Self {
        let mut pattern = self.clone();
        if let [_, .., Some(last)] = pattern.segments.as_slice()
            && last.is_empty()
        {
            pattern.segments.pop();
            pattern.text.pop();
        }
        pattern
    }

    /// Returns the regular expression (RE2) of the paths, each with and without a slash at its end.
    pub(crate) fn regex_with_slash(&self) -> String {
        let mut regex = self.without_trailing_slash().regex();
        if !self.open {
            regex.push_str("/?");
        }
        regex
    }

    /// Returns a template as a regular expression (RE2).
    pub(crate) fn regex(&self) -> String {
        let mut regex = String::new();
        for segment in &self.segments {
            regex.push('/');
            match segment {
                None => regex.push_str("[^/]+"),
                Some(text) => {
                    for letter in text.chars() {
                        if !letter.is_ascii_alphanumeric() && !"-_~%".contains(letter) {
                            regex.push('\\');
                        }
                        regex.push(letter);
                    }
                }
            }
        }
        if self.open {
            regex.push_str("(/.*)?");
        }
        regex
    }
}

impl FromStr for PathPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError::of_text(
                "a path such as /pets, /pets/*, /pets/{id} or /{proxy+}, percent-encoded and \
                 without a query",
                text,
            )
        };
        let (path, is_prefix) = match text.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let is_template = path.contains(['{', '}']);
        let path_letter =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'(),;=:@".contains(&byte);
        let letter =
            |byte: u8| path_letter(byte) || (is_template && matches!(byte, b'{' | b'}' | b'+'));
        let rooted = path.starts_with('/') || (path.is_empty() && is_prefix);
        if !rooted || !path.bytes().all(letter) || (is_template && is_prefix) {
            return Err(wrong());
        }
        if is_template {
            PathTemplate::parse(path)?;
        }
        let mut open = is_prefix;
        let mut segments = Vec::new();
        for segment in path.split('/').skip(1) {
            let is_name = segment.starts_with('{');
            open |= is_name && segment.ends_with("+}");
            segments.push((!is_name).then(|| segment.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
            open,
            form: match (is_template, is_prefix) {
                (true, _) => Form::Template,
                (_, true) => Form::Prefix,
                _ => Form::Exact,
            },
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn hosts() {
        for (text, host) in [
            ("*", "*"),
            ("*.Example.com", "*.example.com"),
            ("my_function", "my_function"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().as_str(), host);
        }
        for wrong in [
            "",
            "a:80",
            "http://a",
            "a/b",
            "a..b",
            "-a",
            "a-",
            ".a",
            "a.",
            "*a",
            "a.*",
            "a b",
            "ä",
            "a\"\n",
            &"a".repeat(64),
        ] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_paths() {
        for wrong in [
            "", "*", "pets", "/a?b", "/a b", "/a*", "/*/a", "/{a", "/{a}b", "/{a+}/b", "/{a}/*",
            "/\"", "/a\n", "/ä", "/a\\",
        ] {
            assert!(wrong.parse::<PathPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_covers_what() {
        for (wide, narrow) in [
            ("/*", "/"),
            ("/*", "/{proxy+}"),
            ("/a/*", "/a"),
            ("/a/*", "/a/{id}"),
            ("/a/*", "/a/b/*"),
            ("/a/{id}", "/a/b"),
            ("/a/{id}", "/a/{name}"),
            ("/{x+}", "/a/*"),
            ("/a", "/a"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("/{proxy+}", "/*"),
            ("/a/*", "/ab"),
            ("/a/*", "/{x}"),
            ("/a", "/a/*"),
            ("/a", "/a/"),
            ("/a/b", "/a/{id}"),
            ("/a/{id}", "/a/{path+}"),
            ("/a/{id}", "/a/b/c"),
        ] {
            assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
    }

    #[test]
    fn what_may_begin_with_what() {
        for (path, prefix) in [
            ("/*", "/shop"),
            ("/shop", "/shop"),
            ("/shop/*", "/shop/eu"),
            ("/shop/{id}", "/shop"),
            ("/{tenant}/pets", "/shop"),
        ] {
            assert!(pattern(path).may_begin_with(prefix), "{path} {prefix}");
        }
        for (path, prefix) in [
            ("/shop", "/shop/eu"),
            ("/shops/*", "/shop"),
            ("/{tenant}/pets", "/shop/orders"),
        ] {
            assert!(!pattern(path).may_begin_with(prefix), "{path} {prefix}");
        }
    }

    #[test]
    fn templates_become_regular_expressions() {
        assert_eq!(pattern("/a.b(c)/{id}").regex(), r"/a\.b\(c\)/[^/]+");
        assert_eq!(pattern("/files/{path+}").regex(), "/files/[^/]+(/.*)?");
        assert_eq!(pattern("/a/{id}").regex_with_slash(), "/a/[^/]+/?");
        assert_eq!(pattern("/a/").regex_with_slash(), "/a/?");
        assert_eq!(pattern("/{x+}").regex_with_slash(), "/[^/]+(/.*)?");
    }

    #[test]
    fn a_slash_at_the_end_may_be_taken_away() {
        for (path, without) in [
            ("/a/", "/a"),
            ("/a/{id}/", "/a/{id}"),
            ("/a", "/a"),
            ("/", "/"),
        ] {
            assert_eq!(pattern(path).without_trailing_slash(), pattern(without));
        }
    }

    #[test]
    fn the_resource_is_the_template_behind_the_stripped_prefix() {
        assert_eq!(pattern("/pets/{id}").resource(""), Some("/pets/{id}"));
        assert_eq!(pattern("/s/pets/{id}").resource("/s"), Some("/pets/{id}"));
        assert_eq!(pattern("/s").resource("/s"), Some("/"));
        assert_eq!(pattern("/a/").resource(""), Some("/a/"));
        assert_eq!(pattern("/a/*").resource(""), None);
    }
}
