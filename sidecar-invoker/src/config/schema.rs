//! Which keys `invoker.yaml` has, their types and defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aws;
use super::decode::Value;
use super::import::{self, Imported, ImportedFunction};
use super::local::{CONCURRENCY, Defaults, MEMORY_MIB, bootstrap, inherit_env, watch};
use super::tree::Node;
use super::{
    AwsCall, BackendConfig, Config, EventConfig, FunctionConfig, HostPort, InheritEnv, Listen,
    LocalConfig, LogFormat, RieConfig, routes, scalar,
};
use crate::invocation::FunctionName;

const DURATION: &str = "a duration from 1ms to 15m such as 30s";

/// Reads the whole file.
pub(super) fn config(root: &Value<'_>, file: &str, directory: &Path) -> Option<Config> {
    let mut keys = root.mapping("the keys listen, admin, aws and functions")?;
    let listen = or_default(
        keys.optional("listen"),
        || Listen::Tcp(loopback(9090)),
        |value| {
            value.parse("HOST:PORT or unix:///ABSOLUTE/PATH", |text| {
                text.parse().ok()
            })
        },
    );
    let admin = or_default(
        keys.optional("admin"),
        || loopback(9091),
        |value| value.parse("HOST:PORT such as 127.0.0.1:9091", |text| text.parse().ok()),
    );
    let drain_timeout = duration(keys.optional("drain_timeout"), Duration::from_secs(10));
    let max_concurrency = or_default(
        keys.optional("max_concurrency"),
        || 1_000,
        |value| aws::concurrency(&value),
    );
    let block = keys.optional("aws");
    let import = keys.optional("import");
    let imported = import
        .as_ref()
        .map(|value| import::import(value, directory));
    let is_read = !matches!(imported, Some(None));
    let mut imported = imported.flatten().unwrap_or_default();
    imported.is_asked_for = import.is_some();
    let listed = match (&block, &import) {
        (None, None) => keys.required("functions"),
        _ => keys.optional("functions"),
    };
    let is_on_aws = block.is_some();
    let block = or_default(block, || None, |value| aws::block(&value).map(Some));
    let call = block.iter().flatten().next().map(|aws| aws.call.clone());
    let call = call.unwrap_or_default();
    let names = imported.functions.keys().map(ToString::to_string);
    let names = names.collect::<Vec<_>>();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(listed.as_ref().map(Value::names).unwrap_or_default());
    let functions = match (listed, &import) {
        (Some(value), _) => functions(&value, directory, &call, &mut imported),
        (None, Some(import)) => {
            let none = Node::empty(import.line());
            let value = import.with("functions", &none);
            functions(&value, directory, &call, &mut imported)
        }
        (None, None) => is_on_aws.then(BTreeMap::new),
    };
    let log_format = or_default(
        keys.optional("log_format"),
        || LogFormat::Text,
        |value| {
            value.parse("text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })
        },
    );
    let routes = or_default(keys.optional("routes"), Vec::new, |value| {
        // With `aws` a function need not be listed.
        routes::routes(&value, matches!(block, Some(None)).then_some(&names))
    });
    let routes = routes.map(|own| routes::with_imported(own, imported.routes));
    keys.finish();
    Some(Config {
        listen: listen?,
        admin: admin?,
        drain_timeout: drain_timeout?,
        max_concurrency: max_concurrency?,
        aws: block?,
        log_format: log_format?,
        functions: functions.filter(|_| is_read)?,
        routes: routes?,
        warnings: imported.warnings,
        file: file.to_owned(),
    })
}

fn functions(
    value: &Value<'_>,
    directory: &Path,
    aws: &AwsCall,
    imported: &mut Imported,
) -> Option<BTreeMap<FunctionName, FunctionConfig>> {
    let entries = value.mapping("functions by their name")?;
    let mut functions = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for (name, value) in entries.entries() {
        let parsed = name.parse::<FunctionName>();
        if let Err(error) = &parsed {
            value.problem(error.to_string());
        }
        let template = parsed.as_ref().ok();
        let template = template.and_then(|name| imported.functions.get(name));
        let function = function(name, &value, directory, aws, template);
        listed.extend(parsed.clone().ok());
        if let (Some(function), Ok(name)) = (function, parsed) {
            functions.insert(name, function);
        }
    }
    let none = Node::empty(value.line());
    for (name, template) in &imported.functions {
        if listed.contains(name) {
            continue;
        }
        if let Err(reason) = &template.command {
            imported.warnings.push(format!(
                "{}: {name}: {reason}; it is left out, unless functions.{name}.local.command says how to run it",
                template.place
            ));
            continue;
        }
        let text = name.to_string();
        let value = value.with(&text, &none);
        let function = function(&text, &value, directory, aws, Some(template));
        functions.extend(function.map(|function| (name.clone(), function)));
    }
    if entries.entries().next().is_none() && !imported.is_asked_for {
        value.problem("no function is listed; add one");
    }
    Some(functions)
}

/// An entry of `functions`, whose keys go before those of the `template` that has this function.
fn function(
    name: &str,
    value: &Value<'_>,
    directory: &Path,
    aws: &AwsCall,
    template: Option<&ImportedFunction>,
) -> Option<FunctionConfig> {
    let mut keys = value.mapping("a function with one of the keys aws, rie or local")?;
    let on_aws = keys.optional("aws");
    let rie = keys.optional("rie");
    let local = keys.optional("local");
    let queue = or_default(
        keys.optional("queue"),
        || None,
        |value| aws::queue_length(&value).map(Some),
    );
    let timeout = keys.optional("timeout");
    let event = keys.optional("event");
    keys.finish();

    let inside = |timeout: Option<Value<'_>>, kind: &str| {
        if let Some(timeout) = timeout {
            timeout.problem(format!(
                "the time limit of this function stands inside `{kind}`; move it there"
            ));
        }
    };
    let exclusive = |one: &str, other: &str| {
        value.problem(format!(
            "`{one}` and `{other}` exclude each other; keep one"
        ));
        None
    };
    let backend = match (on_aws, rie, local) {
        (Some(on_aws), None, None) => {
            inside(timeout, "aws");
            if let Some(event) = &event {
                event.problem("events of a function on AWS wait in AWS's own queue; remove it");
            }
            aws::function(&on_aws, name, queue.flatten(), aws).map(BackendConfig::Aws)
        }
        (None, Some(rie), None) => rie_backend(&rie, timeout),
        (None, None, Some(local)) => {
            inside(timeout, "local");
            local_backend(&local, directory, template).map(BackendConfig::Local)
        }
        (None, None, None) if template.is_some() => {
            inside(timeout, "local");
            let none = Node::empty(value.line());
            let local = value.with("local", &none);
            local_backend(&local, directory, template).map(BackendConfig::Local)
        }
        (None, None, None) => {
            value.problem("does not say what runs the function; add `aws`, `rie` or `local`");
            None
        }
        (None, Some(_), Some(_)) => exclusive("rie", "local"),
        (Some(_), Some(_), _) => exclusive("rie", "aws"),
        (Some(_), None, Some(_)) => exclusive("local", "aws"),
    };
    let event = or_default(event, EventConfig::default, |value| {
        self::event(&value, directory)
    });
    Some(FunctionConfig {
        queue: queue?.unwrap_or(100),
        event: event?,
        backend: backend?,
    })
}

