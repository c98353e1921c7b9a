//! The functions of a configuration, each with its backend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hyper::Response;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aws::Aws;
use super::event_queue::{EventQueue, EventQueues, Runner};
use super::invoke::Backend;
use super::local::{AttachPoints, LocalContext, LocalFunction};
use super::rie::Emulators;
use crate::config::{BackendConfig, Config, FunctionConfig};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::request::InvokeRequest;
use crate::metrics::{CredentialTimes, FunctionState, Metrics};
use crate::observation::Observer;
use crate::util::{admit_line, lock};
use lambda_api::{FunctionAddress, FunctionArn, FunctionName, Qualifier};

/// The number of known names in the log line about an unknown name.
const SIMILAR_NAMES: usize = 5;
/// The interval at which functions on AWS that were replaced are checked for invocations.
const UNUSED_INTERVAL: Duration = Duration::from_secs(1);

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

/// The functions of one configuration.
struct Functions {
    config: Config,
    /// The functions outside AWS.
    listed: HashMap<FunctionName, Backend>,
    /// The functions on AWS.
    aws: Option<Arc<OnAws>>,
}

/// The functions on AWS, and the token that ends the tasks for their credentials.
struct OnAws {
    aws: Aws,
    stop: CancellationToken,
}

/// The difference between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<FunctionName>,
    pub(crate) changed: Vec<FunctionName>,
    pub(crate) removed: Vec<FunctionName>,
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
        let aws = match is_same_on_aws(&before.config, config) {
            true => before.aws.clone(),
            false => self.on_aws(config)?,
        };
        let mut changes = Changes::default();
        let mut new = Vec::new();
        let mut listed = HashMap::new();
        for (name, function) in &config.functions {
            let previous = before.config.functions.get(name);
            let is_same = previous.is_some_and(|previous| is_same(previous, function));
            match previous {
                None => changes.added.push(name.clone()),
                Some(_) if !is_same => changes.changed.push(name.clone()),
                Some(_) => {}
            }
            let kept = before.listed.get(name).filter(|_| is_same);
            if let Some(kept) = kept {
                listed.insert(name.clone(), kept.clone());
            } else if let Some((name, backend)) = self.list(name, function) {
                new.push(backend.clone());
                listed.insert(name, backend);
            }
        }
        let names = before.config.functions.keys();
        let removed = names.filter(|name| !config.functions.contains_key(*name));
        changes.removed = removed.cloned().collect();
        let replaced = before.listed.iter();
        let replaced = replaced
            .filter(|(name, _)| changes.removed.contains(name) || changes.changed.contains(name));
        let replaced: Vec<_> = replaced.map(|(_, backend)| backend.clone()).collect();
        let is_aws_replaced = !is_same_on_aws(&before.config, config);
        *lock(&self.current) = Arc::new(Functions {
            config: config.clone(),
            listed,
            aws,
        });
        new.iter()
            .filter_map(Backend::local)
            .for_each(|local| local.begin(&self.attach_points));
        replaced
            .iter()
            .filter_map(Backend::local)
            .for_each(|local| local.retire(&self.attach_points));
        if let Some(aws) = before.aws.clone().filter(|_| is_aws_replaced) {
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

impl Functions {
    fn aws(&self) -> impl Iterator<Item = &Aws> {
        self.aws.iter().map(|on_aws| &on_aws.aws)
    }

    fn local(&self) -> impl Iterator<Item = &Arc<LocalFunction>> {
        self.listed.values().filter_map(Backend::local)
    }

    /// Returns the function that a caller named, and the version that runs. `region` is that of ARNs.
    fn find(
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
            let known = self.similar_names(name);
            tracing::warn!(function = %name, "no such function; {known}{left_out}");
        }
        not_found(address, region)
    }

    /// Returns a phrase with the few names that are the most similar to `name`. There may be thousands.
    fn similar_names(&self, name: &FunctionName) -> String {
        let names = self.listed.keys().chain(self.aws().flat_map(Aws::names));
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

    fn missing_commands(&self) -> Vec<String> {
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
    async fn end_unused(self: Arc<Self>) {
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
fn is_same_on_aws(left: &Config, right: &Config) -> bool {
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

#[cfg(test)]
mod tests {
    use crate::traces::Tracer;
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
        let tracer = Tracer::without_spans(SystemTime::now);
        let observer = Observer::new(Arc::new(Metrics::new(&config)), tracer, None);
        Backends::new(&config, &observer, context).unwrap()
    }

    #[tokio::test]
    async fn the_log_line_about_an_unknown_function_names_a_few_functions() {
        let name = "orders-77x".parse().unwrap();
        assert_eq!(
            backends(0).functions().similar_names(&name),
            "the configuration has none"
        );
        assert_eq!(
            backends(2).functions().similar_names(&name),
            "the configuration has orders-1, orders-2"
        );
        let expected = "of the 5000 names in the configuration, the most similar are orders-77, \
            orders-770, orders-771, orders-772, orders-773";
        assert_eq!(backends(5_000).functions().similar_names(&name), expected);
    }
}
