//! Reads a template, and the templates of the stacks inside it.
//!
//! Source: `AWS::CloudFormation::Stack` in the AWS CloudFormation template reference,
//! `AWS::Serverless::Application` in the AWS SAM developer guide.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::for_each::{Expansion, size};
use super::intrinsic::{MAX_TEXT, Scope};
use super::node::{Kind, Node};
use super::omission::{LoadError, Omission};
use super::resource::{NESTED, Resources, is_made, name_functions, name_versions};
use super::stack::{Stack, Stacks};
use super::template::{Imported, Source, Template, child, entries, scalar};
use crate::config::yaml::decode::nearest;
use crate::config::yaml::tree::{self, Key, YamlNode};
use crate::util::normal_path;
use lambda_api::FunctionName;

/// The transforms of a template that are known here.
const TRANSFORMS: [&str; 2] = ["AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"];

/// The sections of a template.
const SECTIONS: [&str; 12] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

/// The largest number of stacks of one template.
const MAX_STACKS: usize = 200;

/// The largest size of all stacks of one template together, in values, or in 16 bytes of text.
const MAX_SIZE: usize = 1_000_000;

/// Reads a template and those that it names.
struct Loader<'l> {
    imported: &'l mut Imported,
    stacks: Vec<Stack>,
    /// The files of the stacks around the one that is being read.
    chain: Vec<PathBuf>,
    /// The names of functions that are taken.
    names: &'l mut BTreeSet<FunctionName>,
    /// The size of what has been read.
    size: usize,
    /// The text that functions may still return.
    text: Rc<Cell<usize>>,
    /// The reasons why a template cannot be read.
    problems: Vec<String>,
}

/// A stack that is to be read.
pub(super) struct NewStack {
    /// The template, as the user would name it.
    pub(super) file: String,
    pub(super) path: PathBuf,
    pub(super) stack_name: String,
    /// The logical ids of the stacks around it, each with a slash.
    pub(super) prefix: String,
    pub(super) parameters: BTreeMap<String, Node>,
}

/// The parts of a stack of which another one may make use.
struct Loaded {
    /// The names of the parameters.
    parameters: Vec<String>,
    outputs: BTreeMap<String, Node>,
}

