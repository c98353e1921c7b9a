//! Functions on AWS Lambda.
//!
//! ```text
//! function ─▶ credentials ─▶ target ─▶ sign ─▶ client ─▶ AWS
//! (one invocation)                     retry · body
//! ```
//!
//! Requests and responses pass through unread, except for errors about the invoker's own credentials.
//! Those are for the operator, and do not reach the caller.

mod body;
mod client;
mod credential_errors;
mod credentials;
mod dry_run;
mod endpoint;
mod error_response;
mod function;
mod retry;
mod target;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::credentials::CredentialsProblem;
pub(crate) use self::dry_run::DryRunError;
pub(crate) use self::function::{LambdaFunction, LambdaRequest};

use self::client::Client;
use self::credentials::{CredentialCache, CredentialsKey};
use self::function::Shared;
use self::target::Destination;
use crate::config::{AwsCall, AwsConfig, AwsFunction, BackendConfig, Config};
use crate::invoke_api::error::ServiceError;
use crate::metrics::{CredentialTimes, FunctionMetrics, Metrics};
use crate::util::lock;
use lambda_api::{FunctionName, FunctionReference};

/// The maximum number of unlisted functions whose limits, retry budgets and targets are kept. Callers
/// choose the names of unlisted functions.
const MAX_UNLISTED: usize = 1_024;

/// AWS Lambda.
pub(crate) struct Aws {
    shared: Arc<Shared>,
    credentials: HashMap<CredentialsKey, Arc<CredentialCache>>,
    /// The region for functions and roles without a region of their own.
    region: Option<String>,
    listed: HashMap<FunctionName, Arc<LambdaFunction>>,
    unlisted: Option<Unlisted>,
}

/// The functions that are not listed in the configuration.
struct Unlisted {
    config: AwsConfig,
    call: Arc<AwsCall>,
    credentials: Arc<CredentialCache>,
    functions: Mutex<HashMap<FunctionReference, Arc<LambdaFunction>>>,
    metrics: Arc<FunctionMetrics>,
}

