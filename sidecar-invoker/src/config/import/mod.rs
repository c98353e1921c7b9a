//! `import`: functions from AWS SAM and CloudFormation templates.
//!
//! A template says what AWS is to build, in far more words than a local run has use for. What is
//! understood becomes a function as `invoker.yaml` would describe it; what is not, and matters, is
//! a warning with its line. Nothing in a template is a mistake in `invoker.yaml`, but that it cannot
//! be read at all.

mod events;
mod functions;
mod intrinsic;
mod runtime;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::model::LocalDefaults;
use super::routes::Route;
use super::yaml::decode::Value;
use super::yaml::scalar::printable;
use super::yaml::tree::{self, Key, Kind, Node};
use lambda_api::FunctionName;

/// What one or several templates hold.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// Whether there is any template.
    pub(super) is_asked_for: bool,
    pub(super) functions: BTreeMap<FunctionName, ImportedFunction>,
    /// Events of the types `HttpApi` and `Api`, as they stand.
    pub(super) routes: Vec<Route>,
    /// What was not understood, each with its file and line.
    pub(super) warnings: Vec<String>,
}

/// A function of a template.
#[derive(Debug)]
pub(super) struct ImportedFunction {
    /// File and line.
    pub(super) place: String,
    /// The program and its arguments, or what is missing for there to be one.
    pub(super) command: Result<(String, Vec<String>), String>,
    /// The other keys.
    pub(super) defaults: LocalDefaults,
}

/// Reads the templates that `value`, a path or a list of paths, names, relative to `directory`.
pub(super) fn import(value: &Value<'_>, directory: &Path) -> Option<Imported> {
    const EXPECTED: &str = "the path of a template such as template.yaml, or a list of them";
    let mut imported = Imported::default();
    let files = match value.is_list() {
        true => value.list(EXPECTED)?,
        false => return read(value, directory, &mut imported).map(|()| imported),
    };
    let read: Vec<_> = files
        .iter()
        .map(|file| read(file, directory, &mut imported))
        .collect();
    read.into_iter().collect::<Option<()>>().map(|()| imported)
}

fn read(value: &Value<'_>, directory: &Path, imported: &mut Imported) -> Option<()> {
    let name = value.text("the path of a template such as template.yaml")?;
    let path = directory.join(name);
    let root = fs::read_to_string(&path)
        .map_err(|error| {
            format!("{name} cannot be read: {error}; the path is relative to this file's own")
        })
        .and_then(|text| {
            tree::parse_template(&text).map_err(|error| {
                format!("{name}:{}: not valid YAML: {}", error.line, error.message)
            })
        });
    let mut root = match root {
        Ok(root) => root,
        Err(message) => {
            value.problem(message);
            return None;
        }
    };
    let mut template = Template {
        file: name,
        directory: path.parent().unwrap_or(directory).to_owned(),
        imported,
    };
    template.leave_out_repeated(&mut root);
    let Some(resources) = child(&root, "Resources") else {
        value.problem(format!(
            "{name} is no template of AWS SAM or CloudFormation: it has no `Resources`"
        ));
        return None;
    };
    functions::read(&mut template, &root, resources);
    Some(())
}

/// The template that is being read.
struct Template<'i> {
    file: &'i str,
    /// Where its relative paths start.
    directory: PathBuf,
    imported: &'i mut Imported,
}

impl Template<'_> {
    fn warn(&mut self, line: usize, message: impl AsRef<str>) {
        let message = printable(message.as_ref());
        let warning = format!("{}:{line}: {message}", self.file);
        self.imported.warnings.push(warning);
    }

    /// Keeps the first of several keys of one name in a mapping.
    fn leave_out_repeated(&mut self, node: &mut Node) {
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
fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.kind {
        Kind::Mapping(entries) => entries,
        _ => &[],
    }
}

/// The value of a key in a mapping.
fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node)
        .iter()
        .find(|(other, _)| other.text == key)
        .map(|(_, value)| value)
}

/// A scalar's text.
fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
