//! The functions of a template.
//!
//! Source: `AWS::Serverless::Function` and "Globals section" in the AWS SAM developer guide,
//! `AWS::Lambda::Function` in the AWS CloudFormation user guide.

use std::path::PathBuf;
use std::time::Duration;

use super::intrinsic::Scope;
use super::template::{ImportedFunction, Template, child, entries, scalar};
use super::{events, runtime};
use crate::config::model::{CONCURRENCY, LocalDefaults, MEMORY_MIB, check_variable_name};
use crate::config::yaml::tree::{Key, YamlNode};
use crate::util::normal_path;
use lambda_api::FunctionName;

/// The properties that have no meaning for a function on this machine.
const WITHOUT_EFFECT: [&str; 31] = [
    "Architectures",
    "AssumeRolePolicyDocument",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CodeSigningConfigArn",
    "DeploymentPreference",
    "Description",
    "Events",
    "FunctionName",
    "KmsKeyArn",
    "LoggingConfig",
    "PackageType",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "PublishToLatestPublished",
    "RecursiveLoop",
    "Role",
    "RolePath",
    "RuntimeManagementConfig",
    "RuntimePolicy",
    "SnapStart",
    "SourceKMSKeyArn",
    "Tags",
    "Tracing",
    "TracingConfig",
    "VersionDeletionPolicy",
    "VersionDescription",
    "VpcConfig",
];

/// A resource that is a function.
struct Resource<'t> {
    key: &'t Key,
    /// The key `Condition`, if the resource has one.
    condition: Option<&'t Key>,
    properties: &'t [(Key, YamlNode)],
    /// The properties of `Globals.Function`, if they apply.
    globals: &'t [(Key, YamlNode)],
}

/// Reads all of them.
pub(super) fn read(template: &mut Template<'_>, root: &YamlNode, resources: &YamlNode) {
    let globals = child(root, "Globals").and_then(|globals| child(globals, "Function"));
    let globals = globals.map_or(&[][..], entries);
    let of = |(key, resource)| {
        let globals = match child(resource, "Type").and_then(scalar)? {
            "AWS::Serverless::Function" => globals,
            "AWS::Lambda::Function" => &[],
            _ => return None,
        };
        Some(Resource {
            key,
            condition: entries(resource)
                .iter()
                .map(|(key, _)| key)
                .find(|key| key.text == "Condition"),
            properties: child(resource, "Properties").map_or(&[], entries),
            globals,
        })
    };
    let found = entries(resources).iter().map(|(key, node)| (key, node));
    let found: Vec<_> = found.filter_map(of).collect();
    let mut scope = Scope::new(root);
    // First the names, to which any function may refer.
    let mut named = Vec::new();
    for resource in &found {
        let id = resource.key.text.as_str();
        let name = resource
            .property("FunctionName")
            .map(|name| scope.text(name));
        let name = match name {
            Some(Ok(Some(name))) => name,
            _ => id.to_owned(),
        };
        match name.parse::<FunctionName>() {
            Ok(name) => {
                scope.functions.insert(id, name.clone());
                named.push((resource, name));
            }
            Err(error) => {
                template.warn(resource.key.line, format!("{id}: {error}; it is left out"));
            }
        }
    }
    if found.is_empty() {
        template.warn(resources.line, "Resources: there is no function among them");
    }
    for (resource, name) in named {
        if template.imported.functions.contains_key(&name) {
            let message = format!("{name}: there is another function of this name; it is left out");
            template.warn(resource.key.line, message);
            continue;
        }
        if let Some(function) = resource.function(template, &scope, &name) {
            if let Some(node) = resource.property("Events") {
                events::read(template, &scope, &name, node);
            }
            template.imported.functions.insert(name, function);
        }
    }
}

