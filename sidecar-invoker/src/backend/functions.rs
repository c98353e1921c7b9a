//! The functions of one configuration, by their names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::aws::Aws;
use super::invoke::Backend;
use super::local::LocalFunction;
use crate::config::Config;
use crate::invoke_api::error::ServiceError;
use crate::util::admit_line;
use lambda_api::{FunctionAddress, FunctionArn, FunctionName, Qualifier};

/// The number of known names in the log line about an unknown name.
const SIMILAR_NAMES: usize = 5;
/// The interval at which functions on AWS that were replaced are checked for invocations.
const UNUSED_INTERVAL: Duration = Duration::from_secs(1);

/// The functions of one configuration.
pub(super) struct Functions {
    pub(super) config: Config,
    /// The functions outside AWS.
    pub(super) listed: HashMap<FunctionName, Backend>,
    /// The functions on AWS.
    pub(super) aws: Option<Arc<OnAws>>,
}

/// The functions on AWS, and the token that ends the tasks for their credentials.
pub(super) struct OnAws {
    pub(super) aws: Aws,
    pub(super) stop: CancellationToken,
}

impl Functions {
    pub(super) fn aws(&self) -> impl Iterator<Item = &Aws> {
        self.aws.iter().map(|on_aws| &on_aws.aws)
    }

    pub(super) fn local(&self) -> impl Iterator<Item = &Arc<LocalFunction>> {
        self.listed.values().filter_map(Backend::local)
    }

    /// Returns the function that a caller named, and the version that runs. `region` is that of ARNs.
    pub(super) fn find(
        &self,
        address: &FunctionAddress,
        region: &str,
    ) -> Result<(Backend, Qualifier), ServiceError> {
        let name = address.function.name();
        if let Some(backend) = self.listed.get(name) {
            let versions = self
                .config
                .functions
                .get(name)
                .map(|function| &function.versions);
            let version = match versions {
                Some(versions) => versions.resolve(address.qualifier.as_ref()),
                None => Some(Qualifier::latest()),
            };
            let version = version.ok_or_else(|| not_found(address, region))?;
            return Ok((backend.clone(), version));
        }
        let mut aws = self.aws();
        match aws.find_map(|aws| aws.function(&address.function)) {
            Some(function) => Ok((Backend::Aws(function?), Qualifier::latest())),
            None => Err(self.unknown(address, region)),
        }
    }

    fn unknown(&self, address: &FunctionAddress, region: &str) -> ServiceError {
        let name = address.function.name();
        if let Some(left_out) = admit_line!() {
            let names = self.listed.keys().chain(self.aws().flat_map(Aws::names));
            let known = similar_names(name, names);
            tracing::warn!(function = %name, "no such function; {known}{left_out}");
        }
        not_found(address, region)
    }

    pub(super) fn missing_commands(&self) -> Vec<String> {
        let missing = self.local();
        let missing = missing.filter_map(|function| function.check_command().err());
        missing
            .map(|missing| format!("{}:{missing}", self.config.file))
            .collect()
    }
}

impl OnAws {
    /// Ends the tasks for credentials once no invocation uses the functions, which are not offered any
    /// more. An invocation may wait for its credentials.
    pub(super) async fn end_unused(self: Arc<Self>) {
        while self.aws.is_in_use() && !self.stop.is_cancelled() {
            sleep(UNUSED_INTERVAL).await;
        }
        self.stop.cancel();
    }
}

/// Returns AWS's error for a function or a qualifier that is not there. It names a qualifier even if the caller
/// did not: recorded.
fn not_found(address: &FunctionAddress, region: &str) -> ServiceError {
    let latest = Qualifier::latest();
    let qualifier = address.qualifier.as_ref().unwrap_or(&latest);
    let arn = FunctionArn::invoked(&address.function, Some(qualifier), region);
    ServiceError::FunctionNotFound {
        arn: arn.to_string(),
    }
}

/// Returns a phrase with the few of the known names that are the most similar to `name`. There may be thousands.
fn similar_names<'n>(name: &FunctionName, known: impl Iterator<Item = &'n FunctionName>) -> String {
    let distance = |known: &FunctionName| {
        let distance = strsim::damerau_levenshtein(name.as_str(), known.as_str());
        (distance, known.to_string())
    };
    let mut names: Vec<_> = known.map(distance).collect();
    names.sort_unstable();
    let similar = names.iter().take(SIMILAR_NAMES);
    let similar: Vec<_> = similar.map(|(_, name)| name.as_str()).collect();
    match (similar.as_slice(), names.len() > SIMILAR_NAMES) {
        ([], _) => "the configuration has none".to_owned(),
        (all, false) => format!("the configuration has {}", all.join(", ")),
        (some, true) => format!(
            "of the {} names in the configuration, the most similar are {}",
            names.len(),
            some.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_line_about_an_unknown_function_names_a_few_functions() {
        let similar_of = |count: usize| {
            let names = (1..=count).map(|index| format!("orders-{index}").parse().unwrap());
            let names: Vec<FunctionName> = names.collect();
            similar_names(&"orders-77x".parse().unwrap(), names.iter())
        };
        assert_eq!(similar_of(0), "the configuration has none");
        assert_eq!(similar_of(2), "the configuration has orders-1, orders-2");
        let expected = "of the 5000 names in the configuration, the most similar are orders-77, \
            orders-770, orders-771, orders-772, orders-773";
        assert_eq!(similar_of(5_000), expected);
    }
}