impl Aws {
    /// Creates the functions on AWS, or returns `None` if `config` has none.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub(crate) fn new(
        config: &Config,
        metrics: &Metrics,
        clock: fn() -> SystemTime,
    ) -> Result<Option<Self>, rustls::Error> {
        let listed = config.functions.iter();
        let listed: Vec<(&FunctionName, &AwsFunction)> = listed
            .filter_map(|(name, function)| match &function.backend {
                BackendConfig::Aws(function) => Some((name, function)),
                _ => None,
            })
            .collect();
        let block = config.aws.iter().map(|aws| &aws.call);
        let mut calls = block.chain(listed.iter().map(|(_, function)| &function.call));
        let Some(first) = calls.next() else {
            return Ok(None);
        };
        // If each function has its own region, credentials can be loaded in any of them.
        let is_known = config.aws.is_some() || calls.all(|call| call.region.is_some());
        let region = first.region.clone().filter(|_| is_known);
        let mut aws = Self {
            shared: Arc::new(Shared {
                client: Client::new(config.max_concurrency)?,
                limit: Arc::new(Semaphore::new(config.max_concurrency)),
                clock,
            }),
            credentials: HashMap::new(),
            region,
            listed: HashMap::new(),
            unlisted: None,
        };
        for (name, function) in listed {
            let function = aws.listed(name, function, metrics);
            aws.listed.insert(name.clone(), Arc::new(function));
        }
        aws.unlisted = config.aws.clone().map(|config| Unlisted {
            call: Arc::new(config.call.clone()),
            credentials: aws.credentials(&config.call),
            functions: Mutex::default(),
            metrics: Arc::clone(metrics.others()),
            config,
        });
        Ok(Some(aws))
    }

    /// Returns the function that a caller named, or `None` if no function on AWS has the name.
    ///
    /// # Errors
    /// Returns an error if the configuration does not allow the function.
    pub(crate) fn function(
        &self,
        function: &FunctionReference,
    ) -> Option<Result<Arc<LambdaFunction>, ServiceError>> {
        let name = function.name();
        if let Some(listed) = self.listed.get(name) {
            return Some(Ok(Arc::clone(listed)));
        }
        let unlisted = self.unlisted.as_ref()?;
        if !unlisted.config.allows(name) {
            return Some(Err(ServiceError::AccessDenied(name.clone())));
        }
        Some(Ok(unlisted.function(function, &self.shared)))
    }

    /// Returns the names of the listed functions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &FunctionName> {
        self.listed.keys()
    }

    /// Returns the listed functions.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&FunctionName, &Arc<LambdaFunction>)> {
        self.listed.iter()
    }

    /// Checks the credentials and the region of unlisted functions. Returns `None` if the configuration
    /// allows no unlisted functions.
    ///
    /// # Errors
    /// Returns the problem if there are no valid credentials, or no region.
    pub(crate) async fn check_unlisted(&self) -> Option<Result<(), CredentialsProblem>> {
        let credentials = &self.unlisted.as_ref()?.credentials;
        credentials.wait_until_loaded().await;
        Some(credentials.problem().map_or(Ok(()), Err))
    }

    /// Starts to load credentials, and to keep them valid until `stop` is cancelled.
    pub(crate) fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for cache in self.credentials.values() {
            let refresh = Arc::clone(cache).refresh_loop();
            tasks.spawn(stop.clone().run_until_cancelled_owned(refresh));
        }
    }

    /// Returns whether an invocation uses one of the functions.
    pub(crate) fn is_in_use(&self) -> bool {
        let used = |function: &Arc<LambdaFunction>| Arc::strong_count(function) > 1;
        let unlisted = self.unlisted.as_ref();
        self.listed.values().any(used)
            || unlisted.is_some_and(|unlisted| lock(&unlisted.functions).values().any(used))
    }

    /// Returns the reasons why invocations would fail, one sentence with the cure each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.credentials.values();
        let problems = problems.filter_map(|cache| cache.problem());
        let mut problems: Vec<String> = problems.map(|problem| problem.to_string()).collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// Returns the times of all credentials.
    pub(crate) fn credential_times(&self) -> Vec<CredentialTimes> {
        let times = self.credentials.values().map(|cache| cache.times());
        let mut times: Vec<CredentialTimes> = times.collect();
        times.sort_unstable();
        // A role can be assumed with different session names, but a label must not occur twice.
        times.dedup_by(|left, right| left.role == right.role);
        times
    }

    fn listed(
        &mut self,
        name: &FunctionName,
        config: &AwsFunction,
        metrics: &Metrics,
    ) -> LambdaFunction {
        let destination = Destination {
            function: config.function.clone(),
            qualifier: config.qualifier.clone(),
            region: config.call.region.clone(),
            endpoint: config.call.endpoint.clone(),
        };
        let credentials = self.credentials(&config.call);
        LambdaFunction::new(
            name.clone(),
            destination,
            Arc::new(config.call.clone()),
            credentials,
            metrics.of(name),
            Arc::clone(&self.shared),
        )
    }

    fn credentials(&mut self, call: &AwsCall) -> Arc<CredentialCache> {
        let own = call.region.as_ref().filter(|_| call.role.is_some());
        let key = CredentialsKey {
            role: call.role.clone(),
            region: own.or(self.region.as_ref()).cloned(),
        };
        let clock = self.shared.clock;
        let cache = self
            .credentials
            .entry(key)
            .or_insert_with_key(|key| Arc::new(CredentialCache::new(key.clone(), clock)));
        cache
            .needs_region
            .fetch_or(call.region.is_none(), Ordering::Relaxed);
        Arc::clone(cache)
    }
}

impl Unlisted {
    fn function(&self, function: &FunctionReference, shared: &Arc<Shared>) -> Arc<LambdaFunction> {
        let (reference, _) = function.clone().split_qualifier();
        let mut functions = lock(&self.functions);
        if let Some(function) = functions.get(&reference) {
            return Arc::clone(function);
        }
        if functions.len() >= MAX_UNLISTED {
            functions.retain(|_, function| Arc::strong_count(function) > 1);
        }
        let region = reference.region().map(str::to_owned);
        let destination = Destination {
            function: reference.clone(),
            qualifier: None,
            region: region.or_else(|| self.call.region.clone()),
            endpoint: self.call.endpoint.clone(),
        };
        let function = Arc::new(LambdaFunction::new(
            reference.name().clone(),
            destination,
            Arc::clone(&self.call),
            Arc::clone(&self.credentials),
            Arc::clone(&self.metrics),
            Arc::clone(shared),
        ));
        functions.insert(reference, Arc::clone(&function));
        function
    }
}