fn event(value: &Value<'_>, base: &Path) -> Option<EventConfig> {
    let mut keys = value.mapping("the keys of asynchronous invocations")?;
    let default = EventConfig::default();
    let queue = or_default(
        keys.optional("queue"),
        || default.queue as u32,
        |value| value.integer("a number of waiting events", 1..=100_000),
    );
    let retries = or_default(
        keys.optional("maximum_retry_attempts"),
        || default.maximum_retry_attempts,
        |value| value.integer("a number of further calls", 0..=2),
    );
    let age = or_default(
        keys.optional("maximum_event_age"),
        || default.maximum_event_age,
        |value| value.parse("a duration from 1s to 6h such as 30m", scalar::age),
    );
    let retry_delay = duration(keys.optional("retry_delay"), default.retry_delay);
    let on_failure = or_default(
        keys.optional("on_failure"),
        || None,
        |value| file(&value, base).map(Some),
    );
    keys.finish();
    Some(EventConfig {
        queue: queue? as usize,
        maximum_retry_attempts: retries?,
        maximum_event_age: age?,
        retry_delay: retry_delay?,
        on_failure: on_failure?,
    })
}

/// A file that can be written, in a folder that is there.
fn file(value: &Value<'_>, base: &Path) -> Option<PathBuf> {
    let text = value.text("a file such as failed.ndjson")?;
    let file = std::path::absolute(base.join(text)).ok();
    let file = file.filter(|file| !file.is_dir() && file.parent().is_some_and(Path::is_dir));
    if file.is_none() {
        value.problem(format!(
            "{} cannot be a file: it is a directory or in none; it is relative to this file's own",
            base.join(text).display()
        ));
    }
    file
}

fn rie_backend(rie: &Value<'_>, timeout: Option<Value<'_>>) -> Option<BackendConfig> {
    let address = rie.parse(
        "the emulator's URL such as http://billing:8080",
        scalar::emulator_url,
    );
    let timeout = duration(timeout, Duration::from_secs(900));
    Some(BackendConfig::Rie(RieConfig {
        address: address?,
        timeout: timeout?,
    }))
}

