//! The keys of a function that the invoker runs itself: `functions.NAME.local`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::import::ImportedFunction;
use crate::config::model::{
    CONCURRENCY, InheritEnv, LocalConfig, LocalDefaults, MEMORY_MIB, check_variable_name,
};
use crate::config::yaml::decode::{Value, duration, or_default};

/// Reads `functions.NAME.local`, whose keys go before those of the `template`.
pub(super) fn backend(
    value: &Value<'_>,
    base: &Path,
    template: Option<&ImportedFunction>,
) -> Option<LocalConfig> {
    let mut keys = value.mapping("the keys of a local function")?;
    let command = keys.optional("command");
    let line = command.as_ref().map_or(value.line(), Value::line);
    let own = LocalDefaults::default();
    let defaults = template.map_or(&own, |template| &template.defaults);
    let directory = match (keys.optional("directory"), &defaults.directory) {
        (None, Some(directory)) => Some(directory.clone()),
        (value, _) => directory(value, base),
    };
    let command = match (command, template) {
        (Some(command), _) => self::command(&command),
        (None, Some(template)) => template
            .command
            .clone()
            .map_err(|reason| {
                value.problem(format!(
                    "there is no `command`, and in the template {reason}; add it here"
                ));
            })
            .ok(),
        (None, None) => bootstrap(value, directory.as_deref()),
    };
    let inherit_env = or_default(
        keys.optional("inherit_env"),
        || InheritEnv::Names(Vec::new()),
        |value| inherit_env(&value),
    );
    let watch = or_default(keys.optional("watch"), Vec::new, |value| {
        watch(&value, directory.as_deref())
    });
    let env = or_default(keys.optional("env"), BTreeMap::new, |value| {
        environment(&value)
    });
    let env = env.map(|env| defaults.env.clone().into_iter().chain(env).collect());
    let timeout = duration(keys.optional("timeout"), defaults.timeout);
    let init_timeout = duration(keys.optional("init_timeout"), Duration::from_secs(10));
    let memory_mib = or_default(
        keys.optional("memory"),
        || defaults.memory_mib,
        |value| value.integer("a number of MiB", MEMORY_MIB),
    );
    let concurrency = or_default(
        keys.optional("concurrency"),
        || defaults.concurrency,
        |value| value.integer("a number of execution environments", CONCURRENCY),
    );
    let most = concurrency.unwrap_or(1_000);
    let min_environments = or_default(
        keys.optional("min_environments"),
        || 0,
        |value| {
            value.integer(
                "a number of execution environments, no more than `concurrency`,",
                0..=most,
            )
        },
    );
    let idle_timeout = duration(keys.optional("idle_timeout"), Duration::from_secs(600));
    keys.finish();
    let (program, arguments) = command?;
    Some(LocalConfig {
        program,
        arguments,
        directory: directory?,
        env: env?,
        inherit_env: inherit_env?,
        watch: watch?,
        timeout: timeout?,
        init_timeout: init_timeout?,
        memory_mib: memory_mib?,
        concurrency: concurrency? as usize,
        min_environments: min_environments? as usize,
        idle_timeout: idle_timeout?,
        line,
    })
}

fn command(value: &Value<'_>) -> Option<(String, Vec<String>)> {
    const EXPECTED: &str =
        "a list of program and arguments such as [python3, -m, awslambdaric, app.handler]";
    let argument = |value: &Value<'_>| {
        value.parse("text without NUL characters", |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })
    };
    let words: Vec<_> = value.list(EXPECTED)?.iter().map(argument).collect();
    let mut words = words.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Some((program, words.collect())),
        _ => {
            value.problem(format!("expected {EXPECTED}, found no program"));
            None
        }
    }
}

fn directory(value: Option<Value<'_>>, base: &Path) -> Option<PathBuf> {
    let Some(value) = value else {
        return std::path::absolute(base).ok();
    };
    let text = value.text("a directory")?;
    let directory = std::path::absolute(base.join(text))
        .ok()
        .filter(|path| path.is_dir());
    if directory.is_none() {
        let path = base.join(text);
        value.problem(format!(
            "there is no directory {}; it is relative to this file's own",
            path.display()
        ));
    }
    directory
}

fn environment(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let entries = value.mapping("variables such as { TABLE: orders }")?;
    let variable = |(name, value): (&str, Value<'_>)| {
        if let Err(reason) = check_variable_name(name) {
            value.problem(reason);
            return None;
        }
        let text = value.parse("text (\"\" for an empty variable)", |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })?;
        Some((name.to_owned(), text))
    };
    let variables: Vec<_> = entries.entries().map(variable).collect();
    variables.into_iter().collect()
}

/// What runs without a `command`, if it is there.
fn bootstrap(value: &Value<'_>, directory: Option<&Path>) -> Option<(String, Vec<String>)> {
    let directory = directory?;
    if !directory.join("bootstrap").is_file() {
        value.problem(format!(
            "there is no `command`, and no file `bootstrap` in {}; add one of them",
            directory.display()
        ));
        return None;
    }
    Some(("./bootstrap".to_owned(), Vec::new()))
}

/// The key `watch`.
fn watch(value: &Value<'_>, directory: Option<&Path>) -> Option<Vec<PathBuf>> {
    const EXPECTED: &str = "a list of paths such as [app.py, ../shared], true or false";
    if let Some(all) = value.boolean() {
        return Some(
            directory
                .filter(|_| all)
                .map(Path::to_owned)
                .into_iter()
                .collect(),
        );
    }
    let path = |value: &Value<'_>| {
        let path = directory?.join(value.text("a path")?);
        if !path.exists() {
            value.problem(format!(
                "there is no {}; it is relative to `directory`",
                path.display()
            ));
        }
        Some(path)
    };
    value.list(EXPECTED)?.iter().map(path).collect()
}

/// The key `inherit_env`.
fn inherit_env(value: &Value<'_>) -> Option<InheritEnv> {
    const EXPECTED: &str = "a list of names such as [AWS_ENDPOINT_URL], true or false";
    if let Some(all) = value.boolean() {
        let none = InheritEnv::Names(Vec::new());
        return Some(if all { InheritEnv::All } else { none });
    }
    let name = |value: &Value<'_>| {
        value.parse("the name of an environment variable", |text| {
            (!text.is_empty() && !text.contains(['=', '\0'])).then(|| text.to_owned())
        })
    };
    let names: Vec<_> = value.list(EXPECTED)?.iter().map(name).collect();
    names
        .into_iter()
        .collect::<Option<_>>()
        .map(InheritEnv::Names)
}
