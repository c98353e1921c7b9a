//! The headers of an event: the client's, and those that the AWS service adds.

use std::borrow::Cow;

use lambda_api::headers::TRACE_ID;

use crate::config::values::HeaderCase;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;
use crate::request::header_map::text;

/// The values of the headers that a service adds.
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

/// The headers that a service passes on and adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The names of headers that never reach the function.
    pub dropped: &'static [&'static str],
    /// The rule for `content-length`.
    pub content_length: ContentLength,
    /// The headers that are added.
    pub added: &'static [AddedHeader],
}

/// The rule for `content-length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentLength {
    /// The event has the length even if the client sent none.
    Always,
    /// The event has the length if there is a body, or if the client sent a length.
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

/// The headers that API Gateway, a Function URL and a load balancer add. They also add
/// `x-forwarded-proto`, which Envoy has added already.
pub(super) const EDGE: &[AddedHeader] = &[
    AddedHeader::Host,
    AddedHeader::TraceId,
    AddedHeader::ForwardedFor,
    AddedHeader::ForwardedPort,
];

/// Headers sorted by name. The values of a name keep their order.
#[derive(Debug)]
pub(super) struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// Returns the headers of an event by these rules.
    pub(super) fn new(request: &'a Request<'_>, added: &'a Added, rules: Rules) -> Self {
        let client = request.headers.iter().copied();
        let is_kept = |(name, _): &(&str, &[u8])| match *name {
            "host" | "content-length" => false,
            TRACE_ID => !rules.added.contains(&AddedHeader::TraceId),
            "x-forwarded-port" => !rules.added.contains(&AddedHeader::ForwardedPort),
            "x-forwarded-for" => !rules.added.contains(&AddedHeader::ForwardedFor),
            name => !rules.dropped.contains(&name),
        };
        let mut headers = Self(Vec::with_capacity(
            request.headers.len() + rules.added.len() + 1,
        ));
        client
            .filter(is_kept)
            .for_each(|header| headers.insert(header));

        let has_length = match rules.content_length {
            ContentLength::Always => true,
            ContentLength::WithBody => {
                !request.body.is_empty() || request.header("content-length").is_some()
            }
            ContentLength::Never => false,
        };
        if has_length {
            headers.insert(("content-length", added.content_length.as_bytes()));
        }
        for header in rules.added {
            let (name, value) = match header {
                AddedHeader::Host => ("host", &*request.authority),
                AddedHeader::TraceId => (TRACE_ID, request.trace.xray()),
                AddedHeader::ForwardedFor => ("x-forwarded-for", added.forwarded_for.as_str()),
                AddedHeader::ForwardedPort => ("x-forwarded-port", added.forwarded_port.as_str()),
            };
            if !headers.0.iter().any(|(known, _)| *known == name) {
                headers.insert((name, value.as_bytes()));
            }
        }
        headers
    }

    /// Adds a header behind the others of its name. A stable sort would make the module larger.
    fn insert(&mut self, header: (&'a str, &'a [u8])) {
        let place = self.0.partition_point(|(name, _)| *name <= header.0);
        self.0.insert(place, header);
    }

    /// Returns the values of each name.
    fn groups(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, &'a [u8])])> {
        let groups = self.0.chunk_by(|(a, _), (b, _)| a == b);
        groups.filter_map(|group| Some((group.first()?.0, group)))
    }

    /// Writes an object with a string for each name: its values, joined.
    pub(super) fn joined(&self, json: &mut JsonWriter, case: HeaderCase, separator: &'static str) {
        json.object(|json| {
            for (name, group) in self.groups() {
                // Several lines of cookies hold different pairs, unlike other repeated headers.
                let separator = if name == "cookie" { "; " } else { separator };
                json.name(&spelt(name, case))
                    .joined(texts(group), separator);
            }
        });
    }

    /// Writes an object with the last value of each name. All cookies count: they are a single value.
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

    /// Writes an object with an array of all values of each name.
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

/// Returns a name in this spelling.
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

/// Returns the addresses of the hops with that of the caller, which AWS appends. Envoy has appended it
/// already if the listener sets `use_remote_address`.
fn forwarded_for(request: &Request<'_>) -> String {
    let source = request.attributes.source_ip.as_str();
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| *name == "x-forwarded-for");
    let values: Vec<Cow<'_, str>> = headers.map(|(_, value)| text(value)).collect();
    let mut hops: Vec<&str> = values
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

/// Returns the port in the authority, or else the default of the client's scheme.
fn forwarded_port(request: &Request<'_>) -> String {
    let https = request.header("x-forwarded-proto") == Some(b"https");
    let default = if https { "443" } else { "80" };
    request.port().unwrap_or(default).to_owned()
}
