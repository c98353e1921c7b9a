//! The key `env_file`: files with variables.

use std::path::{Path, PathBuf};

use lambda_filter_core::config::reference::Values;
use serde_json::json;

use crate::config::model::check_variable_name;
use crate::config::yaml::decode::Value;

/// Returns the values of the key.
pub(super) fn env_file_values() -> Values {
    Values {
        text: "path, or list of paths".to_owned(),
        schema: json!({ "type": ["string", "array"], "items": { "type": "string" } }),
    }
}

/// A file with variables.
pub(super) type EnvFile = (PathBuf, Vec<(String, String)>);

/// Reads the key `env_file`.
pub(super) fn env_files(value: &Value<'_>, base: &Path) -> Option<Vec<EnvFile>> {
    let files = match value.is_list() {
        true => value.list("a path such as .env, or a list of paths")?,
        false => vec![value.clone()],
    };
    files.iter().map(|file| env_file(file, base)).collect()
}

fn env_file(value: &Value<'_>, base: &Path) -> Option<EnvFile> {
    let name = value.text("the path of a file such as .env")?;
    let path = base.join(name);
    let read = dotenvy::from_path_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(variables) => {
            let mut names = variables.iter().map(|(name, _)| name);
            if let Some((name, reason)) = names.find_map(|name| {
                let reason = check_variable_name(name).err()?;
                Some((name, reason))
            }) {
                value.problem(format!("{}: {name} {reason}", path.display()));
                return None;
            }
            Some((path, variables))
        }
        Err(error) => {
            value.problem(format!(
                "{} cannot be read: {error}; it has to be a file with NAME=VALUE in each line, relative to this file's own folder",
                path.display()
            ));
            None
        }
    }
}
