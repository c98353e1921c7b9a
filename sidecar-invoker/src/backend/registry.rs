//! The functions that callers can invoke, each with its backend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hyper::Response;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aws::Aws;
use super::changes::{Changes, is_same_on_aws};
use super::event_queue::{EventQueue, EventQueues, Runner};
use super::functions::{Functions, OnAws};
use super::invoke::Backend;
use super::local::{AttachPoints, LocalContext, LocalFunction};
use super::rie::Emulators;
use crate::config::{BackendConfig, Config, FunctionConfig};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::InvokeRequest;
use crate::metrics::{CredentialTimes, FunctionState, Metrics};
use crate::observation::Observer;
use crate::util::lock;
use lambda_api::FunctionName;

/// The functions that callers can invoke.
pub(crate) struct Backends {
    /// The functions of the configuration that was read last.
    current: Mutex<Arc<Functions>>,
    /// The emulators of all configurations, each of which runs one invocation at a time.
    emulators: Mutex<Emulators>,
    /// The addresses at which processes attach, in all configurations.
    attach_points: AttachPoints,
    metrics: Arc<Metrics>,
    events: EventQueues,
    /// The resources of local functions. A configuration with the first local function adds some.
    context: Mutex<LocalContext>,
    region: String,
    stop: CancellationToken,
    tasks: TaskTracker,
    clock: fn() -> SystemTime,
}

