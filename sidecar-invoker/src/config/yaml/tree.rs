//! A YAML document as a tree that knows the line of every key and value.
//!
//! A scalar keeps its text as it was written. The type that reads `1.10`, `yes` or `0512` decides what
//! it means, not YAML's own rules. Only the booleans of a template are those of YAML 1.1, as AWS reads it.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{flow, surrogates};

/// The deepest nesting of a configuration, which needs about six levels.
const MAX_DEPTH: usize = 32;
/// The deepest nesting of a template. A schema in the definition of an API is its deepest part.
const MAX_TEMPLATE_DEPTH: usize = 64;
/// The largest number of values in a document, with aliases expanded.
const MAX_NODES: usize = 100_000;

/// The most bytes of a template that are parsed again. Each repair parses the whole template again: a usual one may
/// have hundreds of repairs, and one of 1 MB, the largest of AWS, twenty.
const MAX_REPAIRED: usize = 20_000_000;

/// The key by which a mapping takes over the entries of others, as YAML 1.1 and Compose have it.
const MERGE_KEY: &str = "<<";

/// A key and its value.
type Entry = (Key, YamlNode);

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct YamlNode {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    /// The value itself.
    pub(crate) kind: Kind,
    /// The value is a scalar without quotes and without a tag, which YAML takes for a number or a boolean if it
    /// has the form of one.
    pub(crate) is_plain: bool,
}

impl YamlNode {
    /// Returns a mapping without keys.
    pub(crate) fn empty(line: usize) -> Self {
        Self {
            line,
            kind: Kind::Mapping(Vec::new()),
            is_plain: false,
        }
    }
}

/// The value of a [`YamlNode`].
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar's text, without its quotes.
    Text(String),
    /// `[a, b]` or lines that start with `-`.
    List(Vec<YamlNode>),
    /// `key: value` pairs in their order; the same key may stand there twice.
    Mapping(Vec<(Key, YamlNode)>),
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The key's text.
    pub(crate) text: String,
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
}

/// The reason why a text is not a YAML document that can be a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    /// The mistake on that line.
    pub(crate) message: String,
}

/// Reads the one YAML document in `source`; an empty document is [`Kind::Null`].
pub(crate) fn parse(source: &str) -> Result<YamlNode, SyntaxError> {
    document(source, Tags::Refused)
}

/// Reads a CloudFormation template, in which tags are the short form of functions: `!Sub x` becomes
/// `{ Fn::Sub: x }`.
pub(crate) fn parse_template(source: &str) -> Result<YamlNode, SyntaxError> {
    document(source, Tags::Functions)
}

#[derive(Clone, Copy)]
enum Tags {
    Refused,
    Functions,
}

fn document(source: &str, tags: Tags) -> Result<YamlNode, SyntaxError> {
    let mut source = Cow::Borrowed(source);
    let mut repaired_bytes = 0;
    loop {
        let mut builder = Builder {
            tags,
            events: Parser::new_from_str(&source),
            anchors: HashMap::new(),
            nodes: 0,
            open: Vec::new(),
            failed_at: None,
        };
        let error = match builder.document() {
            Err(error) => error,
            document => return document,
        };
        // Only the parsers of AWS read what is repaired here.
        let is_template = matches!(tags, Tags::Functions);
        repaired_bytes += source.len();
        let place = builder.failed_at;
        let place = place.filter(|_| is_template && repaired_bytes <= MAX_REPAIRED);
        let repaired = place.and_then(|place| match error.message.as_str() {
            "while parsing a quoted scalar, found invalid Unicode character escape code" => {
                surrogates::joined(&source, place.offset(&source)?)
            }
            message if flow::is_about_indentation(message) => {
                flow::indented(&source, &builder.open, place, message)
            }
            _ => None,
        });
        match repaired {
            Some(repaired) => source = Cow::Owned(repaired),
            None => return Err(error),
        }
    }
}

struct Builder<'s> {
    tags: Tags,
    events: Parser<'s, StrInput<'s>>,
    anchors: HashMap<usize, YamlNode>,
    nodes: usize,
    /// The beginnings of the collections that have not ended, the outermost first.
    open: Vec<flow::Place>,
    /// The place that the parser could not read.
    failed_at: Option<flow::Place>,
}

