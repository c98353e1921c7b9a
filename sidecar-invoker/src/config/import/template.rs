//! A template while it is read, and what is found in it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;

use lambda_api::FunctionName;

use super::omission::Omission;
use crate::config::cors::Preflight;
use crate::config::model::LocalDefaults;
use crate::config::pattern::PathPattern;
use crate::config::routes::Route;
use crate::config::yaml::scalar::printable;
use crate::config::yaml::tree::{Key, Kind, YamlNode};

/// The contents of the templates.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The configuration names a template.
    pub(crate) is_asked_for: bool,
    pub(crate) functions: BTreeMap<FunctionName, ImportedFunction>,
    /// The functions that cannot run as their templates say, by a warning.
    pub(crate) left_out: BTreeMap<FunctionName, Place>,
    pub(crate) routes: Vec<ImportedRoute>,
    pub(crate) warnings: Vec<Warning>,
    /// The mistakes in files that the templates name.
    pub(super) mistakes: Vec<String>,
    /// The responses to OPTIONS that are not a function's.
    pub(super) mocks: Vec<Mock>,
    /// The templates that were read, and the files with definitions of their APIs.
    pub(crate) files: Vec<PathBuf>,
}

impl Imported {
    /// Returns the warnings in the order of their lines.
    pub(crate) fn warnings_by_line(mut self) -> Vec<String> {
        self.warnings
            .sort_by(|left, right| left.place.cmp(&right.place));
        self.warnings.iter().map(ToString::to_string).collect()
    }
}

/// A function of a template.
#[derive(Debug)]
pub(crate) struct ImportedFunction {
    pub(crate) place: Place,
    /// The program and its arguments, or the reason why there is none.
    pub(crate) command: Result<(String, Vec<String>), Omission>,
    /// The other keys.
    pub(crate) defaults: LocalDefaults,
}

/// A route of an API in a template.
#[derive(Debug)]
pub(crate) struct ImportedRoute {
    pub(crate) place: Place,
    pub(crate) route: Route,
}

/// The response of a path of a REST API to OPTIONS, which is described apart from the other methods.
#[derive(Debug)]
pub(super) struct Mock {
    pub(super) path: PathPattern,
    pub(super) preflight: Preflight,
}

/// A place in a template. Places are ordered by template and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The position of the template among all templates.
    pub(crate) index: usize,
    pub(crate) line: usize,
    /// The template, as the user named it.
    pub(crate) file: String,
}

/// A part of a template that has no meaning here, or another one than on AWS.
#[derive(Debug)]
pub(crate) struct Warning {
    pub(crate) place: Place,
    pub(crate) message: String,
    /// The key under `functions.NAME.local` that makes the warning needless if the user sets it.
    pub(crate) cured_by: Option<(FunctionName, String)>,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, .. } = &self.place;
        write!(out, "{file}:{line}: {}", printable(&self.message))
    }
}

/// The file of a template.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The position among all templates.
    pub(super) index: usize,
    /// The file, as the user would name it.
    pub(super) file: String,
    /// The directory to which its paths are relative.
    pub(super) directory: PathBuf,
}

/// The template that is being read.
pub(super) struct Template<'i> {
    pub(super) source: Source,
    pub(super) imported: &'i mut Imported,
}

impl<'i> Template<'i> {
    /// Returns the template in a file.
    pub(super) fn new(source: &Source, imported: &'i mut Imported) -> Self {
        Self {
            source: source.clone(),
            imported,
        }
    }

    pub(super) fn place(&self, line: usize) -> Place {
        Place {
            index: self.source.index,
            line,
            file: self.source.file.clone(),
        }
    }

    pub(super) fn warn(&mut self, line: usize, message: impl Into<String>) {
        let warning = Warning {
            place: self.place(line),
            message: message.into(),
            cured_by: None,
        };
        self.imported.warnings.push(warning);
    }

    /// Returns whether the function that stands in this line has the name, and not another one.
    pub(super) fn has_function(&self, name: &FunctionName, line: usize) -> bool {
        let function = self.imported.functions.get(name);
        let place = function.map(|function| &function.place);
        let place = place.or_else(|| self.imported.left_out.get(name));
        place == Some(&self.place(line))
    }

    /// Warns unless the user sets `key` under `functions.NAME.local`.
    pub(super) fn warn_unless_set(
        &mut self,
        (function, key): (&FunctionName, &str),
        line: usize,
        message: impl Into<String>,
    ) {
        let warning = Warning {
            place: self.place(line),
            message: message.into(),
            cured_by: Some((function.clone(), key.to_owned())),
        };
        self.imported.warnings.push(warning);
    }

    /// Adds a route. It is left out if it is the same as another one of a template.
    pub(super) fn add_route(&mut self, route: Route) {
        let place = self.place(route.line);
        let routes = &mut self.imported.routes;
        let same = routes.iter_mut().find(|other| {
            other.route.host == route.host
                && other.route.method == route.method
                && other.route.conditions == route.conditions
                && other.route.path.is_same(&route.path)
        });
        match same {
            // One event may be described twice: beside the function and in the API's definition.
            Some(other) if other.route.function == route.function => {
                // If one of the two asks for a token, the route does.
                let authorizer = other.route.authorizer.take();
                other.route.authorizer = authorizer.or(route.authorizer);
            }
            Some(other) => {
                let message = format!(
                    "the route {} is that of {}:{} too, which counts; this one is left out",
                    route.name(),
                    other.place.file,
                    other.place.line
                );
                self.warn(route.line, message);
            }
            None => self.imported.routes.push(ImportedRoute { place, route }),
        }
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