impl Backends {
    /// Creates the functions of `config`, and begins to load AWS credentials. No function runs yet.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub(crate) fn new(
        config: &Config,
        observer: &Arc<Observer>,
        context: LocalContext,
    ) -> Result<Self, rustls::Error> {
        let region = context.inherited.region.clone();
        let backends = Self {
            current: Mutex::new(Arc::new(Functions {
                config: config.clone(),
                listed: HashMap::new(),
                aws: None,
            })),
            emulators: Mutex::default(),
            attach_points: AttachPoints::default(),
            metrics: Arc::clone(&observer.metrics),
            events: EventQueues::new(context.clock, region.clone(), Arc::clone(observer)),
            region,
            stop: context.stop.clone(),
            tasks: context.tasks.clone(),
            clock: context.clock,
            context: Mutex::new(context),
        };
        let listed = config.functions.iter();
        let listed = listed.filter_map(|(name, function)| backends.list(name, function));
        let functions = Functions {
            config: config.clone(),
            listed: listed.collect(),
            aws: backends.on_aws(config)?,
        };
        *lock(&backends.current) = Arc::new(functions);
        Ok(backends)
    }

    /// Creates a function outside AWS. Returns `None` for a function on AWS.
    fn list(
        &self,
        name: &FunctionName,
        function: &FunctionConfig,
    ) -> Option<(FunctionName, Backend)> {
        let metrics = self.metrics.of(name);
        let queue = |runner, concurrency| {
            let config = function.event.clone();
            let shared = (Arc::clone(&metrics), self.events.clone());
            EventQueue::new(name.clone(), config, runner, concurrency, shared)
        };
        let limit = function.queue;
        let backend = match &function.backend {
            BackendConfig::Aws(_) => return None,
            BackendConfig::Rie(rie) => {
                let mut emulators = lock(&self.emulators);
                let metrics = Arc::clone(&metrics);
                let emulated = emulators.function(name.clone(), rie, limit, metrics);
                let emulated = Arc::new(emulated);
                Backend::Rie(Arc::clone(&emulated), queue(Runner::Rie(emulated), 1))
            }
            BackendConfig::Local(config) => {
                let concurrency = config.concurrency;
                let (config, context) = (config.clone(), lock(&self.context).clone());
                let metrics = Arc::clone(&metrics);
                let local = LocalFunction::new(name.clone(), config, limit, metrics, context);
                let local = Arc::new(local);
                let queue = queue(Runner::Local(Arc::clone(&local)), concurrency);
                Backend::Local(local, queue)
            }
        };
        Some((name.clone(), backend))
    }

    /// Creates the functions on AWS, and begins to load their credentials.
    fn on_aws(&self, config: &Config) -> Result<Option<Arc<OnAws>>, rustls::Error> {
        let aws = Aws::new(config, &self.metrics, self.clock)?;
        Ok(aws.map(|aws| {
            let stop = self.stop.child_token();
            aws.start(&self.tasks, &stop);
            Arc::new(OnAws { aws, stop })
        }))
    }

    /// Starts the execution environments that `min_environments` demands, and begins to watch the files
    /// of functions.
    pub(crate) fn begin(&self) {
        let functions = self.functions();
        let begin = |local: &Arc<LocalFunction>| local.begin(&self.attach_points);
        functions.local().for_each(begin);
    }

    /// Puts the functions of `config` in the place of the present ones. A function whose configuration is
    /// the same goes on as it is. The others finish what callers have begun, and end then.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up. Nothing has changed then.
    pub(crate) fn reload(&self, config: &Config) -> Result<Changes, rustls::Error> {
        let before = self.functions();
        self.metrics.list(config);
        let is_aws_kept = is_same_on_aws(&before.config, config);
        let aws = match is_aws_kept {
            true => before.aws.clone(),
            false => self.on_aws(config)?,
        };
        let changes = Changes::between(&before.config, config);
        let (kept, replaced): (Vec<_>, Vec<_>) = before
            .listed
            .iter()
            .partition(|(name, _)| changes.keeps(name));
        let new = config.functions.iter();
        let new = new.filter(|(name, _)| changes.creates(name));
        let new: Vec<_> = new
            .filter_map(|(name, function)| self.list(name, function))
            .collect();
        let kept = kept
            .into_iter()
            .map(|(name, backend)| (name.clone(), backend.clone()));
        *lock(&self.current) = Arc::new(Functions {
            config: config.clone(),
            listed: kept.chain(new.iter().cloned()).collect(),
            aws,
        });
        new.iter()
            .filter_map(|(_, backend)| backend.local())
            .for_each(|local| local.begin(&self.attach_points));
        replaced
            .iter()
            .filter_map(|(_, backend)| backend.local())
            .for_each(|local| local.retire(&self.attach_points));
        if let Some(aws) = before.aws.clone().filter(|_| !is_aws_kept) {
            self.tasks.spawn(aws.end_unused());
        }
        Ok(changes)
    }

    /// Replaces the resources of local functions that are created from now on.
    pub(crate) fn set_context(&self, context: LocalContext) {
        *lock(&self.context) = context;
    }

    /// Returns the resources of local functions.
    pub(crate) fn context(&self) -> LocalContext {
        lock(&self.context).clone()
    }

    fn functions(&self) -> Arc<Functions> {
        Arc::clone(&lock(&self.current))
    }

    /// Invokes the function that the request names.
    ///
    /// # Errors
    /// Returns an error if there is no such function, or if its backend fails.
    pub(crate) async fn invoke(
        &self,
        request: InvokeRequest<'_>,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        let (backend, version) = self.functions().find(&request.address, &self.region)?;
        backend
            .invoke(request, version, &self.stop, self.clock)
            .await
    }

    /// Returns the kind of the backend that runs a function, if there is such a function.
    pub(crate) fn kind(&self, name: &FunctionName) -> Option<&'static str> {
        let functions = self.functions();
        match functions.listed.get(name) {
            Some(Backend::Local(..)) => Some("local"),
            Some(Backend::Rie(..)) => Some("rie"),
            Some(Backend::Aws(_)) => Some("aws"),
            None => functions.aws.as_ref().map(|_| "aws"),
        }
    }

    /// Returns a sentence for each local function whose command does not exist, with file, line and
    /// cure.
    pub(crate) fn missing_commands(&self) -> Vec<String> {
        self.functions().missing_commands()
    }

    /// Returns the states of the functions, in the order of their names. Functions on AWS have no environments
    /// here.
    pub(crate) fn states(&self) -> Vec<FunctionState> {
        let functions = self.functions();
        let on_aws = functions.aws().flat_map(Aws::functions);
        let mut states: Vec<_> = on_aws.map(|(_, function)| function.state()).collect();
        states.extend(functions.listed.values().filter_map(Backend::state));
        states.sort_by(|left, right| left.name.cmp(&right.name));
        states
    }

    /// Returns the reasons why requests would fail, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let functions = self.functions();
        let mut problems = functions.missing_commands();
        problems.extend(functions.aws().flat_map(Aws::problems));
        problems
    }

    /// Returns the times of all AWS credentials.
    pub(crate) fn credential_times(&self) -> Vec<CredentialTimes> {
        let functions = self.functions();
        functions.aws().flat_map(Aws::credential_times).collect()
    }

    /// Waits until the queued events have run. Events that wait for their next attempt are given up.
    pub(crate) async fn drain(&self) {
        self.events.drain().await;
    }

    /// Gives up the remaining events, and tells all processes to end.
    pub(crate) async fn stop(&self) {
        self.events.give_up().await;
        self.stop.cancel();
        self.tasks.close();
    }

    /// Waits until all processes have ended.
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// Waits a short time for the records of the events that were given up.
    pub(crate) async fn events_written(&self) {
        self.events.written().await;
    }
}
