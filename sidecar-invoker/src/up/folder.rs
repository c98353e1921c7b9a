//! The project in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use crate::config::command_of_runtime;

/// The names of the files that describe a project, by kind. The first kind that is there counts.
const FILES: [&[&str]; 3] = [
    &["invoker.yaml", "invoker.yml"],
    &["template.yaml", "template.yml", "template.json"],
    &["lrp.yaml", "lrp.yml"],
];
/// The template that `sam build` writes, in which functions have their dependencies.
const BUILT_BY_SAM: &str = ".aws-sam/build/template.yaml";
/// The folder in which `cdk synth` writes templates, and the end of their names.
const CDK: (&str, &str) = ("cdk.out", ".template.json");
/// The dependencies of a Rust package that is a function.
const RUST_CLIENTS: [&str; 2] = ["lambda_http", "lambda_runtime"];
/// The handler of a folder with Node.js.
const NODE_HANDLER: &str = "index.handler";
/// The functions in a Python file that may be the handler.
const PYTHON_HANDLERS: (&str, &str) = ("lambda_handler", "handler");

/// The error if a folder has no project, or more than one.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is nothing to serve.
    #[error(
        "{}: there is no invoker.yaml, template.yaml, cdk.out or lrp.yaml, and no function (Cargo.toml with lambda_http or \
         lambda_runtime, app.py, lambda_function.py, index.mjs, index.js, bootstrap); name a file: sidecar-invoker up FILE",
        .0.display()
    )]
    Nothing(PathBuf),
    /// There is more than one project of the same kind.
    #[error("{}: there are {}; name one of them: sidecar-invoker up FILE", .folder.display(), .files.join(" and "))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// The candidates.
        files: Vec<String>,
    },
    /// The code has no handler.
    #[error("{}: {expected}", .file.display())]
    NoHandler {
        /// The file.
        file: PathBuf,
        /// The expectation and the cure.
        expected: String,
    },
    /// The Rust package cannot be read.
    #[error("{}: {reason}", .file.display())]
    Cargo {
        /// The `Cargo.toml`.
        file: PathBuf,
        /// The reason and the cure.
        reason: String,
    },
}

/// Returns the file that describes the project in a folder, or `None` if the folder has none.
pub(super) fn file(folder: &Path) -> Result<Option<PathBuf>, FolderError> {
    let [invoker, template, lrp] = FILES;
    let built = folder.join(BUILT_BY_SAM);
    let template = match existing(folder, template) {
        found if found.is_empty() => of_cdk(folder),
        // As `sam local` does.
        _ if built.is_file() => vec![built],
        found => found,
    };
    let kinds = [existing(folder, invoker), template, existing(folder, lrp)];
    let found = kinds.into_iter().find(|files| !files.is_empty());
    found.map(|files| only(folder, &files)).transpose()
}

fn existing(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let files = names.iter().map(|name| folder.join(name));
    files.filter(|file| file.is_file()).collect()
}

/// Returns the templates that `cdk synth` has written.
fn of_cdk(folder: &Path) -> Vec<PathBuf> {
    let (output, end) = CDK;
    let entries = fs::read_dir(folder.join(output)).into_iter().flatten();
    let files = entries.flatten().map(|entry| entry.path());
    let is_template = |file: &PathBuf| file.to_string_lossy().ends_with(end);
    let mut files: Vec<_> = files.filter(is_template).collect();
    files.sort();
    files
}