fn local_backend(
    value: &Value<'_>,
    base: &Path,
    template: Option<&ImportedFunction>,
) -> Option<LocalConfig> {
    let mut keys = value.mapping("the keys of a local function")?;
    let command = keys.optional("command");
    let line = command.as_ref().map_or(value.line(), Value::line);
    let own = Defaults::default();
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
        if name.is_empty() || name.contains(['=', '\0']) {
            value.problem("the name of a variable is not empty and has neither = nor NUL");
            return None;
        }
        if matches!(
            name,
            "AWS_LAMBDA_RUNTIME_API" | "AWS_LAMBDA_LOG_STREAM_NAME"
        ) {
            value.problem("is set by the invoker, for each execution environment; remove it");
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

/// Reads a duration.
pub(super) fn duration(value: Option<Value<'_>>, default: Duration) -> Option<Duration> {
    or_default(
        value,
        || default,
        |value| value.parse(DURATION, scalar::duration),
    )
}

/// Reads a value that need not be there.
pub(super) fn or_default<'t, T>(
    value: Option<Value<'t>>,
    default: impl FnOnce() -> T,
    read: impl FnOnce(Value<'t>) -> Option<T>,
) -> Option<T> {
    match value {
        Some(value) => read(value),
        None => Some(default()),
    }
}

fn loopback(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("invoker.yaml", text, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults() {
        let config = parse("functions: { hello: { local: { command: [./hello] } } }").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9090");
        assert_eq!(config.admin.to_string(), "127.0.0.1:9091");
        let hello = config.functions.values().next().unwrap();
        assert_eq!(hello.queue, 100);
        let BackendConfig::Local(local) = &hello.backend else {
            panic!("not local");
        };
        assert_eq!(
            (local.timeout, local.init_timeout),
            (Duration::from_secs(3), Duration::from_secs(10))
        );
        assert_eq!((local.memory_mib, local.concurrency), (128, 10));
        assert_eq!(local.directory, Path::new("/"));
    }

    #[test]
    fn numbers_and_booleans_are_text_where_text_is_expected() {
        let config = parse(
            "functions: { f: { local: { command: [sleep, 1], env: { A: 1.10, B: true } } } }",
        )
        .unwrap();
        let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
            panic!("not local");
        };
        assert_eq!(local.arguments, ["1"]);
        assert_eq!(local.env.get("A").unwrap(), "1.10");
        assert_eq!(local.env.get("B").unwrap(), "true");
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_line_and_key() {
        let text = "\
listen: 9090
lisen: x
functions:
  hello:
    local:
      comand: [a]
      timeout: abc
      memory: 1
      env: { A: [x], AWS_LAMBDA_RUNTIME_API: x }
      directory: missing
  hello:
    rie: https://x
    timeout: 2h
  both: { rie: http://x, local: { command: [] } }
  none: {}
  late: { local: { command: [a] }, timeout: 1s }
  a.b: { rie: http://x }
";
        let expected = "\
invoker.yaml:1: listen: expected HOST:PORT or unix:///ABSOLUTE/PATH, found \"9090\"
invoker.yaml:2: lisen: unknown key; did you mean `listen`?
invoker.yaml:6: functions.hello.local.comand: unknown key; did you mean `command`?
invoker.yaml:7: functions.hello.local.timeout: expected a duration from 1ms to 15m such as 30s, found \"abc\"
invoker.yaml:8: functions.hello.local.memory: expected a number of MiB from 128 to 10240, found \"1\"
invoker.yaml:9: functions.hello.local.env.A: expected text (\"\" for an empty variable), found a list
invoker.yaml:9: functions.hello.local.env.AWS_LAMBDA_RUNTIME_API: is set by the invoker, for each execution environment; remove it
invoker.yaml:10: functions.hello.local.directory: there is no directory /missing; it is relative to this file's own
invoker.yaml:11: functions.hello: stands twice, first in line 4; remove one
invoker.yaml:12: functions.hello.rie: expected the emulator's URL such as http://billing:8080, found \"https://x\"
invoker.yaml:13: functions.hello.timeout: expected a duration from 1ms to 15m such as 30s, found \"2h\"
invoker.yaml:14: functions.both: `rie` and `local` exclude each other; keep one
invoker.yaml:15: functions.none: does not say what runs the function; add `aws`, `rie` or `local`
invoker.yaml:16: functions.late.timeout: the time limit of this function stands inside `local`; move it there
invoker.yaml:17: functions.a.b: a function's name is 1 to 64 letters, digits, - and _";
        let problems = parse(text).unwrap_err();
        for (found, expected) in problems.lines().zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(problems.lines().count(), expected.lines().count());
    }

    #[test]
    fn a_function_without_a_command_is_its_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        let text = "functions: { f: { local: { inherit_env: [A, B] } } }";
        let parse = || Config::parse("invoker.yaml", text, folder.path());
        let expected = format!(
            "invoker.yaml:1: functions.f.local: there is no `command`, and no file `bootstrap` in {}; add one of them",
            folder.path().display()
        );
        assert_eq!(parse().unwrap_err().to_string(), expected);
        std::fs::write(folder.path().join("bootstrap"), "").unwrap();
        let config = parse().unwrap();
        let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
            panic!("not local");
        };
        assert_eq!((local.program.as_str(), local.line), ("./bootstrap", 1));
        assert_eq!(
            local.inherit_env,
            InheritEnv::Names(vec!["A".to_owned(), "B".to_owned()])
        );
    }

    #[test]
    fn an_empty_file_says_what_is_expected() {
        assert_eq!(
            parse("").unwrap_err(),
            "invoker.yaml:1: expected the keys listen, admin, aws and functions, found nothing"
        );
    }
}
