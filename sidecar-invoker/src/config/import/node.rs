//! The tree of a template once its intrinsic functions have values. It remembers which keys were read, so
//! that the rest can be reported.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value as Json;

/// A value of a template. Clones share the record of the keys that were read.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Line in the file, counted from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// An intrinsic function has returned the value.
    pub(super) is_computed: bool,
    /// See [`YamlNode`](crate::config::yaml::tree::YamlNode).
    pub(super) is_plain: bool,
}

/// The value of a [`Node`].
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `AWS::NoValue`: the key is as good as absent.
    Absent,
    Null,
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    Unknown(Unknown),
}

/// A value that is known only once the template is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The value that is missing, for a message.
    pub(super) needs: String,
    /// The path of a resource, see [`Scope::path`](super::intrinsic::Scope::path), if the value is one of
    /// its identifiers or attributes.
    pub(super) resource: Option<String>,
}

impl Unknown {
    /// Returns a value that needs `needs`.
    pub(super) fn needs(needs: impl Into<String>) -> Self {
        Self {
            needs: needs.into(),
            resource: None,
        }
    }
}

/// A pair of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Line of the key.
    pub(super) line: usize,
    value: Node,
    /// The marks of the places in the template that the entry comes from.
    marks: Vec<Rc<Cell<bool>>>,
}

impl Entry {
    /// Returns an entry that nobody has read.
    pub(super) fn new(name: String, line: usize, value: Node) -> Self {
        Self {
            name,
            line,
            value,
            marks: vec![Rc::default()],
        }
    }

    /// Returns the value. The key counts as read from now on.
    pub(super) fn value(&self) -> &Node {
        self.marks.iter().for_each(|mark| mark.set(true));
        &self.value
    }

    /// Returns the value unless it is known only once the template is deployed. Then the key stays unread.
    pub(super) fn known(&self) -> Option<&Node> {
        match self.value.unknown() {
            Some(_) => None,
            None => Some(self.value()),
        }
    }

    /// Changes the value, and the line of the key.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Node), line: usize) {
        self.line = line;
        change(&mut self.value);
    }

    /// Counts the key as read if the value is as `expected`.
    pub(super) fn take_if(&self, expected: impl FnOnce(&Node) -> bool) {
        if expected(&self.value) {
            self.value();
        }
    }

    /// Returns the text of the value if it is as `expected`.
    pub(super) fn text_if(&self, expected: impl FnOnce(&Node) -> bool) -> Option<String> {
        let value = Some(&self.value).filter(|value| expected(value));
        value?.text().ok().map(str::to_owned)
    }

    fn is_absent(&self) -> bool {
        matches!(self.value.kind, Kind::Absent)
    }
}

/// A key that nobody has read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnreadKey {
    pub(super) line: usize,
    /// The keys from the root of the walk, joined by dots.
    pub(super) path: String,
}

impl Node {
    /// Returns a value that stands in the template as it is.
    pub(super) fn new(line: usize, kind: Kind) -> Self {
        Self {
            line,
            kind,
            is_computed: false,
            is_plain: false,
        }
    }

    /// Returns a mapping without keys.
    pub(super) fn empty(line: usize) -> Self {
        Self::new(line, Kind::Mapping(Vec::new()))
    }

