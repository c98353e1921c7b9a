//! The functions of a template.
//!
//! Source: `AWS::Serverless::Function` and "Globals section" in the AWS SAM developer guide,
//! `AWS::Lambda::Function` in the AWS CloudFormation user guide.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::node::{Entry, Kind, Node};
use super::omission::Omission;
use super::resource::Resource;
use super::stack::{Stack, Stacks};
use super::template::{ImportedFunction, Template};
use super::{code, layers, runtime};
use crate::config::model::{
    CONCURRENCY, EPHEMERAL_STORAGE_MIB, LocalDefaults, MEMORY_MIB, check_variable_name,
};
use lambda_api::FunctionName;

/// The variables by which AWS tells a function its `LoggingConfig`.
const LOG_VARIABLES: [(&str, &str); 2] = [
    ("LogFormat", "AWS_LAMBDA_LOG_FORMAT"),
    ("ApplicationLogLevel", "AWS_LAMBDA_LOG_LEVEL"),
];

/// Reads those of a stack.
pub(super) fn read(template: &mut Template<'_>, stacks: &Stacks, stack: &Stack) {
    let Stack {
        scope, resources, ..
    } = stack;
    let mut is_none = stacks.0.len() == 1;
    for resource in resources
        .all
        .iter()
        .filter(|resource| resource.is_function())
    {
        is_none = false;
        let function = scope.functions.get(&resource.id);
        let Some(name) = function.filter(|name| is_new(template, resource, name)) else {
            leave_out(resource);
            continue;
        };
        match function_of(template, (stacks, stack), resource, name) {
            Some(function) => _ = template.imported.functions.insert(name.clone(), function),
            None => {
                let place = template.place(resource.line);
                template.imported.left_out.insert(name.clone(), place);
                leave_out(resource);
            }
        }
    }
    if is_none {
        template.warn(stack.line, "Resources: there is no function among them");
        resources.global("Function").discard();
    }
}

/// Counts the keys of a function as read that is left out anyway.
fn leave_out(resource: &Resource) {
    resource.node.discard();
    resource.properties.discard();
}

fn is_new(template: &mut Template<'_>, resource: &Resource, name: &FunctionName) -> bool {
    let imported = &template.imported;
    let is_new = !imported.functions.contains_key(name) && !imported.left_out.contains_key(name);
    if !is_new {
        let message = format!("{name}: there is another function of this name; it is left out");
        template.warn(resource.line, message);
    }
    is_new
}

fn function_of(
    template: &mut Template<'_>,
    (stacks, stack): (&Stacks, &Stack),
    resource: &Resource,
    name: &FunctionName,
) -> Option<ImportedFunction> {
    let reader = Reader { resource, name };
    let directory = match reader.directory(template) {
        Ok(directory) => directory,
        Err(reason) => {
            let message = format!("{name}: {reason}; it is left out");
            template.warn_unless_set((name, "command"), resource.line, message);
            return None;
        }
    };
    let command = match (reader.text("Runtime"), reader.text("Handler")) {
        (Ok(Some(runtime)), Ok(handler)) => {
            let handler = handler.unwrap_or_else(|| "bootstrap".to_owned());
            Ok(runtime::command(&runtime, &handler, &directory))
        }
        (Ok(None), Ok(_)) => Err(Omission::missing("it", "Runtime")),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    };
    let found = command.unwrap_or_else(|reason| runtime::Found {
        command: Err(reason),
        env: Vec::new(),
        warning: None,
    });
    if let Some(warning) = &found.warning {
        let message = format!("{name}: {warning}");
        template.warn_unless_set((name, "command"), resource.line, message);
    }
    let mut defaults = LocalDefaults::default();
    let set = found.env.into_iter();
    defaults
        .env
        .extend(set.map(|(key, value)| (key.to_owned(), value)));
    defaults.directory = Some(directory);
    if let Some(seconds) = reader.number(template, "Timeout", "timeout", 1..=900) {
        defaults.timeout = Duration::from_secs(seconds.into());
    }
    if let Some(memory) = reader.number(template, "MemorySize", "memory", MEMORY_MIB) {
        defaults.memory_mib = memory;
    }
    let reserved = "ReservedConcurrentExecutions";
    if let Some(reserved) = reader.number(template, reserved, "concurrency", CONCURRENCY) {
        defaults.concurrency = reserved;
    }
    if let Some(size) = reader.ephemeral_storage(template) {
        defaults.ephemeral_storage_mib = size;
    }
    defaults.layers = layers::of(template, (stacks, stack), resource, name);
    reader.logging(&mut defaults);
    reader.environment(template, &mut defaults);
    reader.take_the_rest();
    Some(ImportedFunction {
        place: template.place(resource.line),
        command: found.command,
        defaults,
    })
}

/// Reads the properties of one function.
struct Reader<'r> {
    resource: &'r Resource,
    name: &'r FunctionName,
}

