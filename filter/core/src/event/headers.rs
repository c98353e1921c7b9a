//! The headers of an event: the client's, and those that the AWS service in question adds.

use std::borrow::Cow;

use lambda_api::headers::TRACE_ID;

use crate::config::values::HeaderCase;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;
use crate::request::header_map::text;

/// What a service adds to the client's headers, made once per request.
#[derive(Debug)]
pub(super) struct Added {
    content_length: String,
    forwarded_for: String,
    forwarded_port: String,
}

impl Added {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Self {
            content_length: request.body.len().to_string(),
            forwarded_for: forwarded_for(request),
            forwarded_port: forwarded_port(request),
        }
    }
}

/// Which headers a service passes on and adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Names that never reach the function.
    pub dropped: &'static [&'static str],
    /// Whether the length of the body is told.
    pub content_length: ContentLength,
    /// Which of the headers about the caller are added.
    pub added: &'static [AddedHeader],
}

/// Whether `content-length` stands among the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentLength {
    /// Also where the client sent none.
    Always,
    /// Where there is a body, or the client said so.
    WithBody,
    Never,
}

/// A header that a service adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddedHeader {
    Host,
    TraceId,
    ForwardedFor,
    ForwardedPort,
}

/// What API Gateway, a Function URL and a load balancer add (`x-forwarded-proto` is Envoy's).
pub(super) const EDGE: &[AddedHeader] = &[
    AddedHeader::Host,
    AddedHeader::TraceId,
    AddedHeader::ForwardedFor,
    AddedHeader::ForwardedPort,
];

/// Headers sorted by name, the values of one name in the order they came.
#[derive(Debug)]
pub(super) struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// The headers of an event by these rules.
    pub(super) fn new(request: &'a Request<'_>, added: &'a Added, rules: Rules) -> Self {
        let client = request.headers.iter().copied();
        let own = |(name, _): &(&str, &[u8])| match *name {
            "host" | "content-length" => false,
            TRACE_ID => !rules.added.contains(&AddedHeader::TraceId),
            "x-forwarded-port" => !rules.added.contains(&AddedHeader::ForwardedPort),
            "x-forwarded-for" => !rules.added.contains(&AddedHeader::ForwardedFor),
            name => !rules.dropped.contains(&name),
        };
        let mut headers: Vec<(&str, &[u8])> = client.filter(own).collect();

        let told = match rules.content_length {
            ContentLength::Always => true,
            ContentLength::WithBody => {
                !request.body.is_empty() || request.header("content-length").is_some()
            }
            ContentLength::Never => false,
        };
        if told {
            headers.push(("content-length", added.content_length.as_bytes()));
        }
        for header in rules.added {
            let (name, value) = match header {
                AddedHeader::Host => ("host", &*request.authority),
                AddedHeader::TraceId => (TRACE_ID, &*request.trace_id),
                AddedHeader::ForwardedFor => ("x-forwarded-for", added.forwarded_for.as_str()),
                AddedHeader::ForwardedPort => ("x-forwarded-port", added.forwarded_port.as_str()),
            };
            if !headers.iter().any(|(known, _)| *known == name) {
                headers.push((name, value.as_bytes()));
            }
        }
        headers.sort_by_key(|(name, _)| *name);
        Self(headers)
    }

    /// The values of each name.
    fn groups(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, &'a [u8])])> {
        let groups = self.0.chunk_by(|(a, _), (b, _)| a == b);
        groups.filter_map(|group| Some((group.first()?.0, group)))
    }

    /// An object with one string per name, its values joined.
    pub(super) fn joined(&self, json: &mut JsonWriter, case: HeaderCase, separator: &'static str) {
        json.object(|json| {
            for (name, group) in self.groups() {
                // Browsers send one line of cookies; of several, each holds pairs of its own.
                let separator = if name == "cookie" { "; " } else { separator };
                json.name(&spelt(name, case))
                    .joined(texts(group), separator);
            }
        });
    }

    /// An object with the last value of each name; of cookies all, which are one value by
    /// nature.
    pub(super) fn last(&self, json: &mut JsonWriter, case: HeaderCase) {
        json.object(|json| {
            for (name, group) in self.groups() {
                let value = json.name(&spelt(name, case));
                match group.last() {
                    Some((_, last)) if name != "cookie" => value.string(&text(last)),
                    _ => value.joined(texts(group), "; "),
                }
            }
        });
    }

    /// An object with an array of all values per name.
    pub(super) fn arrays(&self, json: &mut JsonWriter, case: HeaderCase) {
        json.object(|json| {
            for (name, group) in self.groups() {
                json.name(&spelt(name, case)).strings(texts(group));
            }
        });
    }
}

fn texts<'a>(group: &[(&str, &'a [u8])]) -> impl Iterator<Item = Cow<'a, str>> {
    group.iter().map(|(_, value)| text(value))
}

/// `content-type` as `Content-Type`, if so asked.
fn spelt(name: &str, case: HeaderCase) -> Cow<'_, str> {
    if case == HeaderCase::Lower {
        return Cow::Borrowed(name);
    }
    let mut start = true;
    let spell = |c: char| {
        let spelt = if start { c.to_ascii_uppercase() } else { c };
        start = c == '-';
        spelt
    };
    Cow::Owned(name.chars().map(spell).collect())
}

/// The addresses that the request came through, the caller's among them: AWS appends it, and
/// Envoy has done so if the listener says `use_remote_address`.
fn forwarded_for(request: &Request<'_>) -> String {
    let source = request.attributes.source_ip.as_str();
    let came = request
        .headers
        .iter()
        .filter(|(name, _)| *name == "x-forwarded-for");
    let came: Vec<Cow<'_, str>> = came.map(|(_, value)| text(value)).collect();
    let mut hops: Vec<&str> = came
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|hop| !hop.is_empty())
        .collect();
    if !hops.contains(&source) {
        hops.push(source);
    }
    hops.join(", ")
}

/// The port that the client called: its own word, or its scheme's default.
fn forwarded_port(request: &Request<'_>) -> String {
    let https = request.header("x-forwarded-proto") == Some(b"https");
    let default = if https { "443" } else { "80" };
    request.port().unwrap_or(default).to_owned()
}
