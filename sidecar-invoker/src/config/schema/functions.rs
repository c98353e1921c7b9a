//! The keys of one function: `functions.NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lambda_api::FunctionName;

use super::versions::{ALIASES, VERSIONS, versions};
use super::{aws, local};
use crate::config::HostPort;
use crate::config::import::{Imported, ImportedFunction, Warning};
use crate::config::keys::keys;
use crate::config::keys::kind::{self, DURATION, Form, Integer, Kind, Types};
use crate::config::model::{
    AwsCall, BackendConfig, EventConfig, FunctionConfig, LocalConfig, RieConfig,
};
use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar;
use crate::config::yaml::tree::YamlNode;

keys! {
    /// The keys of a function.
    pub(in crate::config) struct FunctionKeys;

    /// Calls the function on AWS. `{}` is the function of this name.
    aws = kind::mapping("functions.NAME.aws", &aws::function_reference()), "none";
    /// Calls the function in a Runtime Interface Emulator.
    rie = EMULATOR.values(), "none", see "emulators";
    /// Runs the function in processes of the invoker.
    local = kind::mapping("functions.NAME.local", &local::LocalKeys::reference()), "none";
    /// With `rie`: longest wait of a caller, queue included. Then the caller gets 504.
    timeout: Duration = DURATION, "`15m`";
    /// Most callers that wait, in order. The next gets 429.
    queue: u32 = aws::QUEUE, "100; with `aws` that of the block `aws`";
    /// Published versions, with `rie` and `local`.
    versions: Vec<String> = VERSIONS, "every number", see "versions-and-aliases";
    /// Versions of aliases, with `rie` and `local`.
    aliases: BTreeMap<String, String> = ALIASES, "every name is `$LATEST`", see "versions-and-aliases";
    /// Asynchronous invocations, with `rie` and `local`.
    event = kind::mapping("functions.NAME.event", &EventKeys::reference()),
        "the defaults of its keys";
}

keys! {
    /// The keys of asynchronous invocations.
    pub(in crate::config) struct EventKeys;

    /// Most events that run, wait, or wait for a retry. The next gets 429.
    queue: u32 = Integer::of("waiting events", 1..=100_000), "1000";
    /// Further calls of a function that fails.
    maximum_retry_attempts: u32 = Integer::of("further calls", 0..=2), "2, as on AWS";
    /// Pause before the first retry. The second pause is twice as long.
    retry_delay: Duration = DURATION, "`1m`, as on AWS";
    /// Older events are not run.
    maximum_event_age: Duration = AGE, "`6h`, as on AWS";
    /// Receives one line of JSON for each event that was given up.
    on_failure = kind::path("path of a regular file"), "none", see "on_failure";
}

const EMULATOR: Form<HostPort> = Form {
    expected: "the emulator's URL such as http://billing:8080",
    parse: scalar::emulator_url,
    text: "`http://HOST[:PORT]`",
    types: Types::Text,
    pattern: "^http://[^/]+/?$",
};

const AGE: Form<Duration> = Form {
    expected: "a duration from 1s to 6h such as 30m",
    parse: scalar::age,
    text: "duration, 1 s to 6 h",
    types: Types::Integer,
    pattern: "^[0-9]+(ms|s|m|h)?$",
};

/// Reports functions that share an address for processes that attach.
fn check_attached(value: &Value<'_>, functions: &BTreeMap<FunctionName, FunctionConfig>) {
    let mut seen: BTreeMap<String, &FunctionName> = BTreeMap::new();
    for (name, function) in functions {
        let BackendConfig::Local(LocalConfig {
            attach: Some(address),
            ..
        }) = &function.backend
        else {
            continue;
        };
        let local = value
            .child(name.as_str())
            .and_then(|value| value.child("local"));
        let Some(attach) = local.and_then(|value| value.child("attach")) else {
            continue;
        };
        if let Some(other) = seen.insert(address.to_string(), name) {
            attach.problem(format!(
                "{other} has the address {address}, too; give each function its own"
            ));
        }
    }
}

