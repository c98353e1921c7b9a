//! `Fn::ForEach`, and `<<` of YAML: mappings whose pairs are written once and stand in several places.
//!
//! Source: "Fn::ForEach" in the AWS CloudFormation template reference; for several names the tests of the AWS SAM
//! CLI (`cfn_language_extensions/compatibility`) and of cfn-lint (`foreach_multi_identifier.yaml`).

use super::intrinsic::Scope;
use super::node::{self, Entry, Node, Unknown};
use super::template::Template;
use crate::config::yaml::tree::{Key, Kind, YamlNode};

/// The largest size of what the loops of a template may make, in values, or in 16 bytes of text.
const MAX_SIZE: usize = 100_000;
/// The longest item of a list. A logical id has as many characters at most.
const MAX_ITEM: usize = 255;
const LOOP: &str = "Fn::ForEach::";

/// Expands the loops and merge keys of a template.
pub(super) struct Expansion<'t, 'i> {
    pub(super) template: &'t mut Template<'i>,
    pub(super) scope: &'t Scope,
    /// The size of what the loops have made.
    pub(super) size: usize,
}

impl Expansion<'_, '_> {
    /// Expands a value in place.
    pub(super) fn expand(&mut self, node: &mut YamlNode) {
        match &mut node.kind {
            Kind::Null | Kind::Text(_) => {}
            Kind::List(items) => items.iter_mut().for_each(|item| self.expand(item)),
            Kind::Mapping(pairs) => {
                let mut expanded = Vec::with_capacity(pairs.len());
                let mut merged = Vec::new();
                for (key, mut value) in std::mem::take(pairs) {
                    if key.text.starts_with(LOOP) {
                        self.expand_loop(&key, &value, &mut expanded);
                    } else if key.text == "<<" {
                        self.expand(&mut value);
                        merged.push(value);
                    } else {
                        self.expand(&mut value);
                        expanded.push((key, value));
                    }
                }
                merged
                    .into_iter()
                    .for_each(|value| merge(value, &mut expanded));
                *pairs = expanded;
            }
        }
    }

    /// Returns the names that stand for the items of a list: one, or several in a list.
    fn names(&self, names: &YamlNode) -> Option<Vec<String>> {
        let names = match &names.kind {
            Kind::List(names) => names.as_slice(),
            _ => std::slice::from_ref(names),
        };
        let names = names.iter().map(|name| self.scope.text(name).ok());
        let names = names.map(|name| name.filter(|name| !name.is_empty()));
        names.collect()
    }

    fn expand_loop(&mut self, key: &Key, value: &YamlNode, expanded: &mut Vec<(Key, YamlNode)>) {
        let parts = match &value.kind {
            Kind::List(parts) => parts.as_slice(),
            _ => &[],
        };
        let names = parts.first().and_then(|names| self.names(names));
        let (Some(names), [_, collection, body]) = (names, parts) else {
            let message = "expected a name, a list and what is to be repeated; it is left out";
            self.template
                .warn(key.line, format!("{}: {message}", key.text));
            return;
        };
        let rows = match rows(&self.scope.evaluate(collection)) {
            Ok(rows) => rows,
            Err(unknown) => {
                let message = format!(
                    "{}: its list needs {}, which is not known here; it is left out",
                    key.text, unknown.needs
                );
                self.template.warn(key.line, message);
                return;
            }
        };
        if rows.iter().any(|row| row.len() != names.len()) {
            let message = format!(
                "{}: its list must have one value for each name; it is left out",
                key.text
            );
            self.template.warn(key.line, message);
            return;
        }
        for row in rows {
            let is_short = row.iter().all(|item| item.len() <= MAX_ITEM);
            let values: Vec<_> = names.iter().zip(&row).collect();
            let body = is_short.then(|| replaced(body, &values));
            self.size += body.as_ref().map_or(MAX_SIZE, size);
            let Some(mut body) = body.filter(|_| self.size < MAX_SIZE) else {
                let message = format!("{}: it makes too much; the rest is left out", key.text);
                self.template.warn(key.line, message);
                return;
            };
            self.expand(&mut body);
            match body.kind {
                Kind::Mapping(pairs) => expanded.extend(pairs),
                _ => {
                    let message = format!(
                        "{}: what it repeats is no mapping; it is left out",
                        key.text
                    );
                    self.template.warn(key.line, message);
                    return;
                }
            }
        }
    }
}