fn only(folder: &Path, files: &[PathBuf]) -> Result<PathBuf, FolderError> {
    match files {
        [one] => Ok(one.clone()),
        several => Err(ambiguous(folder, several)),
    }
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A function in a folder of its own.
pub(super) struct FolderFunction {
    pub(super) name: String,
    /// The keys of `local`.
    pub(super) keys: Value,
}

/// The kinds of code that a folder may have.
#[derive(Debug, Clone, Copy)]
enum Code {
    Rust,
    Python,
    Node,
    Custom,
}

/// Returns the function in a folder.
pub(super) fn function(folder: &Path) -> Result<FolderFunction, FolderError> {
    let candidates = [
        (Code::Rust, "Cargo.toml"),
        (Code::Python, "app.py"),
        (Code::Python, "lambda_function.py"),
        (Code::Node, "index.mjs"),
        (Code::Node, "index.js"),
        (Code::Custom, "bootstrap"),
    ];
    let mut found = Vec::new();
    for (code, name) in candidates {
        let file = folder.join(name);
        if file.is_file() && (!matches!(code, Code::Rust) || rust_package(&file)?.is_some()) {
            found.push((code, file));
        }
    }
    let files: Vec<_> = found.iter().map(|(_, file)| file.clone()).collect();
    let (code, file) = match found.as_slice() {
        [] => return Err(FolderError::Nothing(folder.to_owned())),
        [(code, file)] => (*code, file.clone()),
        // A runtime for the code beside it, as on AWS.
        [(Code::Python, file), (Code::Custom, _)] => {
            return with_bootstrap(folder, &python_handler(file)?);
        }
        [(Code::Node, _), (Code::Custom, _)] => return with_bootstrap(folder, NODE_HANDLER),
        _ => return Err(ambiguous(folder, &files)),
    };
    match code {
        Code::Rust => rust_function(folder, &file),
        Code::Python => managed(folder, "python3", &python_handler(&file)?),
        Code::Node => managed(folder, "nodejs", NODE_HANDLER),
        Code::Custom => Ok(FolderFunction {
            name: name_of(folder),
            keys: json!({ "command": ["./bootstrap"] }),
        }),
    }
}

/// Returns a function whose folder has its runtime.
fn with_bootstrap(folder: &Path, handler: &str) -> Result<FolderFunction, FolderError> {
    Ok(FolderFunction {
        name: name_of(folder),
        keys: json!({ "command": ["./bootstrap"], "env": { "_HANDLER": handler } }),
    })
}

fn ambiguous(folder: &Path, files: &[PathBuf]) -> FolderError {
    FolderError::Several {
        folder: folder.to_owned(),
        files: files.iter().map(|file| name(file)).collect(),
    }
}

/// Returns a function of a managed runtime.
fn managed(folder: &Path, runtime: &str, handler: &str) -> Result<FolderFunction, FolderError> {
    let folder_of_code = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = command_of_runtime(runtime, handler, &folder_of_code);
    if let Some(warning) = found.warning {
        tracing::warn!("{warning}");
    }
    let (program, arguments) = found.command.map_err(|reason| FolderError::NoHandler {
        file: folder.to_owned(),
        expected: reason.to_string(),
    })?;
    let command: Vec<_> = std::iter::once(program).chain(arguments).collect();
    Ok(FolderFunction {
        name: name_of(folder),
        keys: json!({ "command": command, "env": { "_HANDLER": handler } }),
    })
}

fn python_handler(file: &Path) -> Result<String, FolderError> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let defines = |name: &&str| {
        let definitions = [
            format!("def {name}("),
            format!("{name} ="),
            format!("{name}="),
        ];
        text.lines()
            .any(|line| definitions.iter().any(|start| line.starts_with(start)))
    };
    let module = file.file_stem().unwrap_or_default().to_string_lossy();
    let (first, second) = PYTHON_HANDLERS;
    match [first, second].iter().find(|name| defines(name)) {
        Some(handler) => Ok(format!("{module}.{handler}")),
        None => Err(FolderError::NoHandler {
            file: file.to_owned(),
            expected: format!(
                "has neither `{first}` nor `{second}`; name its handler in an invoker.yaml, as the `command` \
                 [python3, -m, awslambdaric, {module}.NAME]"
            ),
        }),
    }
}

/// A package of Rust with one function.
struct RustPackage {
    program: String,
    target: PathBuf,
}

/// Returns the program of a package that uses AWS's client for Rust, or `None` for another package.
fn rust_package(file: &Path) -> Result<Option<RustPackage>, FolderError> {
    let manifest = fs::read_to_string(file).unwrap_or_default();
    if !RUST_CLIENTS.iter().any(|client| manifest.contains(client)) {
        return Ok(None);
    }
    let fail = |reason: String| FolderError::Cargo {
        file: file.to_owned(),
        reason,
    };
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
        ])
        .arg(file)
        .stdin(Stdio::null())
        .output();
    let output =
        output.map_err(|error| fail(format!("cargo cannot be run: {error}; install Rust")))?;
    if !output.status.success() {
        return Err(fail(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| fail(error.to_string()))?;
    let manifest = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let is_own = |package: &&Value| {
        let path = text(package, "manifest_path");
        path.is_some_and(|path| Path::new(path) == manifest)
    };
    let Some(package) = items(&metadata, "packages").find(is_own) else {
        return Ok(None);
    };
    let is_program = |target: &&Value| items(target, "kind").any(|kind| kind == "bin");
    let programs = items(package, "targets").filter(is_program);
    let programs: Vec<_> = programs.filter_map(|target| text(target, "name")).collect();
    match programs.as_slice() {
        [one] => Ok(Some(RustPackage {
            program: (*one).to_owned(),
            target: PathBuf::from(text(&metadata, "target_directory").unwrap_or("target")),
        })),
        [] => Err(fail("has no program; add a src/main.rs".to_owned())),
        several => Err(fail(format!(
            "has the programs {}; name one in an invoker.yaml, as the `command` of a function",
            several.join(" and ")
        ))),
    }
}

fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    let items = value.get(key).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn rust_function(folder: &Path, file: &Path) -> Result<FolderFunction, FolderError> {
    let Some(RustPackage { program, target }) = rust_package(file)? else {
        return Err(FolderError::Nothing(folder.to_owned()));
    };
    let path = target.join("debug").join(&program);
    let mut keys = Map::new();
    keys.insert("command".to_owned(), json!([path]));
    keys.insert(
        "build".to_owned(),
        json!(["cargo", "build", "--bin", program]),
    );
    keys.insert("watch".to_owned(), json!(true));
    Ok(FolderFunction {
        name: program,
        keys: Value::Object(keys),
    })
}

/// Returns the folder's name as far as a function may have it.
fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let name: String = name
        .chars()
        .filter(|letter| fits(*letter))
        .take(64)
        .collect();
    match name.is_empty() {
        true => "function".to_owned(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_beside_a_handler_is_its_runtime() {
        let handler = "def lambda_handler(event, context): ...\n";
        for (file, text, expected) in [
            ("index.mjs", "", "index.handler"),
            ("index.js", "", "index.handler"),
            ("app.py", handler, "app.lambda_handler"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(file), text).unwrap();
            fs::write(folder.path().join("bootstrap"), "").unwrap();
            let function = function(folder.path()).unwrap();
            let keys = json!({ "command": ["./bootstrap"], "env": { "_HANDLER": expected } });
            assert_eq!(function.keys, keys, "{file}");
        }
    }
}
