//! The functions of a configuration, each with its backend.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyper::Response;

use super::aws::Aws;
use super::event_queue::{EventQueue, EventQueues, Runner};
use super::invoke::Backend;
use super::local::{LocalContext, LocalFunction};
use super::rie::Emulators;
use crate::config::{BackendConfig, Config, FunctionConfig};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::InvokeRequest;
use crate::metrics::Metrics;
use lambda_api::{FunctionAddress, FunctionArn, FunctionName};

/// The functions that callers can invoke.
pub(crate) struct Backends {
    /// The functions outside AWS.
    listed: HashMap<FunctionName, Backend>,
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
            local: Vec::new(),
            aws,
            events,
            context,
            file: config.file.clone(),
        };
        backends.list(&config.functions);
        Ok(backends)
    }

    fn list(&mut self, functions: &BTreeMap<FunctionName, FunctionConfig>) {
        let mut emulators = Emulators::default();
        for (name, function) in functions {
            let queue = |runner, concurrency| {
                let (config, events) = (function.event.clone(), self.events.clone());
                EventQueue::new(name.clone(), config, runner, concurrency, events)
            };
            let backend = match &function.backend {
                BackendConfig::Aws(_) => continue,
                BackendConfig::Rie(rie) => {
                    let emulated = emulators.function(name.clone(), rie, function.queue);
                    let emulated = Arc::new(emulated);
                    Backend::Rie(Arc::clone(&emulated), queue(Runner::Rie(emulated), 1))
                }
                BackendConfig::Local(config) => {
                    let concurrency = config.concurrency;
                    let (config, context) = (config.clone(), self.context.clone());
                    let function =
                        LocalFunction::new(name.clone(), config, function.queue, context);
                    let function = Arc::new(function);
                    self.local.push(Arc::clone(&function));
                    let queue = queue(Runner::Local(Arc::clone(&function)), concurrency);
                    Backend::Local(function, queue)
                }
            };
            self.listed.insert(name.clone(), backend);
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
        let backend = self.find(&request.address)?;
        let LocalContext { stop, clock, .. } = &self.context;
        backend.invoke(request, stop, *clock).await
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
        let region = &self.context.inherited.region;
        let arn = FunctionArn::outside_aws(region, name, address.qualifier.as_ref());
        tracing::warn!(function = %name, "no such function; the configuration has {}", self.names());
        ServiceError::FunctionNotFound {
            arn: arn.to_string(),
        }
    }

    fn names(&self) -> String {
        let on_aws = self.aws.iter().flat_map(Aws::names);
        let names = self.listed.keys().chain(on_aws);
        let mut names: Vec<String> = names.map(ToString::to_string).collect();
        names.sort();
        names.join(", ")
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