/// Returns the values of each turn of a loop. An item that is a list has several, a pair of a mapping two.
fn rows(list: &Node) -> Result<Vec<Vec<String>>, Unknown> {
    let row = |item: &Node| -> Result<Vec<String>, Unknown> {
        let values = match &item.kind {
            node::Kind::List(values) => values.as_slice(),
            _ => std::slice::from_ref(item),
        };
        let values = values.iter().map(Node::text);
        values.map(|value| value.map(str::to_owned)).collect()
    };
    match &list.kind {
        node::Kind::List(items) => items.iter().map(row).collect(),
        node::Kind::Mapping(_) => {
            let row =
                |entry: &Entry| Ok(vec![entry.name.clone(), entry.value().text()?.to_owned()]);
            list.entries().map(row).collect()
        }
        _ => row(list).map(|row| vec![row]),
    }
}

/// Returns the size of a value, see [`MAX_SIZE`].
pub(super) fn size(node: &YamlNode) -> usize {
    let text = |text: &str| 1 + text.len() / 16;
    match &node.kind {
        Kind::Null => 1,
        Kind::Text(found) => text(found),
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Mapping(pairs) => {
            let pair = |(key, value): &(Key, YamlNode)| text(&key.text) + size(value);
            1 + pairs.iter().map(pair).sum::<usize>()
        }
    }
}

/// Adds the pairs of the mappings in `value` that `pairs` does not have.
fn merge(value: YamlNode, pairs: &mut Vec<(Key, YamlNode)>) {
    match value.kind {
        Kind::List(items) => items.into_iter().for_each(|item| merge(item, pairs)),
        Kind::Mapping(more) => {
            for (key, value) in more {
                if !pairs.iter().any(|(other, _)| other.text == key.text) {
                    pairs.push((key, value));
                }
            }
        }
        Kind::Null | Kind::Text(_) => {}
    }
}

/// Returns a text with the items in the place of `${name}` and `&{name}`. The second form leaves out what a logical id
/// cannot contain. What stands in an item is not replaced.
fn filled(text: &str, values: &[(&String, &String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${").into_iter().chain(rest.find("&{")).min() {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let (sign, tail) = reference.split_at(1);
        let found = values.iter().find_map(|(name, item)| {
            let tail = tail.strip_prefix('{')?.strip_prefix(name.as_str())?;
            Some((item, tail.strip_prefix('}')?))
        });
        match found {
            Some((item, _)) if sign == "$" => out.push_str(item),
            Some((item, _)) => out.extend(item.chars().filter(char::is_ascii_alphanumeric)),
            None => out.push_str(sign),
        }
        rest = found.map_or(tail, |(_, tail)| tail);
    }
    out + rest
}

/// Returns the value with the items in their places, see [`filled`], and in those of a `Ref` to their names.
fn replaced(node: &YamlNode, values: &[(&String, &String)]) -> YamlNode {
    let kind = match &node.kind {
        Kind::Null => Kind::Null,
        Kind::Text(text) => Kind::Text(filled(text, values)),
        Kind::List(items) => {
            let items = items.iter().map(|node| replaced(node, values));
            Kind::List(items.collect())
        }
        Kind::Mapping(pairs) => {
            let reference = match pairs.as_slice() {
                [(key, value)] if key.text == "Ref" => match &value.kind {
                    Kind::Text(name) => values.iter().find(|(known, _)| *known == name),
                    _ => None,
                },
                _ => None,
            };
            let pair = |(key, value): &(Key, YamlNode)| {
                let key = Key {
                    text: filled(&key.text, values),
                    line: key.line,
                };
                (key, replaced(value, values))
            };
            match reference {
                Some((_, item)) => Kind::Text((*item).clone()),
                None => Kind::Mapping(pairs.iter().map(pair).collect()),
            }
        }
    };
    let is_same = match (&node.kind, &kind) {
        (Kind::Text(before), Kind::Text(after)) => before == after,
        _ => false,
    };
    YamlNode {
        line: node.line,
        kind,
        is_plain: node.is_plain && is_same,
    }
}