impl<'s> Builder<'s> {
    fn document(&mut self) -> Result<YamlNode, SyntaxError> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if document.is_some() => {
                    return Err(fault(
                        span,
                        "a second document starts; one file holds one configuration",
                    ));
                }
                Event::DocumentStart(_) => {}
                event => document = Some(self.node(event, span, 0)?),
            }
        }
        Ok(document.unwrap_or(YamlNode {
            line: 1,
            kind: Kind::Null,
            is_plain: false,
        }))
    }

    fn next(&mut self) -> Result<(Event<'s>, Span), SyntaxError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                self.failed_at = Some(flow::Place::of(*error.marker()));
                Err(SyntaxError {
                    line: error.marker().line(),
                    message: error.info().to_owned(),
                })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'s>,
        span: Span,
        depth: usize,
    ) -> Result<YamlNode, SyntaxError> {
        let most = match self.tags {
            Tags::Refused => MAX_DEPTH,
            Tags::Functions => MAX_TEMPLATE_DEPTH,
        };
        if depth > most {
            return Err(fault(span, "nested too deeply"));
        }
        let line = span.start.line();
        let is_plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, _, None));
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                // The argument of a function in its short form is text.
                let has_booleans = matches!(self.tags, Tags::Functions) && tag.is_none();
                (scalar(&text, style, has_booleans), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open.push(flow::Place::of(span.start));
                let list = self.list(depth)?;
                self.open.pop();
                (list, anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                self.open.push(flow::Place::of(span.start));
                let mapping = self.mapping(depth)?;
                self.open.pop();
                (mapping, anchor, tag)
            }
            Event::Alias(id) => {
                let anchored = self.anchors.get(&id).cloned();
                let node = anchored.ok_or_else(|| fault(span, "an alias inside its own anchor"))?;
                self.count(size(&node), span)?;
                return Ok(node);
            }
            _ => return Err(fault(span, "a value is missing")),
        };
        let mut node = YamlNode {
            line,
            kind,
            is_plain,
        };
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let Tag { handle, suffix } = tag.as_ref();
            node = match self.tags {
                // YAML's own mark of a text.
                Tags::Functions if suffix == "!" => node,
                Tags::Functions => function(suffix, node),
                Tags::Refused => {
                    let message =
                        format!("the tag {handle}{suffix} has no meaning here; remove it");
                    return Err(fault(span, &message));
                }
            };
        }
        self.count(1, span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Kind::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Kind::Mapping(with_merged(entries, merged)));
            }
            let Event::Scalar(text, style, ..) = event else {
                return Err(fault(span, "a key must be plain text"));
            };
            let is_merge = text == MERGE_KEY && style == ScalarStyle::Plain;
            let key = Key {
                text: text.into_owned(),
                line: span.start.line(),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match is_merge {
                true => merged.extend(mappings(value, span)?),
                false => entries.push((key, value)),
            }
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(fault(span, &format!("more than {MAX_NODES} values")));
        }
        Ok(())
    }
}

/// Returns a function of CloudFormation in its long form.
fn function(name: &str, argument: YamlNode) -> YamlNode {
    let line = argument.line;
    let text = match name {
        "Ref" | "Condition" => name.to_owned(),
        name => format!("Fn::{name}"),
    };
    YamlNode {
        line,
        kind: Kind::Mapping(vec![(Key { text, line }, argument)]),
        is_plain: false,
    }
}

/// Returns the mappings that a merge key names: one, or a list of them.
fn mappings(value: YamlNode, span: Span) -> Result<Vec<Entry>, SyntaxError> {
    let mistake = || {
        fault(
            span,
            "`<<` takes a mapping or a list of mappings such as *defaults",
        )
    };
    match value.kind {
        Kind::Mapping(entries) => Ok(entries),
        Kind::List(items) => {
            let items = items.into_iter().map(|item| match item.kind {
                Kind::Mapping(entries) => Ok(entries),
                _ => Err(mistake()),
            });
            Ok(items.collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => Err(mistake()),
    }
}

/// Adds the entries of merge keys. A key of the mapping itself wins, and of two merged ones the earlier.
fn with_merged(mut entries: Vec<Entry>, merged: Vec<Entry>) -> Vec<Entry> {
    for (key, value) in merged {
        if !entries.iter().any(|(other, _)| other.text == key.text) {
            entries.push((key, value));
        }
    }
    entries
}

fn scalar(text: &str, style: ScalarStyle, has_booleans: bool) -> Kind {
    let is_plain = style == ScalarStyle::Plain;
    match text {
        "" | "~" | "null" if is_plain => Kind::Null,
        text => {
            let boolean = boolean(text).filter(|_| is_plain && has_booleans);
            Kind::Text(boolean.unwrap_or(text).to_owned())
        }
    }
}

/// Returns the one form of a boolean of YAML 1.1.
fn boolean(text: &str) -> Option<&'static str> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some("true"),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some("false"),
        _ => None,
    }
}

fn size(node: &YamlNode) -> usize {
    1 + match &node.kind {
        Kind::Null | Kind::Text(_) => 0,
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Mapping(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
    }
}

fn fault(span: Span, message: &str) -> SyntaxError {
    SyntaxError {
        line: span.start.line(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
