//! The keys of a function that the invoker runs itself: `functions.NAME.local`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lambda_filter_core::config::reference::Values;
use serde_json::json;
use wildmatch::WildMatch;

use super::env_file::{env_file_values, env_files};
use crate::config::import::ImportedFunction;
use crate::config::keys::keys;
use crate::config::keys::kind::{self, Custom, DURATION, Form, Integer, List, Types};
use crate::config::model::{
    CONCURRENCY, EPHEMERAL_STORAGE_MIB, InheritEnv, IsolationMode, LocalConfig, LocalDefaults,
    MAX_LAYERS, MEMORY_MIB, check_variable_name,
};
use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar::HostPort;
use crate::util::normal_path;

keys! {
    /// The keys of a local function.
    pub(in crate::config) struct LocalKeys;

    /// Program and arguments.
    command: (String, Vec<String>) = COMMAND, "`[\"./bootstrap\"]`", see "command-and-directory";
    /// Address of a Runtime API for processes that are started elsewhere, in place of `command`.
    attach: HostPort = ATTACH, "none", see "attach";
    /// Working directory, and `LAMBDA_TASK_ROOT`.
    directory = kind::path("path"), "the folder of the file", see "command-and-directory";
    /// Environment variables of the function.
    env: BTreeMap<String, String> = ENV, "none", see "env-and-inherit_env";
    /// Files with variables, one `NAME=VALUE` in each line. Those of `env` win.
    env_file = env_file_values(), "none", see "env-and-inherit_env";
    /// Variables that pass from the invoker's own environment.
    inherit_env: InheritEnv = INHERIT_ENV, "`false`", see "env-and-inherit_env";
    /// Program and arguments that build the function, before its first start and after a change that `watch` sees.
    build: (String, Vec<String>) = BUILD, "none", see "build";
    /// Files whose changes restart the function. `true` is the `directory`.
    watch = list_or_flag("list of paths"), "the `directory` with `up`, else none", see "watch";
    /// Files and folders that `watch` does not see, by name or by path.
    watch_ignore: Vec<WildMatch> = WATCH_IGNORE, "none", see "watch";
    /// Time limit of one invocation.
    timeout: Duration = DURATION, "`3s`, as on AWS";
    /// Time limit from start to the first `next`.
    init_timeout: Duration = DURATION, "`10s`, as on AWS";
    /// Memory that the processes of one environment may use together.
    memory: u32 = Integer::of("MiB", MEMORY_MIB).in_unit("MiB"), "128", see "memory";
    /// Most execution environments at once.
    concurrency: u32 = Integer::of("execution environments", CONCURRENCY), "10";
    /// Environments that are kept running without calls.
    min_environments = min_environments(), "0";
    /// Time after which an environment without calls ends.
    idle_timeout: Duration = DURATION, "`10m`";
    /// Size of `/tmp` of each environment.
    ephemeral_storage: u32 = Integer::of("MiB", EPHEMERAL_STORAGE_MIB).in_unit("MiB"),
        "512, as on AWS", see "isolation";
    /// Makes `directory` read-only for the function, as on AWS.
    read_only: bool = READ_ONLY, "`false`", see "isolation";
    /// Directories that the function sees at `/opt`, a later one over an earlier one; at most 5.
    layers = layers_values(), "none", see "layers";
    /// Separation of environments: `auto` as far as the system allows it.
    isolation: IsolationMode = ISOLATION, "`auto`", see "isolation";
}

const COMMAND: Custom<(String, Vec<String>)> = Custom {
    read: command,
    values: || Values {
        text: "list of texts".to_owned(),
        schema: json!({ "type": "array", "items": Types::Any.schema(), "minItems": 1 }),
    },
};

const WATCH_IGNORE: List<WildMatch> = List {
    expected: "a list of patterns such as [\"*.log\", data]",
    text: "list of patterns",
    item: Form {
        expected: "a name or a path in `directory`, in which * stands for any text",
        parse: |text| (!text.is_empty()).then(|| WildMatch::new(text.trim_end_matches('/'))),
        text: "pattern",
        types: Types::Any,
        pattern: ".",
    },
};

const ATTACH: Form<HostPort> = Form {
    expected: "HOST:PORT such as 127.0.0.1:9001",
    parse: |text| {
        text.parse()
            .ok()
            .filter(|address: &HostPort| address.port != 0)
    },
    text: "`HOST:PORT`",
    types: Types::Text,
    pattern: "^.+:[0-9]+$",
};

const BUILD: Custom<(String, Vec<String>)> = Custom {
    read: |value| {
        words(
            value,
            "a list of program and arguments such as [cargo, build]",
        )
    },
    values: COMMAND.values,
};

