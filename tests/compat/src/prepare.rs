//! Prepares applications: makes a copy in `target/compat/APP`, installs its dependencies and builds it.
//! A prepared copy is reused until the files that pin its dependencies change.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::format::Format;
use crate::manifest::{Framework, Toolchain};

/// The command and the folder of a prepared application.
#[derive(Clone, Debug)]
pub struct Prepared {
    command: Vec<OsString>,
    directory: PathBuf,
}

impl Prepared {
    /// Returns the value of the key `local` of `invoker.yaml` for the function of `framework` in `format`. The
    /// function gets the format in the variable `PAYLOAD_FORMAT`.
    #[must_use]
    pub fn local(&self, framework: &Framework, format: Format) -> Value {
        let mut env = framework.env.clone();
        env.insert("PAYLOAD_FORMAT".to_owned(), format.to_string());
        let words = self.command.iter();
        let command: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        json!({
            "command": command,
            "directory": self.directory,
            "env": env,
            "timeout": "30s",
            "init_timeout": "60s",
            "memory": 512,
            "concurrency": 1,
        })
    }
}

impl Toolchain {
    /// Returns the programs that must be on `PATH`.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3"],
            Self::Node => &["node", "npm"],
            Self::Go => &["go"],
            Self::Rust => &[],
            Self::Java => &["java", "mvn"],
        }
    }

    /// Returns the first of [`Self::programs`] that is missing.
    #[must_use]
    pub fn missing(self) -> Option<&'static str> {
        missing(self.programs())
    }

    /// Returns the commands that prepare an application, in its folder.
    #[must_use]
    pub fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Python => &[
                "python3 -m venv --clear venv",
                "venv/bin/python3 -m pip install --quiet --disable-pip-version-check \
                 --require-hashes --requirement requirements.txt",
            ],
            Self::Node => &["npm ci --ignore-scripts --no-audit --no-fund --loglevel=error"],
            Self::Go => &["go build -o function ."],
            Self::Rust => &[],
            Self::Java => &["mvn --quiet --batch-mode process-classes"],
        }
    }

    /// Returns the files that decide whether [`Self::steps`] must run again. An empty list means all files.
    #[must_use]
    pub fn pins(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["requirements.txt"],
            Self::Node => &["package-lock.json"],
            Self::Go | Self::Rust | Self::Java => &[],
        }
    }
}

/// Returns the first of `programs` that is not on `PATH`.
#[must_use]
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut programs = programs.iter().copied();
    programs.find(|program| !folders.iter().any(|folder| folder.join(program).is_file()))
}

/// Prepares the application of `framework`.
///
/// # Errors
/// A step fails. Its output has the cause.
pub fn prepare(framework: &Framework) -> Result<Prepared> {
    if framework.toolchain == Toolchain::Rust {
        return built(&framework.app);
    }
    let toolchain = framework.toolchain;
    let source = crate::folder().join("apps").join(&framework.app);
    let work = folder(&source, &framework.app, toolchain.steps(), toolchain.pins())?;
    Ok(prepared(framework, work))
}

/// Copies the folder `source` to `target/compat/NAME` and returns the copy's path. Runs `steps` there,
/// unless they have run with the same content of the files `pins` (of all files if there are no `pins`).
///
/// # Errors
/// A file cannot be copied, or a step fails. Its output has the cause.
pub fn folder(source: &Path, name: &str, steps: &[&str], pins: &[&str]) -> Result<PathBuf> {
    let work = crate::output_folder().join(name);
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    // Two rows can share an application, and two test processes can run a row.
    let lock = File::create(work.join("lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.with_context(|| format!("cannot lock {}", work.display()))?;
    let pinned = copy(source, &work, steps, pins)
        .with_context(|| format!("cannot copy {} to {}", source.display(), work.display()))?;
    let stamp = work.join("prepared.txt");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == pinned) {
        return Ok(work);
    }
    for step in steps {
        eprintln!("compat: {name}: {step}");
        run(
            Command::new("sh").args(["-c", step]).current_dir(&work),
            step,
        )?;
    }
    fs::write(&stamp, pinned).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(work)
}

/// Copies new and changed files. Returns the steps and the text of the files that pin the preparation.
fn copy(source: &Path, work: &Path, steps: &[&str], pins: &[&str]) -> Result<String> {
    let mut pinned = steps.join("\n");
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(work.join(&folder))?;
        let mut entries = fs::read_dir(source.join(&folder))?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
                continue;
            }
            let content = fs::read(entry.path())?;
            if pins.is_empty() || pins.iter().any(|pin| name == Path::new(pin)) {
                pinned.push_str(&String::from_utf8_lossy(&content));
            }
            if !fs::read(work.join(&name)).is_ok_and(|found| found == content) {
                fs::write(work.join(&name), content)?;
            }
        }
    }
    Ok(pinned)
}

fn prepared(framework: &Framework, directory: PathBuf) -> Prepared {
    let handler = &framework.handler;
    let command: Vec<OsString> = match framework.toolchain {
        Toolchain::Python => {
            let python = directory.join("venv/bin/python3");
            vec![
                python.into(),
                "-m".into(),
                "awslambdaric".into(),
                handler.into(),
            ]
        }
        Toolchain::Node => {
            let runtime = crate::folder().join("apps/node_runtime.mjs");
            vec!["node".into(), runtime.into(), handler.into()]
        }
        Toolchain::Java => {
            let client = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda";
            let classes = "target/classes:target/dependency/*";
            vec![
                "java".into(),
                "-cp".into(),
                classes.into(),
                client.into(),
                handler.into(),
            ]
        }
        Toolchain::Go | Toolchain::Rust => vec![directory.join("function").into()],
    };
    Prepared { command, directory }
}

/// Returns the program `compat-APP` of this package. It is beside the running program, or one folder up if
/// that is a test.
fn built(app: &str) -> Result<Prepared> {
    let program = format!("compat-{app}");
    let running = std::env::current_exe().context("the path of this program is unknown")?;
    let folders = running.ancestors().skip(1).take(2);
    let mut found = folders
        .map(|folder| folder.join(&program))
        .filter(|path| path.is_file());
    let Some(path) = found.next() else {
        bail!(
            "{program} is not built; run `cargo build --package {}` first",
            env!("CARGO_PKG_NAME")
        );
    };
    Ok(Prepared {
        command: vec![path.into()],
        directory: crate::folder().to_owned(),
    })
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    // Maven writes errors to standard output, which is for the report.
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    let status = status.with_context(|| format!("{what}: cannot be started"))?;
    if !status.success() {
        bail!("{what}: failed ({status}); the cause is shown above");
    }
    Ok(())
}