/// Reads `functions`, and adds the functions of templates that are not listed.
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
    check_attached(value, &functions);
    imported.warnings.retain(|warning| match &warning.cured_by {
        Some((name, key)) => !is_set(value, name, key),
        None => true,
    });
    let none = YamlNode::empty(value.line());
    for (name, template) in &imported.functions {
        if listed.contains(name) {
            continue;
        }
        if let Err(reason) = &template.command {
            let message = format!(
                "{name}: {reason}; it is left out, unless functions.{name}.local.command says how to run it"
            );
            imported.warnings.push(Warning {
                place: template.place.clone(),
                message,
                cured_by: None,
            });
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

/// Returns whether the user sets a key of `functions.NAME.local`, such as `env.TABLE`, or has another
/// backend for the function.
fn is_set(functions: &Value<'_>, name: &FunctionName, key: &str) -> bool {
    let Some(function) = functions.child(name.as_str()) else {
        return false;
    };
    let other = ["aws", "rie"]
        .iter()
        .any(|backend| function.child(backend).is_some());
    let mut value = function.child("local");
    for step in key.split('.') {
        value = value.and_then(|value| value.child(step));
    }
    other || value.is_some()
}

/// Reads an entry of `functions`. Its keys win over those of the `template` that has this function.
fn function(
    name: &str,
    value: &Value<'_>,
    directory: &Path,
    aws: &AwsCall,
    template: Option<&ImportedFunction>,
) -> Option<FunctionConfig> {
    let mut mapping = value.mapping("a function with one of the keys aws, rie or local")?;
    let keys = FunctionKeys::of(&mut mapping);
    let versions = versions(&keys.versions, &keys.aliases, keys.aws.is_some());
    let FunctionKeys {
        aws: on_aws,
        rie,
        local,
        timeout,
        queue,
        event,
        ..
    } = keys;
    let queue = queue.optional();
    mapping.finish();

    let inside = |kind: &str| {
        if let Some(timeout) = &timeout.value {
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
            inside("aws");
            if let Some(event) = &event {
                event.problem("events of a function on AWS wait in AWS's own queue; remove it");
            }
            let queue = queue.flatten().map(|queue| queue as usize);
            aws::function(&on_aws, name, queue, aws).map(BackendConfig::Aws)
        }
        (None, Some(rie), None) => {
            let address = EMULATOR.read(&rie);
            let timeout = timeout.or(Duration::from_secs(900));
            let rie = |(address, timeout)| BackendConfig::Rie(RieConfig { address, timeout });
            address.zip(timeout).map(rie)
        }
        (None, None, Some(local)) => {
            inside("local");
            local::backend(&local, directory, template).map(BackendConfig::Local)
        }
        (None, None, None) if template.is_some() => {
            inside("local");
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
    let event = match event {
        Some(value) => self::event(&value, directory),
        None => Some(EventConfig::default()),
    };
    Some(FunctionConfig {
        queue: queue?.unwrap_or(100) as usize,
        event: event?,
        versions: versions?,
        backend: backend?,
    })
}

fn event(value: &Value<'_>, base: &Path) -> Option<EventConfig> {
    let mut mapping = value.mapping("the keys of asynchronous invocations")?;
    let keys = EventKeys::of(&mut mapping);
    let default = EventConfig::default();
    let queue = keys.queue.or(default.queue as u32);
    let retries = keys.maximum_retry_attempts;
    let retries = retries.or(default.maximum_retry_attempts);
    let age = keys.maximum_event_age.or(default.maximum_event_age);
    let retry_delay = keys.retry_delay.or(default.retry_delay);
    let on_failure = match &keys.on_failure {
        Some(value) => file(value, base).map(Some),
        None => Some(None),
    };
    mapping.finish();
    Some(EventConfig {
        queue: queue? as usize,
        maximum_retry_attempts: retries?,
        maximum_event_age: age?,
        retry_delay: retry_delay?,
        on_failure: on_failure?,
    })
}

/// Reads the path of a regular file, there or not, in a folder that is there. Writing to anything else
/// may block.
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
