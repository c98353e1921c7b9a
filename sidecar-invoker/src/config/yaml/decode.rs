//! Reads a [`tree`](super::tree) into types, and collects every mistake on the way, so that the user
//! sees all of them at once.
//!
//! A reader that has reported a problem returns `None`, and its caller goes on with the rest.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use lambda_filter_core::config::ValueError;

use super::tree::{Key, Kind, YamlNode};

/// A mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, counted from 1; `None` if the file as a whole is meant.
    pub line: Option<usize>,
    /// The key as a path (`functions.hello.local.timeout`); empty for the file as a whole.
    pub key: String,
    /// The message: the expected form, the text that was found, and the cure.
    pub message: String,
}

/// Every mistake in a configuration file, one line each, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the user named it.
    pub file: String,
    /// The mistakes, by line.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Returns the error for a file that cannot be used at all.
    pub(crate) fn file(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        let problem = Problem {
            line,
            key: String::new(),
            message: message.into(),
        };
        Self {
            file: file.to_owned(),
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { line, key, message }) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{}:", self.file)?;
            if let Some(line) = line {
                write!(out, "{line}:")?;
            }
            if !key.is_empty() {
                write!(out, " {key}:")?;
            }
            write!(out, " {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Runs `read` on the whole document; any problem it reports makes the result an error.
pub(crate) fn document<T>(
    file: &str,
    root: &YamlNode,
    read: impl FnOnce(&Value<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let report = RefCell::new(Vec::new());
    let value = Value {
        node: root,
        path: String::new(),
        report: &report,
    };
    let result = read(&value);
    let mut problems = report.into_inner();
    problems.sort_by_key(|problem| problem.line);
    match result {
        Some(result) if problems.is_empty() => Ok(result),
        _ => Err(ConfigError {
            file: file.to_owned(),
            problems,
        }),
    }
}

/// A value in the document.
#[derive(Clone)]
pub(crate) struct Value<'t> {
    node: &'t YamlNode,
    path: String,
    report: &'t RefCell<Vec<Problem>>,
}

impl<'t> Value<'t> {
    /// Reports a mistake in this value.
    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.problem_at(self.node.line, &self.path, message);
    }

    fn problem_at(&self, line: usize, path: &str, message: impl Into<String>) {
        self.report.borrow_mut().push(Problem {
            line: Some(line),
            key: path.to_owned(),
            message: message.into(),
        });
    }

    /// Returns the line where the value starts, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.node.line
    }

    /// Reads a scalar. `expected` names the form in an error: `a URL such as http://orders:8080`.
    pub(crate) fn text(&self, expected: &str) -> Option<&'t str> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            other => {
                let found = other.describe();
                self.problem(format!("expected {expected}, found {found}"));
                None
            }
        }
    }

    /// Reads a scalar with `parse`, which returns `None` for a text that is not `expected`.
    pub(crate) fn parse<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(expected)?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.problem(format!(
                "expected {expected}, found \"{}\"",
                text.escape_debug()
            ));
        }
        parsed
    }

    /// Reads a scalar whose type has messages of its own. `expected` is for values that are no scalar.
    pub(crate) fn read<T: FromStr<Err = ValueError>>(&self, expected: &str) -> Option<T> {
        let parsed = self.text(expected)?.parse::<T>();
        parsed.map_err(|error| self.problem(error.to_string())).ok()
    }

    /// Returns whether the value is empty, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    /// Reads a whole number in `range`. `what` names the number with its unit: `a number of MiB`.
    pub(crate) fn integer(&self, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("{what} from {} to {}", range.start(), range.end());
        self.parse(&expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// Returns `true` or `false` if the value is one of them, and reports nothing.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Returns whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Returns `node` as if it stood under `key` of this value.
    pub(crate) fn with<'n>(&self, key: &str, node: &'n YamlNode) -> Value<'n>
    where
        't: 'n,
    {
        Value {
            node,
            path: self.child_path(key),
            report: self.report,
        }
    }

    /// Reads the items of a list.
    pub(crate) fn list(&self, expected: &str) -> Option<Vec<Value<'t>>> {
        let Kind::List(items) = &self.node.kind else {
            let found = self.node.kind.describe();
            self.problem(format!("expected {expected}, found {found}"));
            return None;
        };
        let value = |(index, node)| Value {
            node,
            path: format!("{}[{index}]", self.path),
            report: self.report,
        };
        Some(items.iter().enumerate().map(value).collect())
    }

    /// Returns the value of a key of a mapping, if it is there. Nothing is reported.
    pub(crate) fn child(&self, key: &str) -> Option<Value<'t>> {
        let Kind::Mapping(entries) = &self.node.kind else {
            return None;
        };
        let (_, node) = entries.iter().find(|(other, _)| other.text == key)?;
        Some(Value {
            node,
            path: self.child_path(key),
            report: self.report,
        })
    }

    /// Returns the keys of a mapping; none for other values. Nothing is reported.
    pub(crate) fn names(&self) -> Vec<&'t str> {
        match &self.node.kind {
            Kind::Mapping(entries) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Reads a mapping, each key at most once.
    pub(crate) fn mapping(&self, expected: &str) -> Option<Mapping<'_, 't>> {
        let Kind::Mapping(entries) = &self.node.kind else {
            let found = self.node.kind.describe();
            self.problem(format!("expected {expected}, found {found}"));
            return None;
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            let first = entries
                .iter()
                .take(index)
                .find(|(other, _)| other.text == key.text);
            if let Some((first, _)) = first {
                let message = format!("stands twice, first in line {}; remove one", first.line);
                self.problem_at(key.line, &self.child_path(&key.text), message);
            }
        }
        Some(Mapping {
            value: self,
            entries,
            known: Vec::new(),
        })
    }

    fn child_path(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

/// The keys of a mapping. [`finish`](Mapping::finish) reports the unknown keys.
pub(crate) struct Mapping<'v, 't> {
    value: &'v Value<'t>,
    entries: &'t [(Key, YamlNode)],
    known: Vec<&'static str>,
}

impl<'t> Mapping<'_, 't> {
    /// Returns the value of `key`, if it is there. The key is known from now on.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'t>> {
        // A key may be asked for twice: by its own reader and by that of all others.
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (_, node) = self.entries.iter().find(|(other, _)| other.text == key)?;
        Some(self.child(key, node))
    }

    /// Returns the value of `key`, or reports that it is missing.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Value<'t>> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing(key);
        }
        value
    }

    /// Reports that `key` is missing.
    pub(crate) fn missing(&self, key: &str) {
        self.value.problem(format!("the key `{key}` is missing"));
    }

    /// Returns all keys and their values, for a mapping whose keys are names that the user chose.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        self.entries
            .iter()
            .map(|(key, node)| (key.text.as_str(), self.child(&key.text, node)))
    }

    /// Reports every unknown key. A key that begins with `x-` is the user's own, as in a Compose file.
    pub(crate) fn finish(self) {
        for (key, _) in self.entries {
            if self.known.contains(&key.text.as_str()) || key.text.starts_with("x-") {
                continue;
            }
            let message = match nearest(&key.text, &self.known) {
                Some(known) => format!("unknown key; did you mean `{known}`?"),
                None => format!("unknown key; the keys here are {}", self.known.join(", ")),
            };
            self.value
                .problem_at(key.line, &self.value.child_path(&key.text), message);
        }
    }

    fn child(&self, key: &str, node: &'t YamlNode) -> Value<'t> {
        Value {
            node,
            path: self.value.child_path(key),
            report: self.value.report,
        }
    }
}

/// Returns the known key that a typo most likely meant: at most one change per three letters away.
pub(crate) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |known: &&'k str| {
        (
            strsim::damerau_levenshtein(&key.to_lowercase(), known),
            *known,
        )
    };
    let (distance, known) = known.iter().map(distance).min()?;
    (distance <= key.chars().count().div_ceil(3)).then_some(known)
}

impl Kind {
    fn describe(&self) -> String {
        match self {
            Kind::Null => "nothing".to_owned(),
            Kind::Text(text) => format!("\"{}\"", text.escape_debug()),
            Kind::List(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_the_key_it_meant() {
        assert_eq!(nearest("comand", &["command", "timeout"]), Some("command"));
        assert_eq!(nearest("Timeout", &["command", "timeout"]), Some("timeout"));
        assert_eq!(nearest("replicas", &["command", "timeout"]), None);
    }

    #[test]
    fn a_problem_without_a_line_still_reads_as_one_sentence() {
        let error = ConfigError::file("a.yaml", None, "no such file; name one with --config");
        assert_eq!(
            error.to_string(),
            "a.yaml: no such file; name one with --config"
        );
    }
}
