//! `import`: functions from AWS SAM and CloudFormation templates.
//!
//! A template says what AWS is to build, in far more detail than a local run needs. The parts that are
//! understood become functions and routes, as `invoker.yaml` would describe them. A part that is not
//! understood causes a warning with its line. A template that cannot be read at all is a mistake in
//! `invoker.yaml`; nothing else in a template is.
//!
//! A template passes through these steps: loops are expanded (`for_each`), functions get their values
//! (`intrinsic`), readers take the keys that they understand (`functions`, `layers`, `sam`, `cloudformation`), and the
//! keys that nobody took are reported (`unread`).

mod api;
mod cloudformation;
mod code;
mod condition;
mod for_each;
mod functions;
mod intrinsic;
mod layers;
mod node;
mod openapi;
mod resource;
mod runtime;
mod sam;
mod template;
mod unread;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use self::for_each::Expansion;
use self::intrinsic::Scope;
use self::resource::Resources;
use self::template::{Template, child, entries, scalar};
use super::yaml::decode::Value;
use super::yaml::scalar::StackName;
use super::yaml::tree::{self, YamlNode};

pub(crate) use self::runtime::command as command_of_runtime;
pub(super) use self::template::{Imported, ImportedFunction, ImportedRoute, Warning};

/// The transforms of a template that are known here.
const TRANSFORMS: [&str; 2] = ["AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"];

/// The options of an import.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The value of `AWS::StackName`; `None` is the name of the template's folder.
    pub(super) stack_name: Option<StackName>,
    /// The values of parameters.
    pub(super) parameters: BTreeMap<String, String>,
}

/// Reads the templates that `value` names: a path or a list of paths, relative to `directory`.
///
/// Returns also the parameters in `options` that no template has.
pub(super) fn import(
    value: &Value<'_>,
    directory: &Path,
    options: &Options,
) -> Option<(Imported, Vec<String>)> {
    const EXPECTED: &str = "the path of a template such as template.yaml, or a list of them";
    let mut imported = Imported::default();
    let mut undeclared: Vec<_> = options.parameters.keys().cloned().collect();
    let files = match value.is_list() {
        true => value.list(EXPECTED)?,
        false => vec![value.clone()],
    };
    let mut read_all = Some(());
    for (index, file) in files.iter().enumerate() {
        let read = read(
            file,
            directory,
            options,
            (index, &mut imported),
            &mut undeclared,
        );
        read_all = read_all.and(read);
    }
    read_all.map(|()| (imported, undeclared))
}

fn read(
    value: &Value<'_>,
    directory: &Path,
    options: &Options,
    (index, imported): (usize, &mut Imported),
    undeclared: &mut Vec<String>,
) -> Option<()> {
    let name = value.text("the path of a template such as template.yaml")?;
    let path = directory.join(name);
    imported.files.push(path.clone());
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
        index,
        file: name,
        directory: path.parent().unwrap_or(directory).to_owned(),
        imported,
    };
    let stack_name = match &options.stack_name {
        Some(name) => name.as_str().to_owned(),
        None => folder_name(&template.directory),
    };
    let mut scope = Scope::new(&root, options.parameters.clone(), stack_name);
    let missing = scope.undeclared(undeclared.iter());
    *undeclared = missing.into_iter().cloned().collect();
    Expansion {
        template: &mut template,
        scope: &scope,
        size: 0,
    }
    .expand(&mut root);
    template.leave_out_repeated(&mut root);
    scope.conditions =
        child(&root, "Conditions").map_or_else(Vec::new, |all| entries(all).to_vec());
    let Some(listed) = child(&root, "Resources") else {
        value.problem(format!(
            "{name} is no template of AWS SAM or CloudFormation: it has no `Resources`"
        ));
        return None;
    };
    warn_of_transforms(&mut template, &root);
    let resources = Resources::read(&mut template, &mut scope, &root, listed);
    functions::read(&mut template, &scope, &resources, listed.line);
    layers::take(&resources);
    sam::read(&mut template, &scope, &resources);
    cloudformation::read(&mut template, &scope, &resources);
    unread::warn_of_resources(&mut template, &resources);
    unread::warn(&mut template, &resources);
    Some(())
}

/// Returns the name of the folder of the user's project as the name of a stack. The folders that the
/// SAM CLI and the CDK make inside of it do not count.
fn folder_name(directory: &Path) -> String {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let made = [".aws-sam", "build", "cdk.out"];
    let names = absolute.components().rev();
    let mut names = names.map(|name| name.as_os_str().to_string_lossy().into_owned());
    let is_in_sam = absolute.ends_with(".aws-sam/build");
    let name = names.find(|name| match name.as_str() {
        "cdk.out" | ".aws-sam" => false,
        name => !(is_in_sam && made.contains(&name)),
    });
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter,
        false => '-',
    };
    let name: String = name.unwrap_or_default().chars().map(letter).collect();
    let name = name.trim_matches('-');
    match name {
        "" => "local".to_owned(),
        name => name.to_owned(),
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

#[cfg(test)]
mod tests;