const ENV: Custom<BTreeMap<String, String>> = Custom {
    read: environment,
    values: || Values {
        text: "mapping of texts".to_owned(),
        schema: json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": Types::Any.schema(),
        }),
    },
};

const INHERIT_ENV: Custom<InheritEnv> = Custom {
    read: inherit_env,
    values: || list_or_flag("list of names"),
};

const READ_ONLY: Custom<bool> = Custom {
    read: |value| value.parse("true or false", |text| text.parse().ok()),
    values: Values::flag,
};

const ISOLATION: Custom<IsolationMode> = Custom {
    read: |value| {
        value.parse("auto or none", |text| match text {
            "auto" => Some(IsolationMode::Auto),
            "none" => Some(IsolationMode::None),
            _ => None,
        })
    },
    values: || Values::choice(&["auto", "none"]),
};

/// Returns the values of a key that has a list, or stands for all or nothing.
fn list_or_flag(list: &str) -> Values {
    Values {
        text: format!("{list}, `true`, `false`"),
        schema: json!({ "type": ["array", "boolean"], "items": { "type": "string" } }),
    }
}

fn layers_values() -> Values {
    Values {
        text: "list of paths".to_owned(),
        schema: json!({ "type": "array", "items": Types::Any.schema(), "maxItems": MAX_LAYERS }),
    }
}

fn min_environments() -> Values {
    Values {
        text: "0 to `concurrency`".to_owned(),
        ..Values::integer("", 0..=*CONCURRENCY.end())
    }
}

/// Reads `functions.NAME.local`. Its keys win over those of the `template`.
pub(super) fn backend(
    value: &Value<'_>,
    base: &Path,
    template: Option<&ImportedFunction>,
) -> Option<LocalConfig> {
    let mut mapping = value.mapping("the keys of a local function")?;
    let keys = LocalKeys::of(&mut mapping);
    let line = keys
        .command
        .value
        .as_ref()
        .map_or(value.line(), Value::line);
    let own = LocalDefaults::default();
    let defaults = template.map_or(&own, |template| &template.defaults);
    let directory = match (&keys.directory, &defaults.directory) {
        (None, Some(directory)) => Some(directory.clone()),
        (value, _) => directory(value.as_ref(), base),
    };
    let layers = match &keys.layers {
        Some(value) => layers(value, base, directory.as_deref()),
        None => Some(defaults.layers.clone()),
    };
    let command = match (keys.command.optional(), template) {
        (Some(None), Some(template)) => template
            .command
            .clone()
            .map_err(|reason| {
                value.problem(format!(
                    "there is no `command`, and in the template {reason}; add it here"
                ));
            })
            .ok(),
        (Some(None), None) if keys.attach.value.is_some() => Some((String::new(), Vec::new())),
        (Some(None), None) => bootstrap(value, directory.as_deref(), layers.as_deref()),
        (command, _) => command.flatten(),
    };
    let build = keys.build.optional().map(|build| {
        let words = build.into_iter();
        words
            .flat_map(|(program, arguments)| std::iter::once(program).chain(arguments))
            .collect()
    });
    let inherit_env = keys.inherit_env.or(InheritEnv::Names(Vec::new()));
    let watch = match &keys.watch {
        Some(value) => watch(value, directory.as_deref()).map(Some),
        None => Some(None),
    };
    let env_files = match &keys.env_file {
        Some(value) => env_files(value, base),
        None => Some(Vec::new()),
    };
    let of_files = env_files.iter().flatten();
    let of_files: Vec<_> = of_files
        .flat_map(|(_, variables)| variables.clone())
        .collect();
    let env = keys.env.or_else(BTreeMap::new);
    let env = env.map(|env| {
        let defaults = defaults.env.clone().into_iter();
        defaults.chain(of_files).chain(env).collect()
    });
    let watch_ignore = keys.watch_ignore.or_else(Vec::new);
    let timeout = keys.timeout.or(defaults.timeout);
    let init_timeout = keys.init_timeout.or(Duration::from_secs(10));
    let memory_mib = keys.memory.or(defaults.memory_mib);
    let concurrency = keys.concurrency.or(defaults.concurrency);
    let most = concurrency.unwrap_or(*CONCURRENCY.end());
    let min_environments = match &keys.min_environments {
        Some(value) => value.integer(
            "a number of execution environments, no more than `concurrency`,",
            0..=most,
        ),
        None => Some(0),
    };
    let idle_timeout = keys.idle_timeout.or(Duration::from_secs(600));
    let ephemeral_storage_mib = keys.ephemeral_storage.or(defaults.ephemeral_storage_mib);
    let read_only = keys.read_only.or(false);
    let isolation = keys.isolation.or(IsolationMode::Auto);
    let attach = keys.attach.optional();
    check_attached(&keys);
    mapping.finish();
    let (program, arguments) = command?;
    Some(LocalConfig {
        program,
        arguments,
        directory: directory?,
        env: env?,
        env_files: env_files?.into_iter().map(|(path, _)| path).collect(),
        inherit_env: inherit_env?,
        watch: watch?,
        watch_ignore: watch_ignore?,
        timeout: timeout?,
        init_timeout: init_timeout?,
        memory_mib: memory_mib?,
        concurrency: concurrency? as usize,
        min_environments: min_environments? as usize,
        idle_timeout: idle_timeout?,
        ephemeral_storage_mib: ephemeral_storage_mib?,
        read_only: read_only?,
        layers: layers?,
        build: build?,
        attach: attach?,
        isolation: isolation?,
        line,
    })
}

