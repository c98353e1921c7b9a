//! `import`: functions from AWS SAM and CloudFormation templates.
//!
//! A template says what AWS is to build, in far more detail than a local run needs. The parts that are
//! understood become functions, as `invoker.yaml` would describe them. A part that matters and is not
//! understood causes a warning with its line. A template that cannot be read at all is a mistake in
//! `invoker.yaml`; nothing else in a template is.

mod events;
mod functions;
mod intrinsic;
mod runtime;
mod template;

use std::fs;
use std::path::Path;

use self::template::{Template, child};
use super::yaml::decode::Value;
use super::yaml::tree;

pub(super) use self::template::{Imported, ImportedFunction};

/// Reads the templates that `value` names: a path or a list of paths, relative to `directory`.
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

#[cfg(test)]
mod tests;
