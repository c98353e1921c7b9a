//! A template while it is read, and what is found in it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use lambda_api::FunctionName;

use crate::config::model::LocalDefaults;
use crate::config::routes::Route;
use crate::config::yaml::scalar::printable;
use crate::config::yaml::tree::{Key, Kind, YamlNode};

/// The contents of the templates.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The configuration names a template.
    pub(crate) is_asked_for: bool,
    pub(crate) functions: BTreeMap<FunctionName, ImportedFunction>,
    /// Events of the types `HttpApi` and `Api`, as they stand.
    pub(crate) routes: Vec<Route>,
    /// A sentence with file and line for each part of a template that has no meaning here.
    pub(crate) warnings: Vec<String>,
}

/// A function of a template.
#[derive(Debug)]
pub(crate) struct ImportedFunction {
    /// File and line.
    pub(crate) place: String,
    /// The program and its arguments, or the reason why there is none.
    pub(crate) command: Result<(String, Vec<String>), String>,
    /// The other keys.
    pub(crate) defaults: LocalDefaults,
}

/// The template that is being read.
pub(super) struct Template<'i> {
    pub(super) file: &'i str,
    /// The directory to which its paths are relative.
    pub(super) directory: PathBuf,
    pub(super) imported: &'i mut Imported,
}

impl Template<'_> {
    pub(super) fn warn(&mut self, line: usize, message: impl AsRef<str>) {
        let message = printable(message.as_ref());
        let warning = format!("{}:{line}: {message}", self.file);
        self.imported.warnings.push(warning);
    }

    /// Keeps the first of several keys of one name in a mapping.
    pub(super) fn leave_out_repeated(&mut self, node: &mut YamlNode) {
        match &mut node.kind {
            Kind::Null | Kind::Text(_) => {}
            Kind::List(items) => items
                .iter_mut()
                .for_each(|item| self.leave_out_repeated(item)),
            Kind::Mapping(entries) => {
                let mut lines = HashMap::new();
                entries.retain_mut(|(key, value)| {
                    if let Some(first) = lines.get(&key.text) {
                        let message = format!(
                            "{} stands on line {first} too, which counts; this one is left out",
                            key.text
                        );
                        self.warn(key.line, message);
                        return false;
                    }
                    lines.insert(key.text.clone(), key.line);
                    self.leave_out_repeated(value);
                    true
                });
            }
        }
    }
}

/// The pairs of a mapping; none of any other value.
pub(super) fn entries(node: &YamlNode) -> &[(Key, YamlNode)] {
    match &node.kind {
        Kind::Mapping(entries) => entries,
        _ => &[],
    }
}

/// The value of a key in a mapping.
pub(super) fn child<'n>(node: &'n YamlNode, key: &str) -> Option<&'n YamlNode> {
    entries(node)
        .iter()
        .find(|(other, _)| other.text == key)
        .map(|(_, value)| value)
}

/// A scalar's text.
pub(super) fn scalar(node: &YamlNode) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) => Some(text),
        _ => None,
    }
}