    /// Returns the value of a key, which counts as read from now on.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(Entry::value)
    }

    /// Returns the pair of a key, and does not count the key as read.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        let mut pairs = self.pairs().iter();
        pairs.find(|entry| entry.name == key && !entry.is_absent())
    }

    /// Returns the pairs of a mapping whose keys are names that the user chose; none of any other value.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.pairs().iter().filter(|entry| {
            entry.value();
            !entry.is_absent()
        })
    }

    fn pairs(&self) -> &[Entry] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns what is missing of a value that is known only once the template is deployed.
    pub(super) fn unknown(&self) -> Option<&Unknown> {
        match &self.kind {
            Kind::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    /// Returns the items of a list; none of any other value.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the text.
    ///
    /// # Errors
    /// Names the value that is missing, or the kind of value that stands in the place of text.
    pub(super) fn text(&self) -> Result<&str, Unknown> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            Kind::Unknown(unknown) => Err(unknown.clone()),
            Kind::Absent | Kind::Null => Err(Unknown::needs("a value other than null")),
            Kind::List(_) => Err(Unknown::needs("a list")),
            Kind::Mapping(_) => Err(Unknown::needs("a mapping")),
        }
    }

    /// Appends the value as JSON. The keys keep their order, and numbers their digits.
    ///
    /// # Errors
    /// Names a value inside that is missing.
    pub(super) fn write_json(&self, json: &mut String) -> Result<(), Unknown> {
        let quoted = |text: &str| Json::from(text).to_string();
        match &self.kind {
            Kind::Absent | Kind::Null => json.push_str("null"),
            Kind::Text(text) if self.is_plain && is_literal(text) => json.push_str(text),
            Kind::Text(text) => json.push_str(&quoted(text)),
            Kind::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    item.write_json(json)?;
                }
                json.push(']');
            }
            Kind::Mapping(_) => {
                json.push('{');
                for (index, entry) in self.entries().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    json.push_str(&quoted(&entry.name));
                    json.push(':');
                    entry.value().write_json(json)?;
                }
                json.push('}');
            }
            Kind::Unknown(unknown) => return Err(unknown.clone()),
        }
        Ok(())
    }

    /// Counts every key of the value as read.
    pub(super) fn discard(&self) {
        self.items().iter().for_each(Self::discard);
        self.pairs()
            .iter()
            .for_each(|entry| entry.value().discard());
    }

    /// Returns `own` completed with `global`, as AWS SAM applies `Globals`: mappings are merged, lists are
    /// joined, and of two other values the own one counts.
    pub(super) fn merged(global: &Self, own: &Self) -> Self {
        if global.is_computed || own.is_computed {
            return own.clone();
        }
        let kind = match (&global.kind, &own.kind) {
            (Kind::List(global), Kind::List(own)) => {
                Kind::List(global.iter().chain(own).cloned().collect())
            }
            (Kind::Mapping(global), Kind::Mapping(own)) => {
                let mut entries = own.clone();
                for outer in global {
                    match entries.iter_mut().find(|entry| entry.name == outer.name) {
                        Some(entry) => {
                            entry.value = Self::merged(&outer.value, &entry.value);
                            entry.marks.extend(outer.marks.iter().cloned());
                        }
                        None => entries.push(outer.clone()),
                    }
                }
                Kind::Mapping(entries)
            }
            _ => own.kind.clone(),
        };
        Self::new(own.line, kind)
    }

    /// Returns the keys that nobody has read, without those inside their values.
    pub(super) fn unread(&self) -> Vec<UnreadKey> {
        let mut keys = Vec::new();
        self.collect_unread("", &mut keys);
        keys
    }

    fn collect_unread(&self, path: &str, keys: &mut Vec<UnreadKey>) {
        for item in self.items() {
            item.collect_unread(path, keys);
        }
        for entry in self.pairs() {
            let path = match path {
                "" => entry.name.clone(),
                path => format!("{path}.{}", entry.name),
            };
            let is_read = entry.marks.iter().any(|mark| mark.get());
            if is_read {
                entry.value.collect_unread(&path, keys);
            } else if !entry.is_absent() {
                keys.push(UnreadKey {
                    line: entry.line,
                    path,
                });
            }
        }
    }
}

/// Returns whether a text is a number or a boolean in JSON.
fn is_literal(text: &str) -> bool {
    matches!(
        serde_json::from_str(text),
        Ok(Json::Number(_) | Json::Bool(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::new(1, Kind::Text(text.to_owned()))
    }

    fn mapping<const N: usize>(pairs: [(&str, Node); N]) -> Node {
        let pairs = pairs.into_iter().enumerate();
        let entry = |(line, (key, value)): (usize, (&str, Node))| {
            Entry::new(key.to_owned(), line + 1, value)
        };
        Node::new(1, Kind::Mapping(pairs.map(entry).collect()))
    }

    fn paths(node: &Node) -> Vec<String> {
        node.unread().into_iter().map(|key| key.path).collect()
    }

    #[test]
    fn keys_that_nobody_reads_are_found_at_any_depth() {
        let items = Node::new(1, Kind::List(vec![mapping([("In", text("x"))])]));
        let node = mapping([
            ("Read", mapping([("Yes", text("1")), ("No", text("2"))])),
            ("Unread", mapping([("Inner", text("3"))])),
            ("List", items),
        ]);
        node.get("Read").unwrap().get("Yes");
        node.get("List");
        assert_eq!(paths(&node), ["Read.No", "Unread", "List.In"]);
        node.discard();
        assert_eq!(paths(&node), [""; 0]);
    }

    #[test]
    fn a_key_that_is_read_in_a_merged_value_is_read_in_both_sources() {
        let global = mapping([("Env", mapping([("A", text("1")), ("B", text("1"))]))]);
        let own = mapping([("Env", mapping([("B", text("2"))])), ("Own", text("3"))]);
        let merged = Node::merged(&global, &own);
        let env = merged.get("Env").unwrap();
        let pairs: Vec<_> = env.entries().collect();
        let pairs = pairs
            .iter()
            .map(|entry| (entry.name.as_str(), entry.value().text().unwrap()));
        assert_eq!(pairs.collect::<Vec<_>>(), [("B", "2"), ("A", "1")]);
        assert_eq!(paths(&global), [""; 0]);
        assert_eq!(paths(&own), ["Own"]);
    }
}
