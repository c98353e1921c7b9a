//! `import`: functions from AWS SAM and CloudFormation templates.
//!
//! A template says what AWS is to build, in far more detail than a local run needs. The parts that are
//! understood become functions and routes, as `invoker.yaml` would describe them. A part that is not
//! understood causes a warning with its line. A template that cannot be read at all is a mistake in
//! `invoker.yaml`; nothing else in a template is.
//!
//! A template passes through these steps: loops are expanded (`for_each`), the templates inside it are read (`load`),
//! functions get their values (`intrinsic`), readers take the keys that they understand (`functions`, `layers`, `sam`, `cloudformation`), and the
//! keys that nobody took are reported (`unread`).

mod api;
mod authorizer;
mod cloudformation;
mod code;
mod condition;
mod cors;
mod for_each;
mod functions;
mod intrinsic;
mod layers;
mod load;
mod load_balancer;
mod node;
mod omission;
mod openapi;
mod resource;
mod runtime;
mod sam;
mod stack;
mod template;
mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::api::Apis;
use self::load::NewStack;
use self::node::{Kind, Node};
use self::stack::Stacks;
use self::template::Template;
use super::authorizer::JwksUrl;
use super::yaml::decode::Value;
use super::yaml::scalar::StackName;

pub(crate) use self::runtime::command as command_of_runtime;
pub(super) use self::template::{Imported, ImportedFunction, ImportedRoute, Warning};

/// The options of an import.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The value of `AWS::StackName`; `None` is the name of the template's folder.
    pub(super) stack_name: Option<StackName>,
    /// The values of parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// The URLs of the keys of issuers.
    pub(super) jwks: BTreeMap<String, JwksUrl>,
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
    let mut names = BTreeSet::new();
    let files = match value.is_list() {
        true => value.list(EXPECTED)?,
        false => vec![value.clone()],
    };
    let mut read_all = Some(());
    for file in files {
        let read = file
            .text("the path of a template such as template.yaml")
            .and_then(|name| {
                let path = directory.join(name);
                let stack_name = match &options.stack_name {
                    Some(name) => name.as_str().to_owned(),
                    None => folder_name(path.parent().unwrap_or(directory)),
                };
                let parameters = options.parameters.iter().map(|(name, value)| {
                    let value = Node::new(0, Kind::Text(value.clone()));
                    (name.clone(), value)
                });
                let stack = NewStack {
                    file: name.to_owned(),
                    path,
                    stack_name,
                    prefix: String::new(),
                    parameters: parameters.collect(),
                };
                let stacks = load::read(stack, &mut imported, &mut names, &mut undeclared);
                match stacks {
                    Ok(stacks) => {
                        take(&mut imported, &stacks);
                        let mistakes = std::mem::take(&mut imported.mistakes);
                        let is_right = mistakes.is_empty();
                        mistakes.into_iter().for_each(|one| file.problem(one));
                        is_right.then_some(())
                    }
                    Err(problems) => {
                        problems.into_iter().for_each(|one| file.problem(one));
                        None
                    }
                }
            });
        read_all = read_all.and(read);
    }
    let routes = imported.routes.iter_mut();
    let authorizers = routes.filter_map(|imported| imported.route.authorizer.as_mut());
    for authorizer in authorizers {
        if let Some(url) = options.jwks.get(&authorizer.issuer) {
            authorizer.jwks = url.clone();
        }
    }
    read_all.map(|()| (imported, undeclared))
}

/// Takes the functions and routes of a template, and warns of the rest.
fn take(imported: &mut Imported, stacks: &Stacks) {
    let mut apis = Apis::default();
    let mut listeners = 0;
    for stack in &stacks.0 {
        let mut template = Template::new(&stack.source, imported);
        functions::read(&mut template, stacks, stack);
        layers::take(&stack.resources);
        sam::read_apis(&mut template, stack, &mut apis);
        cloudformation::read_apis(&mut template, stacks, stack, &mut apis);
    }
    for stack in &stacks.0 {
        let mut template = Template::new(&stack.source, imported);
        sam::read_events(&mut template, stack, &apis);
        sam::add_merged(&mut template, stack, &apis);
        cloudformation::read_routes(&mut template, stacks, stack, &apis);
        load_balancer::read(&mut template, stacks, stack, &mut listeners);
    }
    cors::take_mocks(imported);
    for stack in &stacks.0 {
        let mut template = Template::new(&stack.source, imported);
        unread::warn_of_resources(&mut template, &stack.resources);
        unread::warn(&mut template, &stack.resources);
    }
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

#[cfg(test)]
mod tests;
