//! The keys of one function: `functions.NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{aws, local};
use crate::config::import::{Imported, ImportedFunction};
use crate::config::model::{AwsCall, BackendConfig, EventConfig, FunctionConfig, RieConfig};
use crate::config::yaml::decode::{Value, duration, or_default};
use crate::config::yaml::scalar;
use crate::config::yaml::tree::YamlNode;
use lambda_api::FunctionName;

/// Reads `functions`, and what templates have beside them.
pub(super) fn functions(
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
    let none = YamlNode::empty(value.line());
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
            local::backend(&local, directory, template).map(BackendConfig::Local)
        }
        (None, None, None) if template.is_some() => {
            inside(timeout, "local");
            let none = YamlNode::empty(value.line());
            let local = value.with("local", &none);
            local::backend(&local, directory, template).map(BackendConfig::Local)
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

/// A regular file, there or not, in a folder that is there: anything else may block who writes.
fn file(value: &Value<'_>, base: &Path) -> Option<PathBuf> {
    let text = value.text("a file such as failed.ndjson")?;
    let file = std::path::absolute(base.join(text)).ok();
    let file = file.filter(|file| {
        (file.is_file() || !file.exists()) && file.parent().is_some_and(Path::is_dir)
    });
    if file.is_none() {
        value.problem(format!(
            "{} cannot be written: it has to be a regular file, there or not, in a directory that is there; it is relative to this file's own",
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