impl Loader<'_> {
    /// Reads a template. An error is the reason why it cannot be read at all.
    fn load(&mut self, new: NewStack) -> Result<Loaded, LoadError> {
        let NewStack { file, path, .. } = new;
        let index = self.imported.files.len();
        self.imported.files.push(path.clone());
        let mut root = parse(&file, &path)?;
        let source = Source {
            index,
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            file,
        };
        let mut template = Template::new(&source, self.imported);
        let mut scope = Scope::new(
            &root,
            new.parameters,
            (new.stack_name, new.prefix),
            &self.text,
        );
        Expansion {
            template: &mut template,
            scope: &scope,
            size: 0,
        }
        .expand(&mut root);
        template.leave_out_repeated(&mut root);
        self.size += size(&root);
        if self.size > MAX_SIZE {
            return Err(LoadError::TooLarge(source.file));
        }
        scope.conditions =
            child(&root, "Conditions").map_or_else(Vec::new, |all| entries(all).to_vec());
        let file = &source.file;
        let Some(listed) = child(&root, "Resources") else {
            return Err(LoadError::NoTemplate(file.clone()));
        };
        warn_of_transforms(&mut template, &root);
        warn_of_sections(&mut template, &root);
        scope.warn_of_parameters(&mut template);
        let made: Vec<_> = entries(listed)
            .iter()
            .filter(|(key, resource)| is_made(&mut template, &scope, key, resource))
            .collect();
        name_functions(&mut template, &mut scope, self.names, &made);
        name_versions(&mut template, &mut scope, &root, &made);
        self.chain.push(normal_path(&path).unwrap_or(path));
        self.load_nested(&source, &mut scope, &made);
        self.chain.pop();
        let outputs = child(&root, "Outputs").map_or(&[][..], entries);
        let output = |(key, output): &(Key, YamlNode)| {
            let value = child(output, "Value")?;
            Some((key.text.clone(), scope.evaluate(value)))
        };
        let loaded = Loaded {
            parameters: scope.parameter_names(),
            outputs: outputs.iter().filter_map(output).collect(),
        };
        self.stacks.push(Stack {
            resources: Resources::read(&scope, &root, &made),
            line: listed.line,
            source,
            scope,
        });
        Ok(loaded)
    }

    /// Reads the stacks inside a stack. One whose parameters need the outputs of another comes after it.
    fn load_nested(&mut self, source: &Source, scope: &mut Scope, made: &[&(Key, YamlNode)]) {
        let mut waiting: Vec<_> = made.iter().filter_map(|entry| Nested::of(entry)).collect();
        while !waiting.is_empty() {
            let needs_other = |nested: &Nested<'_>| {
                let parameters = nested.parameters(scope);
                parameters.values().any(|value| match &value.kind {
                    Kind::Unknown(unknown) => {
                        let is_needed =
                            |other: &Nested<'_>| unknown.resource == Some(scope.path(other.id));
                        waiting.iter().any(is_needed)
                    }
                    _ => false,
                })
            };
            let next = waiting.iter().position(|nested| !needs_other(nested));
            let nested = waiting.remove(next.unwrap_or_default());
            let new = match self.found(source, scope, &nested) {
                Ok(new) => new,
                Err(reason) => {
                    let mut template = self.template(source);
                    template.warn(
                        nested.line,
                        format!("{}: {reason}; it is left out", nested.id),
                    );
                    continue;
                }
            };
            let given: Vec<_> = new.parameters.keys().cloned().collect();
            let loaded = match self.check(&new) {
                Ok(()) => self.load(new),
                Err(reason) => Err(reason),
            };
            match loaded {
                Ok(loaded) => {
                    let mut template = self.template(source);
                    let unknown = given
                        .iter()
                        .filter(|name| !loaded.parameters.contains(name));
                    for name in unknown {
                        let message = format!(
                            "{}: Parameters.{name}: its template has no parameter of this name",
                            nested.id
                        );
                        template.warn(nested.line, message);
                    }
                    scope.outputs.insert(nested.id.to_owned(), loaded.outputs);
                }
                Err(reason) => {
                    let Source { file, .. } = source;
                    let (line, id) = (nested.line, nested.id);
                    self.problems.push(format!("{file}:{line}: {id}: {reason}"));
                }
            }
        }
    }

    fn template(&mut self, source: &Source) -> Template<'_> {
        Template::new(source, self.imported)
    }

    /// Returns the stack that a resource describes, or the reason why its template is not on this machine.
    fn found(
        &self,
        source: &Source,
        scope: &Scope,
        nested: &Nested<'_>,
    ) -> Result<NewStack, Omission> {
        let not_here = || Omission::RemoteTemplate(nested.property);
        let location = nested.location(scope).ok_or_else(not_here)?;
        let location = location.strip_prefix("file://").unwrap_or(&location);
        if location.contains("://") {
            return Err(not_here());
        }
        let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
        Ok(NewStack {
            file: without_dots(&folder.join(location)).display().to_string(),
            path: source.directory.join(location),
            stack_name: format!("{}-{}", scope.stack_name, nested.id),
            prefix: format!("{}/", scope.path(nested.id)),
            parameters: nested.parameters(scope),
        })
    }

    /// Checks that a stack does not contain itself, and that there are not too many.
    fn check(&self, new: &NewStack) -> Result<(), LoadError> {
        let path = normal_path(&new.path).map_err(LoadError::Path)?;
        if self.chain.contains(&path) {
            return Err(LoadError::Circle(new.file.clone()));
        }
        // Templates that are being read are not in `stacks` yet.
        match self.stacks.len() + self.chain.len() < MAX_STACKS {
            true => Ok(()),
            false => Err(LoadError::StackLimit(MAX_STACKS)),
        }
    }
}

