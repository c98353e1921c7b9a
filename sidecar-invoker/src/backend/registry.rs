//! The functions of a configuration, each with its backend.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyper::Response;

use super::aws::Aws;
use super::event_queue::{EventQueue, EventQueues, Runner};
use super::invoke::Backend;
use super::local::{LocalContext, LocalFunction};
use super::rie::Emulators;
use crate::config::{BackendConfig, Config, FunctionConfig, Versions};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::InvokeRequest;
use crate::metrics::Metrics;
use crate::util::admit_line;
use lambda_api::{FunctionAddress, FunctionArn, FunctionName, Qualifier};

/// The number of known names in the log line about an unknown name.
const SIMILAR_NAMES: usize = 5;

/// The functions that callers can invoke.
pub(crate) struct Backends {
    /// The functions outside AWS.
    listed: HashMap<FunctionName, Backend>,
    /// The versions of these functions.
    versions: HashMap<FunctionName, Versions>,
    /// The functions in local processes, which `listed` contains too.
    local: Vec<Arc<LocalFunction>>,
    /// The functions on AWS.
    aws: Option<Aws>,
    events: EventQueues,
    context: LocalContext,
    /// The name of the configuration file, for messages.
    file: String,
}

impl Backends {
    /// Creates the functions of `config`, and begins to load AWS credentials. No function runs yet.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        context: LocalContext,
    ) -> Result<Self, rustls::Error> {
        let aws = Aws::new(config, metrics, context.clock)?;
        if let Some(aws) = &aws {
            aws.start(&context.tasks, &context.stop);
        }
        let events = EventQueues::new(context.clock, context.inherited.region.clone());
        let mut backends = Self {
            listed: HashMap::new(),
            versions: HashMap::new(),
            local: Vec::new(),
            aws,
            events,
            context,
            file: config.file.clone(),
        };
        backends.list(&config.functions, metrics);
        Ok(backends)
    }

    fn list(&mut self, functions: &BTreeMap<FunctionName, FunctionConfig>, metrics: &Metrics) {
        let mut emulators = Emulators::default();
        for (name, function) in functions {
            let metrics = metrics.of(name);
            let queue = |runner, concurrency| {
                let config = function.event.clone();
                let shared = (Arc::clone(metrics), self.events.clone());
                EventQueue::new(name.clone(), config, runner, concurrency, shared)
            };
            let backend = match &function.backend {
                BackendConfig::Aws(_) => continue,
                BackendConfig::Rie(rie) => {
                    let emulated =
                        emulators.function(name.clone(), rie, function.queue, Arc::clone(metrics));
                    let emulated = Arc::new(emulated);
                    Backend::Rie(Arc::clone(&emulated), queue(Runner::Rie(emulated), 1))
                }
                BackendConfig::Local(config) => {
                    let concurrency = config.concurrency;
                    let (config, context) = (config.clone(), self.context.clone());
                    let (limit, metrics) = (function.queue, Arc::clone(metrics));
                    let local = LocalFunction::new(name.clone(), config, limit, metrics, context);
                    let local = Arc::new(local);
                    self.local.push(Arc::clone(&local));
                    let queue = queue(Runner::Local(Arc::clone(&local)), concurrency);
                    Backend::Local(local, queue)
                }
            };
            self.listed.insert(name.clone(), backend);
            self.versions
                .insert(name.clone(), function.versions.clone());
        }
    }

    /// Starts the execution environments that `min_environments` demands, and begins to watch the files
    /// of functions.
    pub(crate) fn begin(&self) {
        for function in &self.local {
            function.begin();
        }
    }

    /// Invokes the function that the request names.
    ///
    /// # Errors
    /// Returns an error if there is no such function, or if its backend fails.
    pub(crate) async fn invoke(
        &self,
        request: InvokeRequest<'_>,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let address = &request.address;
        let backend = self.find(address)?;
        let version = match self.versions.get(address.function.name()) {
            Some(versions) => versions.resolve(address.qualifier.as_ref()),
            None => Some(Qualifier::latest()),
        };
        let version = version.ok_or_else(|| self.not_found(address))?;
        let LocalContext { stop, clock, .. } = &self.context;
        backend.invoke(request, version, stop, *clock).await
    }

    fn find(&self, address: &FunctionAddress) -> Result<Backend, ServiceError> {
        if let Some(backend) = self.listed.get(address.function.name()) {
            return Ok(backend.clone());
        }
        let aws = self.aws.as_ref();
        match aws.and_then(|aws| aws.function(&address.function)) {
            Some(function) => function.map(Backend::Aws),
            None => Err(self.unknown(address)),
        }
    }

    fn unknown(&self, address: &FunctionAddress) -> ServiceError {
        let name = address.function.name();
        if let Some(left_out) = admit_line!() {
            let known = self.similar_names(name);
            tracing::warn!(function = %name, "no such function; {known}{left_out}");
        }
        self.not_found(address)
    }

    fn not_found(&self, address: &FunctionAddress) -> ServiceError {
        let region = &self.context.inherited.region;
        let arn = FunctionArn::invoked(&address.function, address.qualifier.as_ref(), region);
        ServiceError::FunctionNotFound {
            arn: arn.to_string(),
        }
    }

    /// Returns a phrase with the few names that are the most similar to `name`. There may be thousands.
    fn similar_names(&self, name: &FunctionName) -> String {
        let on_aws = self.aws.iter().flat_map(Aws::names);
        let names = self.listed.keys().chain(on_aws);
        let distance = |known: &FunctionName| {
            let distance = strsim::damerau_levenshtein(name.as_str(), known.as_str());
            (distance, known.to_string())
        };
        let mut names: Vec<_> = names.map(distance).collect();
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

    /// Returns a sentence for each local function whose command does not exist, with file, line and
    /// cure.
    pub(crate) fn missing_commands(&self) -> Vec<String> {
        let missing = self.local.iter();
        let missing = missing.filter_map(|function| function.check_command().err());
        missing
            .map(|missing| format!("{}:{missing}", self.file))
            .collect()
    }

    /// Returns the reasons why requests would fail, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.missing_commands();
        problems.extend(self.aws.iter().flat_map(Aws::problems));
        problems
    }

    /// Returns the roles whose credentials expire, with the time of the expiry in seconds since 1970.
    /// The role is empty for credentials without one.
    pub(crate) fn credential_expiries(&self) -> Vec<(&str, u64)> {
        self.aws.as_ref().map(Aws::expiries).unwrap_or_default()
    }

    /// Waits until the queued events have run. Events that wait for their next attempt are given up.
    pub(crate) async fn drain(&self) {
        self.events.drain().await;
    }

    /// Gives up the remaining events, and tells all processes to end.
    pub(crate) async fn stop(&self) {
        self.events.give_up().await;
        self.context.stop.cancel();
        self.context.tasks.close();
    }

    /// Waits until all processes have ended.
    pub(crate) async fn ended(&self) {
        self.context.tasks.wait().await;
    }

    /// Waits a short time for the records of the events that were given up.
    pub(crate) async fn events_written(&self) {
        self.events.written().await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::backend::local::Output;

    fn backends(count: usize) -> Backends {
        let mut config = String::from("aws: {}\nfunctions:\n  on-aws: { aws: {} }\n");
        for index in 1..=count {
            config.push_str(&format!(
                "  orders-{index}: {{ rie: 'http://h:{index}' }}\n"
            ));
        }
        let mut config = Config::parse("invoker.yaml", &config, Path::new("/")).unwrap();
        config.functions.remove("on-aws");
        config.aws = None;
        let (output, _) = Output::to(std::io::sink(), config.log_format, SystemTime::now);
        let context = LocalContext::new(SystemTime::now, output);
        Backends::new(&config, &Metrics::new(&config), context).unwrap()
    }

    #[tokio::test]
    async fn the_log_line_about_an_unknown_function_names_a_few_functions() {
        let name = "orders-77x".parse().unwrap();
        assert_eq!(
            backends(0).similar_names(&name),
            "the configuration has none"
        );
        assert_eq!(
            backends(2).similar_names(&name),
            "the configuration has orders-1, orders-2"
        );
        let expected = "of the 5000 names in the configuration, the most similar are orders-77, \
            orders-770, orders-771, orders-772, orders-773";
        assert_eq!(backends(5_000).similar_names(&name), expected);
    }
}