impl<'r> Reader<'r> {
    fn get(&self, property: &str) -> Option<&'r Node> {
        self.resource.properties.get(property)
    }

    fn text(&self, property: &str) -> Result<Option<String>, Omission> {
        let text = self.get(property).map(Node::text).transpose();
        let text = text.map_err(|unknown| Omission::needs(&format!("its {property}"), &unknown))?;
        Ok(text.map(str::to_owned))
    }

    /// Reads a number, for which the user may set `key`.
    fn number(
        &self,
        template: &mut Template<'_>,
        property: &str,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        self.number_of(template, self.get(property)?, property, key, range)
    }

    fn ephemeral_storage(&self, template: &mut Template<'_>) -> Option<u32> {
        let storage = self.get("EphemeralStorage")?;
        let size = match storage.unknown() {
            Some(_) => storage,
            None => storage.get("Size")?,
        };
        let property = "EphemeralStorage.Size";
        let range = EPHEMERAL_STORAGE_MIB;
        self.number_of(template, size, property, "ephemeral_storage", range)
    }

    fn number_of(
        &self,
        template: &mut Template<'_>,
        node: &Node,
        property: &str,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = node.text().ok().and_then(|text| text.parse().ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            let message = format!(
                "{}: {property} is no number from {least} to {most} that is known here; the default is taken",
                self.name
            );
            template.warn_unless_set((self.name, key), node.line, message);
        }
        number
    }

    /// Returns the directory of the function's code.
    fn directory(&self, template: &Template<'_>) -> Result<PathBuf, Omission> {
        // `Code` is CloudFormation's; the SAM CLI takes a path there too.
        let (property, code) = match self.get("CodeUri") {
            Some(code) => ("CodeUri", Some(code)),
            None => ("Code", self.get("Code")),
        };
        let of_code = |key: &str| code.is_some_and(|code| code.entry(key).is_some());
        if self.text("PackageType")?.as_deref() == Some("Image")
            || self.get("ImageUri").is_some()
            || of_code("ImageUri")
        {
            return Err(Omission::Image(self.name.clone()));
        }
        if self.get("InlineCode").is_some() || of_code("ZipFile") {
            return Err(Omission::InlineCode);
        }
        code::folder(&template.source.directory, self.resource, (property, code))
    }

    fn logging(&self, defaults: &mut LocalDefaults) {
        let logging = self.resource.properties.entry("LoggingConfig");
        let Some(logging) = logging.and_then(Entry::known) else {
            return;
        };
        for (key, variable) in LOG_VARIABLES {
            if let Some(Ok(value)) = logging.get(key).map(Node::text) {
                defaults.env.insert(variable.to_owned(), value.to_owned());
            }
        }
    }

    /// Reads the variables: those for all functions, and the function's own over them.
    fn environment(&self, template: &mut Template<'_>, defaults: &mut LocalDefaults) {
        let name = self.name;
        let Some(environment) = self.get("Environment") else {
            return;
        };
        let variables = match (&environment.kind, environment.get("Variables")) {
            (Kind::Mapping(_), None) => return,
            (_, variables) => variables.unwrap_or(environment),
        };
        if let Kind::Unknown(unknown) = &variables.kind {
            template.warn(
                variables.line,
                format!("{name}: {}", Omission::needs("Environment", unknown)),
            );
        }
        for entry in variables.entries() {
            let key = &entry.name;
            if let Err(reason) = check_variable_name(key) {
                let message = format!("{name}: the variable \"{key}\": {reason}; it is left out");
                template.warn(entry.line, message);
                continue;
            }
            match entry.value().text() {
                Ok(text) if text.contains('\0') => {
                    let message =
                        format!("{name}: the variable {key}: text has no NUL; it is left out");
                    template.warn(entry.line, message);
                }
                Ok(text) => _ = defaults.env.insert(key.clone(), text.to_owned()),
                Err(unknown) => {
                    let message = format!(
                        "{name}: {}; give it in functions.{name}.local.env",
                        Omission::needs(&format!("the variable {key}"), &unknown)
                    );
                    template.warn_unless_set((name, &format!("env.{key}")), entry.line, message);
                    entry.value().discard();
                }
            }
        }
    }

    /// Takes the keys that other readers understand, or that say what is the case here anyway.
    fn take_the_rest(&self) {
        self.get("FunctionName");
        let node = &self.resource.node;
        node.get("Condition");
        node.get("IgnoreGlobals");
        // How the code is built.
        node.get("Metadata").into_iter().for_each(Node::discard);
        let architectures = self.resource.properties.entry("Architectures");
        let machine = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            other => other,
        };
        if let Some(architectures) = architectures {
            let is_machine = |item: &Node| item.text() == Ok(machine);
            architectures.take_if(|value| value.items().iter().all(is_machine));
        }
    }
}
