//! Path templates of API Gateway: `/pets/{id}`, `/{proxy+}`.

use std::borrow::Cow;

use super::value_error::ValueError;

/// The resource of a REST API or the path of an HTTP API's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{name}`: a single segment.
    Parameter(String),
    /// `{name+}`: all following segments, at least one. It stands only at the end.
    Greedy(String),
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Greedy(name) => Some(name),
        }
    }
}

/// The meaning of a slash at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrailingSlash {
    /// None: `/pets/` is the resource `/pets`, as in a REST API.
    Ignored,
    /// `/pets/` is another path than `/pets`, as in an HTTP API.
    Significant,
}

/// The names of a template and their parts of a path, percent-encoded as sent.
pub(crate) type Parameters<'a> = Vec<(&'a str, &'a [u8])>;

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// The expected form.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let expected = |form| ValueError::of_text(form, text);
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| expected("a path template such as `/pets/{id}` or `/{proxy+}`"))?;
        let mut segments = Vec::new();
        if !rest.is_empty() {
            // The slash at the end, behind which nothing stands, is a segment without a text.
            let (named, slash) = match rest.strip_suffix('/') {
                Some(named) => (named, Some(Segment::Literal(String::new()))),
                None => (rest, None),
            };
            for part in named.split('/').map(segment).chain(slash.map(Some)) {
                if matches!(segments.last(), Some(Segment::Greedy(_))) {
                    return Err(expected("`{name+}` at the end only"));
                }
                segments.push(part.ok_or_else(|| {
                    expected("segments that are text, `{name}` or, at the end, `{name+}`")
                })?);
            }
        }
        let names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        let mut named = names.iter().enumerate();
        if named.any(|(at, name)| names.iter().skip(at + 1).any(|other| other == name)) {
            return Err(expected("each name once"));
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// Returns the template as it was written.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parameters in a path, or `None` if the path does not match.
    #[must_use]
    pub(crate) fn matches<'a>(
        &'a self,
        path: &'a [u8],
        slash: TrailingSlash,
    ) -> Option<Parameters<'a>> {
        let mut path = path.strip_prefix(b"/")?;
        let mut segments = self.segments.as_slice();
        if slash == TrailingSlash::Ignored {
            path = path.strip_suffix(b"/").unwrap_or(path);
            if let [before @ .., Segment::Literal(last)] = segments
                && last.is_empty()
            {
                segments = before;
            }
        }
        let mut rest = Some(path).filter(|path| !path.is_empty());
        let mut parameters = Vec::new();
        for segment in segments {
            let path = rest?;
            if let Segment::Greedy(name) = segment {
                parameters.push((name.as_str(), path));
                return Some(parameters);
            }
            let (part, tail) = match path.iter().position(|&byte| byte == b'/') {
                Some(at) => (path.get(..at)?, path.get(at + 1..)),
                None => (path, None),
            };
            match segment {
                Segment::Literal(text) if decoded(part) == *text => {}
                Segment::Parameter(name) if !part.is_empty() => parameters.push((name, part)),
                _ => return None,
            }
            rest = tail;
        }
        rest.is_none().then_some(parameters)
    }
}

fn decoded(part: &[u8]) -> Cow<'_, str> {
    percent_encoding::percent_decode(part).decode_utf8_lossy()
}

fn segment(part: &str) -> Option<Segment> {
    let is_name = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
        !name.is_empty() && name.bytes().all(allowed)
    };
    match part.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
        None if !part.is_empty() && !part.contains(['{', '}', '?']) => {
            Some(Segment::Literal(part.to_owned()))
        }
        Some(Some(name)) => match name.strip_suffix('+') {
            Some(name) if is_name(name) => Some(Segment::Greedy(name.to_owned())),
            None if is_name(name) => Some(Segment::Parameter(name.to_owned())),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, path: &str, slash: TrailingSlash) -> Option<Vec<(String, String)>> {
        let resource = PathTemplate::parse(template).unwrap();
        let pairs = resource.matches(path.as_bytes(), slash)?;
        let own = |(name, part): (&str, &[u8])| {
            (name.to_owned(), String::from_utf8(part.to_vec()).unwrap())
        };
        Some(pairs.into_iter().map(own).collect())
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Option<Vec<(String, String)>> {
        let own = |(name, part): (&str, &str)| (name.to_owned(), part.to_owned());
        Some(pairs.map(own).to_vec())
    }

    #[test]
    fn a_path_fills_the_parameters() {
        for slash in [TrailingSlash::Ignored, TrailingSlash::Significant] {
            assert_eq!(filled("/", "/", slash), pairs([]));
            assert_eq!(filled("/pets/{id}", "/pets/7", slash), pairs([("id", "7")]));
            assert_eq!(
                filled("/pets/{id}", "/pets/a%2Fb", slash),
                pairs([("id", "a%2Fb")])
            );
            assert_eq!(
                filled("/{proxy+}", "/a/b//c", slash),
                pairs([("proxy", "a/b//c")])
            );
            assert_eq!(
                filled("/{shop}/pets/{rest+}", "/x/p%65ts/1/2", slash),
                pairs([("shop", "x"), ("rest", "1/2")])
            );
            assert_eq!(filled("/pets/", "/pets/", slash), pairs([]));
        }
    }

    #[test]
    fn a_slash_at_the_end_counts_in_an_http_api_only() {
        use TrailingSlash::{Ignored, Significant};
        for (template, path) in [
            ("/pets", "/pets/"),
            ("/pets/", "/pets"),
            ("/pets/{id}", "/pets/7/"),
        ] {
            assert!(
                filled(template, path, Ignored).is_some(),
                "{template} {path}"
            );
            assert_eq!(
                filled(template, path, Significant),
                None,
                "{template} {path}"
            );
        }
        let proxy = |slash| filled("/{proxy+}", "/a/", slash);
        assert_eq!(proxy(Ignored), pairs([("proxy", "a")]));
        assert_eq!(proxy(Significant), pairs([("proxy", "a/")]));
    }

    #[test]
    fn another_path_is_no_match() {
        for (template, path) in [
            ("/", "/a"),
            ("/pets/{id}", "/pets"),
            ("/pets/{id}", "/pets/1/2"),
            ("/pets/{id}", "/pets/"),
            ("/pets/{id}", "/cats/1"),
            ("/{a}/{b}", "//b"),
            ("/{proxy+}", "/"),
            ("/pets", "*"),
            ("/pets", "/pets//"),
        ] {
            for slash in [TrailingSlash::Ignored, TrailingSlash::Significant] {
                assert_eq!(filled(template, path, slash), None, "{template} {path}");
            }
        }
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for text in [
            "", "pets", "//", "/a//", "/{}", "/{a+}/b", "/{a+}/", "/a{b}", "/{a", "/{a b}", "/?",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
    }
}