fn command(value: &Value<'_>) -> Option<(String, Vec<String>)> {
    const EXPECTED: &str =
        "a list of program and arguments such as [python3, -m, awslambdaric, app.handler]";
    words(value, EXPECTED)
}

/// Reads a program and its arguments.
fn words(value: &Value<'_>, expected: &str) -> Option<(String, Vec<String>)> {
    let argument = |value: &Value<'_>| {
        value.parse("text without NUL characters", |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })
    };
    let words: Vec<_> = value.list(expected)?.iter().map(argument).collect();
    let mut words = words.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Some((program, words.collect())),
        _ => {
            value.problem(format!("expected {expected}, found no program"));
            None
        }
    }
}

fn directory(value: Option<&Value<'_>>, base: &Path) -> Option<PathBuf> {
    match value {
        Some(value) => folder(value, base),
        None => normal_path(base).ok(),
    }
}

/// Reads the path of a directory, which has to exist.
fn folder(value: &Value<'_>, base: &Path) -> Option<PathBuf> {
    let path = base.join(value.text("a directory")?);
    let directory = normal_path(&path).ok().filter(|path| path.is_dir());
    if directory.is_none() {
        value.problem(format!(
            "there is no directory {}; it is relative to this file's own",
            path.display()
        ));
    }
    directory
}

/// Reads the key `layers`.
fn layers(value: &Value<'_>, base: &Path, directory: Option<&Path>) -> Option<Vec<PathBuf>> {
    let list = value.list("a list of directories such as [layers/shared]")?;
    if list.len() > MAX_LAYERS {
        value.problem(format!("a function has at most {MAX_LAYERS} layers"));
    }
    if !list.is_empty() && directory.is_some_and(|directory| directory.starts_with("/opt")) {
        value.problem("the layers are all that the function sees in /opt, but its `directory` is there; move that");
    }
    list.iter().map(|value| folder(value, base)).collect()
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

/// Returns the command of a function without `command`, and reports that its file is missing.
fn bootstrap(
    value: &Value<'_>,
    directory: Option<&Path>,
    layers: Option<&[PathBuf]>,
) -> Option<(String, Vec<String>)> {
    let directory = directory?;
    let has_bootstrap = |folder: &Path| folder.join("bootstrap").is_file();
    if !has_bootstrap(directory) {
        if layers?.iter().any(|layer| has_bootstrap(layer)) {
            return Some(("/opt/bootstrap".to_owned(), Vec::new()));
        }
        value.problem(format!(
            "there is no `command`, and no file `bootstrap` in {}; add one of them",
            directory.display()
        ));
        return None;
    }
    Some(("./bootstrap".to_owned(), Vec::new()))
}

/// Reports the keys that a function cannot have if somebody else starts its processes.
fn check_attached(keys: &LocalKeys<'_>) {
    if keys.attach.value.is_none() {
        return;
    }
    let of_processes = [
        ("command", &keys.command.value),
        ("env", &keys.env.value),
        ("env_file", &keys.env_file),
        ("watch_ignore", &keys.watch_ignore.value),
        ("inherit_env", &keys.inherit_env.value),
        ("build", &keys.build.value),
        ("watch", &keys.watch),
        ("memory", &keys.memory.value),
        ("min_environments", &keys.min_environments),
        ("idle_timeout", &keys.idle_timeout.value),
        ("ephemeral_storage", &keys.ephemeral_storage.value),
        ("read_only", &keys.read_only.value),
        ("layers", &keys.layers),
        ("isolation", &keys.isolation.value),
        ("directory", &keys.directory),
    ];
    for (name, value) in of_processes {
        if let Some(value) = value {
            value.problem(format!(
                "with `attach` the invoker starts no process, so `{name}` has no effect; remove one of the two"
            ));
        }
    }
}

/// Reads the key `watch`.
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

/// Reads the key `inherit_env`.
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

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
