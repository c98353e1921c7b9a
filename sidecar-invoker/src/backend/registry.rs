//! The functions of a configuration, each with its backend.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyper::Response;

use super::aws::Aws;
use super::event_queue::{EventQueue, Events, Runner};
use super::invoke::Backend;
use super::local::{Context, Function};
use super::rie::Emulators;
use crate::config::{BackendConfig, Config, FunctionConfig};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::InvokeRequest;
use crate::metrics::Metrics;
use lambda_api::{FunctionAddress, FunctionArn, FunctionName};

/// All functions that callers can invoke.
pub(crate) struct Backends {
    /// The functions outside AWS.
    listed: HashMap<FunctionName, Backend>,
    /// Those of them that the invoker runs itself.
    local: Vec<Arc<Function>>,
    /// The functions on AWS.
    aws: Option<Aws>,
    events: Events,
    context: Context,
    /// The configuration file, for messages.
    file: String,
}

impl Backends {
    /// The functions of `config`, none of which runs yet. Begins to load AWS credentials.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        context: Context,
    ) -> Result<Self, rustls::Error> {
        let aws = Aws::new(config, metrics, context.clock)?;
        if let Some(aws) = &aws {
            aws.start(&context.tasks, &context.stop);
        }
        let events = Events::new(context.clock, context.inherited.region.clone());
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
            let queue = |runner, at_once| {
                let (config, events) = (function.event.clone(), self.events.clone());
                EventQueue::new(name.clone(), config, runner, at_once, events)
            };
            let backend = match &function.backend {
                BackendConfig::Aws(_) => continue,
                BackendConfig::Rie(rie) => {
                    let rie = Arc::new(emulators.function(name.clone(), rie, function.queue));
                    Backend::Rie(Arc::clone(&rie), queue(Runner::Rie(rie), 1))
                }
                BackendConfig::Local(config) => {
                    let at_once = config.concurrency;
                    let (config, context) = (config.clone(), self.context.clone());
                    let function = Function::new(name.clone(), config, function.queue, context);
                    let function = Arc::new(function);
                    self.local.push(Arc::clone(&function));
                    let queue = queue(Runner::Local(Arc::clone(&function)), at_once);
                    Backend::Local(function, queue)
                }
            };
            self.listed.insert(name.clone(), backend);
        }
    }

    /// Starts the environments that are to run without a caller, and looks after the files of
    /// functions from now on.
    pub(crate) fn begin(&self) {
        for function in &self.local {
            function.begin();
        }
    }

    /// Has the function invoked that the caller means.
    pub(crate) async fn invoke(
        &self,
        request: InvokeRequest<'_>,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let backend = self.find(&request.address)?;
        let Context { stop, clock, .. } = &self.context;
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

    /// One sentence for each local function whose command is not there, with file, line and cure.
    pub(crate) fn missing_commands(&self) -> Vec<String> {
        let obstacles = self.local.iter().filter_map(|function| function.obstacle());
        obstacles
            .map(|obstacle| format!("{}:{obstacle}", self.file))
            .collect()
    }

    /// Why requests would fail, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.missing_commands();
        problems.extend(self.aws.iter().flat_map(Aws::problems));
        problems
    }

    /// Each role whose credentials are there, empty for none, and when they expire, in seconds since
    /// 1970.
    pub(crate) fn credential_expiries(&self) -> Vec<(&str, u64)> {
        self.aws.as_ref().map(Aws::expiries).unwrap_or_default()
    }

    /// Lets the events that are queued run; those that wait to be tried again are given up.
    pub(crate) async fn drain(&self) {
        self.events.drain().await;
    }

    /// Gives up the events that are left, and tells all processes to end.
    pub(crate) async fn stop(&self) {
        self.events.give_up().await;
        self.context.stop.cancel();
        self.context.tasks.close();
    }

    /// Waits until nothing is left of any process.
    pub(crate) async fn ended(&self) {
        self.context.tasks.wait().await;
    }

    /// Waits for the records of the events that were given up, but not for long.
    pub(crate) async fn events_written(&self) {
        self.events.written().await;
    }
}
