//! Functions on AWS Lambda.
//!
//! ```text
//! function ─▶ credentials ─▶ route ─▶ sign ─▶ client ─▶ AWS
//! (one call)                          retry · body
//! ```
//!
//! Requests and answers pass through unread. What AWS says about the invoker's own credentials does
//! not: that is the operator's to know, not the caller's.

mod body;
mod client;
mod credential_errors;
mod credentials;
mod dry_run;
mod endpoint;
mod error_response;
mod function;
mod retry;
mod route;
mod sign;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::function::{Call, Function};

use self::client::Client;
use self::credentials::{CredentialCache, CredentialsKey};
use self::function::Shared;
use self::route::Destination;
use crate::config::{AwsCall, AwsConfig, AwsFunction, BackendConfig, Config};
use crate::invoke_api::error::ServiceError;
use crate::metrics::{FunctionMetrics, Metrics};
use crate::util::lock;
use lambda_api::{FunctionName, FunctionReference};

/// Most functions that are not listed whose limits, retries and routes are remembered; callers choose
/// the names.
const MAX_UNLISTED: usize = 1_024;

/// AWS Lambda.
pub(crate) struct Aws {
    shared: Arc<Shared>,
    credentials: HashMap<CredentialsKey, Arc<CredentialCache>>,
    /// The region for what has none of its own.
    region: Option<String>,
    listed: HashMap<FunctionName, Arc<Function>>,
    unlisted: Option<Unlisted>,
}

/// Functions that are not listed.
struct Unlisted {
    config: AwsConfig,
    call: Arc<AwsCall>,
    credentials: Arc<CredentialCache>,
    functions: Mutex<HashMap<FunctionReference, Arc<Function>>>,
    metrics: Arc<FunctionMetrics>,
}

impl Aws {
    /// What the configuration says about AWS; `None` if that is nothing.
    ///
    /// # Errors
    /// TLS cannot be set up.
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
        // If each function has its own, any will do to ask for credentials.
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

    /// The function that a caller means; `None` if it is unknown.
    ///
    /// # Errors
    /// It is not listed, and such ones may not be called.
    pub(crate) fn function(
        &self,
        function: &FunctionReference,
    ) -> Option<Result<Arc<Function>, ServiceError>> {
        let name = function.name();
        if let Some(listed) = self.listed.get(name) {
            return Some(Ok(Arc::clone(listed)));
        }
        let unlisted = self.unlisted.as_ref()?;
        if !unlisted.config.allows(name) {
            return Some(Err(ServiceError::AccessDenied(format!(
                "the invoker's configuration does not allow the function {name}; it has to be in `functions` or `aws.allow`"
            ))));
        }
        Some(Ok(unlisted.function(function, &self.shared)))
    }

    /// The names of the functions that are listed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &FunctionName> {
        self.listed.keys()
    }

    /// The functions that are listed.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&FunctionName, &Arc<Function>)> {
        self.listed.iter()
    }

    /// Whether functions that are not listed could be called, as far as credentials and region go;
    /// `None` if such ones are unknown.
    pub(crate) async fn others(&self) -> Option<Result<(), String>> {
        let credentials = &self.unlisted.as_ref()?.credentials;
        credentials.wait_until_loaded().await;
        Some(credentials.problem().map_or(Ok(()), Err))
    }

    /// Loads credentials and keeps them valid until `stop`.
    pub(crate) fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for cache in self.credentials.values() {
            let refresh = Arc::clone(cache).refresh_loop();
            tasks.spawn(stop.clone().run_until_cancelled_owned(refresh));
        }
    }

    /// Why functions cannot be called, one sentence with the cure each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .credentials
            .values()
            .filter_map(|cache| cache.problem())
            .collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// Each role, empty for none, and when its credentials expire, in seconds since 1970.
    pub(crate) fn expiries(&self) -> Vec<(&str, u64)> {
        let mut expiries: Vec<(&str, u64)> = self
            .credentials
            .iter()
            .filter_map(|(key, cache)| {
                let role = key.role.as_ref().map_or("", |role| role.arn.as_str());
                let expiry = cache.expiry()?.duration_since(UNIX_EPOCH).ok()?;
                Some((role, expiry.as_secs()))
            })
            .collect();
        expiries.sort_unstable();
        // One role may be assumed in two ways; a label stands once.
        expiries.dedup_by_key(|(role, _)| *role);
        expiries
    }

    fn listed(&mut self, name: &FunctionName, config: &AwsFunction, metrics: &Metrics) -> Function {
        let destination = Destination {
            function: config.function.clone(),
            qualifier: config.qualifier.clone(),
            region: config.call.region.clone(),
            endpoint: config.call.endpoint.clone(),
        };
        let credentials = self.credentials(&config.call);
        Function::new(
            name.clone(),
            destination,
            Arc::new(config.call.clone()),
            credentials,
            Arc::clone(metrics.of(name)),
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
    fn function(&self, function: &FunctionReference, shared: &Arc<Shared>) -> Arc<Function> {
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
        let function = Arc::new(Function::new(
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