/// A resource that is a stack.
struct Nested<'y> {
    id: &'y str,
    line: usize,
    property: &'static str,
    resource: &'y YamlNode,
}

impl<'y> Nested<'y> {
    fn of((key, resource): &'y (Key, YamlNode)) -> Option<Self> {
        let kind = child(resource, "Type").and_then(scalar)?;
        let (_, property) = NESTED.into_iter().find(|(other, _)| *other == kind)?;
        Some(Self {
            id: &key.text,
            line: key.line,
            property,
            resource,
        })
    }

    fn get(&self, property: &str) -> Option<&'y YamlNode> {
        child(child(self.resource, "Properties")?, property)
    }

    /// Returns the path of the template. `cdk synth` names a file beside the object in S3 that it will
    /// become.
    fn location(&self, scope: &Scope) -> Option<String> {
        let metadata = child(self.resource, "Metadata");
        let asset = metadata.and_then(|metadata| child(metadata, "aws:asset:path"));
        let location = asset.or_else(|| self.get(self.property))?;
        scope.text(location).ok()
    }

    fn parameters(&self, scope: &Scope) -> BTreeMap<String, Node> {
        let all = self.get("Parameters").map_or(&[][..], entries);
        let parameter = |(key, value): &(Key, YamlNode)| (key.text.clone(), scope.evaluate(value));
        let mut all: BTreeMap<_, _> = all.iter().map(parameter).collect();
        all.retain(|_, value| !matches!(value.kind, Kind::Absent));
        all
    }
}

fn parse(file: &str, path: &Path) -> Result<YamlNode, LoadError> {
    let text = fs::read_to_string(path).map_err(|error| LoadError::Read {
        file: file.to_owned(),
        error,
    })?;
    tree::parse_template(&text).map_err(|error| LoadError::Yaml {
        file: file.to_owned(),
        line: error.line,
        message: error.message,
    })
}

/// Returns a path without the parts that are not needed, for messages.
fn without_dots(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}

/// Returns a stack and those inside it, or the reasons why they cannot be read. Removes the parameters of
/// the outermost one from `undeclared`.
pub(super) fn read(
    stack: NewStack,
    imported: &mut Imported,
    names: &mut BTreeSet<FunctionName>,
    undeclared: &mut Vec<String>,
) -> Result<Stacks, Vec<String>> {
    let mut loader = Loader {
        imported,
        stacks: Vec::new(),
        chain: Vec::new(),
        names,
        size: 0,
        text: Rc::new(Cell::new(MAX_TEXT)),
        problems: Vec::new(),
    };
    let loaded = loader.load(stack);
    let Loader {
        mut stacks,
        mut problems,
        ..
    } = loader;
    match loaded {
        Ok(loaded) => undeclared.retain(|name| !loaded.parameters.contains(name)),
        Err(error) => problems.push(error.to_string()),
    }
    stacks.sort_by_key(|stack| stack.source.index);
    match problems.is_empty() {
        true => Ok(Stacks(stacks)),
        false => Err(problems),
    }
}

/// Warns of keys of the whole template that nothing reads.
fn warn_of_sections(template: &mut Template<'_>, root: &YamlNode) {
    for (key, _) in entries(root) {
        if !SECTIONS.contains(&key.text.as_str()) {
            let hint = nearest(&key.text, &SECTIONS);
            let hint = hint.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            let message = format!(
                "{} is no section of a template and has no effect here{hint}",
                key.text
            );
            template.warn(key.line, message);
        }
    }
}

/// Warns of macros, which may change everything.
fn warn_of_transforms(template: &mut Template<'_>, root: &YamlNode) {
    let Some(transform) = child(root, "Transform") else {
        return;
    };
    let all = match &transform.kind {
        tree::Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(transform),
    };
    for one in all {
        let name = scalar(one).or_else(|| child(one, "Name").and_then(scalar));
        let name = name.unwrap_or("an unknown one");
        if !TRANSFORMS.contains(&name) {
            let message = format!("Transform: the macro {name} is not run here");
            template.warn(one.line, message);
        }
    }
}
