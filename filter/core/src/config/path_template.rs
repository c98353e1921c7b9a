//! Path templates of API Gateway: `/pets/{id}`, `/{proxy+}`.

use std::borrow::Cow;

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

/// The names of a template and their parts of a path, percent-encoded as sent.
pub(crate) type Parameters<'a> = Vec<(&'a str, &'a [u8])>;

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// The expected form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = |what: &str| format!("expected {what}, found \"{text}\"");
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| expected("a path template such as `/pets/{id}` or `/{proxy+}`"))?;
        let mut segments = Vec::new();
        if !rest.is_empty() {
            for part in rest.split('/') {
                if matches!(segments.last(), Some(Segment::Greedy(_))) {
                    return Err(expected("`{name+}` at the end only"));
                }
                segments.push(segment(part).ok_or_else(|| {
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

    /// Returns the parameters in a path, or `None` if the path does not match. A slash at the end of the
    /// path is ignored.
    #[must_use]
    pub(crate) fn matches<'a>(&'a self, path: &'a [u8]) -> Option<Parameters<'a>> {
        let path = path.strip_prefix(b"/")?;
        let mut rest = Some(path.strip_suffix(b"/").unwrap_or(path)).filter(|p| !p.is_empty());
        let mut parameters = Vec::new();
        for segment in &self.segments {
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

    fn filled(template: &str, path: &str) -> Option<Vec<(String, String)>> {
        let resource = PathTemplate::parse(template).unwrap();
        let pairs = resource.matches(path.as_bytes())?;
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
        assert_eq!(filled("/", "/"), pairs([]));
        assert_eq!(filled("/pets/{id}", "/pets/7"), pairs([("id", "7")]));
        assert_eq!(
            filled("/pets/{id}", "/pets/a%2Fb/"),
            pairs([("id", "a%2Fb")])
        );
        assert_eq!(
            filled("/{proxy+}", "/a/b//c/"),
            pairs([("proxy", "a/b//c")])
        );
        assert_eq!(
            filled("/{shop}/pets/{rest+}", "/x/p%65ts/1/2"),
            pairs([("shop", "x"), ("rest", "1/2")])
        );
    }

    #[test]
    fn another_path_is_no_match() {
        for (template, path) in [
            ("/", "/a"),
            ("/pets/{id}", "/pets"),
            ("/pets/{id}", "/pets/1/2"),
            ("/pets/{id}", "/cats/1"),
            ("/{a}/{b}", "//b"),
            ("/{proxy+}", "/"),
            ("/pets", "*"),
        ] {
            assert_eq!(filled(template, path), None, "{template} {path}");
        }
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for text in [
            "", "pets", "//", "/{}", "/{a+}/b", "/a{b}", "/{a", "/{a b}", "/?",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
    }
}