impl<'t> Resource<'t> {
    /// A property, the function's own before that of all functions.
    fn property(&self, name: &str) -> Option<&'t YamlNode> {
        let all = self.properties.iter().chain(self.globals);
        all.into_iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, value)| value)
    }

    fn function(
        &self,
        template: &mut Template<'_>,
        scope: &Scope<'_>,
        name: &FunctionName,
    ) -> Option<ImportedFunction> {
        let directory = match self.directory(template, scope) {
            Ok(directory) => directory,
            Err(reason) => {
                template.warn(self.key.line, format!("{name}: {reason}; it is left out"));
                return None;
            }
        };
        let mut defaults = LocalDefaults::default();
        let text = |property| self.text(scope, property);
        let found = match (text("Runtime"), text("Handler")) {
            (Ok(Some(runtime)), Ok(handler)) => {
                let handler = handler.unwrap_or_else(|| "bootstrap".to_owned());
                runtime::command(&runtime, &handler, &directory)
            }
            (Ok(None), Ok(_)) => runtime::Found {
                command: Err("it has no Runtime".to_owned()),
                env: Vec::new(),
                warning: None,
            },
            (Err(reason), _) | (_, Err(reason)) => runtime::Found {
                command: Err(reason),
                env: Vec::new(),
                warning: None,
            },
        };
        if let Some(warning) = &found.warning {
            template.warn(self.key.line, format!("{name}: {warning}"));
        }
        let set = found
            .env
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        defaults.env.extend(set);
        defaults.directory = Some(directory);
        let mut number = |property, range: std::ops::RangeInclusive<u32>| {
            let node = self.property(property)?;
            let value = self.text(scope, property);
            let number = value.ok().flatten().and_then(|text| text.parse().ok());
            let number = number.filter(|number| range.contains(number));
            if number.is_none() {
                let (least, most) = range.into_inner();
                let message = format!(
                    "{name}: {property} is no number from {least} to {most} that is known here; the default is taken"
                );
                template.warn(node.line, message);
            }
            number
        };
        if let Some(seconds) = number("Timeout", 1..=900) {
            defaults.timeout = Duration::from_secs(seconds.into());
        }
        if let Some(memory) = number("MemorySize", MEMORY_MIB) {
            defaults.memory_mib = memory;
        }
        if let Some(reserved) = number("ReservedConcurrentExecutions", CONCURRENCY) {
            defaults.concurrency = reserved;
        }
        self.environment(template, scope, name, &mut defaults);
        self.warn_of_the_rest(template, name);
        Some(ImportedFunction {
            place: format!("{}:{}", template.file, self.key.line),
            command: found.command,
            defaults,
        })
    }

    fn text(&self, scope: &Scope<'_>, property: &str) -> Result<Option<String>, String> {
        let Some(node) = self.property(property) else {
            return Ok(None);
        };
        let text = scope.text(node);
        text.map_err(|unknown| format!("its {property} needs {unknown}, which is not known here"))
    }

    /// Returns the directory of the function's code.
    fn directory(&self, template: &Template<'_>, scope: &Scope<'_>) -> Result<PathBuf, String> {
        if self.text(scope, "PackageType")?.as_deref() == Some("Image")
            || self.property("ImageUri").is_some()
        {
            return Err("a function in an image is not run here; run the image with an emulator, and name that with `rie`".to_owned());
        }
        if self.property("InlineCode").is_some() {
            return Err("code in the template itself is not run here".to_owned());
        }
        // `Code` is CloudFormation's; the SAM CLI takes a path there too.
        let property = if self.property("CodeUri").is_some() {
            "CodeUri"
        } else {
            "Code"
        };
        if self.property(property).is_none() {
            return Err("it does not say where its code is (CodeUri)".to_owned());
        }
        let code = self.text(scope, property);
        let code =
            code.map_err(|_| format!("its code is not a directory on this machine ({property})"))?;
        let directory = template.directory.join(code.unwrap_or_default());
        match normal_path(&directory) {
            Ok(directory) if directory.is_dir() => Ok(directory),
            _ => Err(format!("there is no directory {}", directory.display())),
        }
    }

    /// The variables for all functions, and the function's own over them.
    fn environment(
        &self,
        template: &mut Template<'_>,
        scope: &Scope<'_>,
        name: &FunctionName,
        defaults: &mut LocalDefaults,
    ) {
        for level in [self.globals, self.properties] {
            let environment = level.iter().find(|(key, _)| key.text == "Environment");
            let variables = environment.and_then(|(_, node)| child(node, "Variables"));
            for (key, value) in variables.map_or(&[][..], entries) {
                if let Err(reason) = check_variable_name(&key.text) {
                    let message = format!(
                        "{name}: the variable \"{}\": {reason}; it is left out",
                        key.text
                    );
                    template.warn(key.line, message);
                    continue;
                }
                match scope.text(value) {
                    Ok(Some(text)) if text.contains('\0') => template.warn(
                        key.line,
                        format!(
                            "{name}: the variable {}: text has no NUL; it is left out",
                            key.text
                        ),
                    ),
                    Ok(Some(text)) => _ = defaults.env.insert(key.text.clone(), text),
                    Ok(None) => _ = defaults.env.remove(&key.text),
                    Err(unknown) => template.warn(
                        key.line,
                        format!(
                            "{name}: the variable {} needs {unknown}, which is not known here; give it in functions.{name}.local.env",
                            key.text
                        ),
                    ),
                }
            }
        }
    }

    fn warn_of_the_rest(&self, template: &mut Template<'_>, name: &FunctionName) {
        if let Some(condition) = self.condition {
            let message = format!(
                "{name}: Condition: conditions are not evaluated here; the function is there in any case"
            );
            template.warn(condition.line, message);
        }
        const UNDERSTOOD: [&str; 8] = [
            "Code",
            "CodeUri",
            "Environment",
            "Handler",
            "MemorySize",
            "ReservedConcurrentExecutions",
            "Runtime",
            "Timeout",
        ];
        for (key, _) in self.properties {
            let property = key.text.as_str();
            if !UNDERSTOOD.contains(&property) && !WITHOUT_EFFECT.contains(&property) {
                let message =
                    format!("{name}: {property} is not understood and has no effect here");
                template.warn(key.line, message);
            }
        }
    }
}
