//! The difference between two configurations.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{BackendConfig, Config, FunctionConfig};
use lambda_api::FunctionName;

/// The functions that differ between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    added: BTreeSet<FunctionName>,
    changed: BTreeSet<FunctionName>,
    removed: BTreeSet<FunctionName>,
}

impl Changes {
    /// Returns the changes that lead from one configuration to another.
    pub(super) fn between(before: &Config, after: &Config) -> Self {
        let mut changes = Self::default();
        for (name, function) in &after.functions {
            match before.functions.get(name) {
                None => _ = changes.added.insert(name.clone()),
                Some(previous) if !is_same(previous, function) => {
                    changes.changed.insert(name.clone());
                }
                Some(_) => {}
            }
        }
        let names = before.functions.keys();
        let removed = names.filter(|name| !after.functions.contains_key(*name));
        changes.removed = removed.cloned().collect();
        changes
    }

    /// Returns true if a function of the configuration before goes on as it is.
    pub(super) fn keeps(&self, name: &FunctionName) -> bool {
        !self.changed.contains(name) && !self.removed.contains(name)
    }

    /// Returns true if a function of the configuration after is not there yet as it is described.
    pub(super) fn creates(&self, name: &FunctionName) -> bool {
        self.added.contains(name) || self.changed.contains(name)
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("new", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
        ];
        let mut separator = "";
        for (word, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            let names: Vec<_> = names.iter().map(FunctionName::as_str).collect();
            write!(out, "{separator}{word}: {}", names.join(", "))?;
            separator = "; ";
        }
        match separator {
            "" => out.write_str("no function has changed"),
            _ => Ok(()),
        }
    }
}

/// Returns whether two configurations of a function are the same, wherever they stand in their files.
fn is_same(left: &FunctionConfig, right: &FunctionConfig) -> bool {
    let without_line = |function: &FunctionConfig| {
        let mut function = function.clone();
        if let BackendConfig::Local(local) = &mut function.backend {
            local.line = 0;
        }
        function
    };
    without_line(left) == without_line(right)
}

/// Returns whether two configurations are the same for functions on AWS.
pub(super) fn is_same_on_aws(left: &Config, right: &Config) -> bool {
    fn part(config: &Config) -> impl PartialEq {
        let functions = config.functions.iter();
        let on_aws = functions.filter_map(|(name, function)| match &function.backend {
            BackendConfig::Aws(function) => Some((name.clone(), function.clone())),
            _ => None,
        });
        let on_aws: Vec<_> = on_aws.collect();
        (config.max_concurrency, config.aws.clone(), on_aws)
    }
    part(left) == part(right)
}
