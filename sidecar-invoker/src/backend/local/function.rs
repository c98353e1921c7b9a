//! A function that the invoker runs itself: what its environments are started with, and a call of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hyper::header::HeaderValue;
use rustix::process::Pid;
use tokio::io::AsyncRead;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::environment::transitions::Call;
use super::log::writer::{Output, Source};
use super::pool::Pool;
use super::process::cgroup::{Cgroup, Cgroups};
use super::process::command::{self, Inherited, LogStream};
use super::process::orphan_reaper::Guard;
use super::process::procfs::Census;
use crate::config::LocalConfig;
use crate::invocation::response::Reply;
use crate::invocation::{FunctionAnswer, FunctionName, Invocation, Target, function_arn};
use crate::invoke_api::error::ServiceError;

/// What all functions of an invoker share.
#[derive(Clone)]
pub(crate) struct Context {
    /// Tells the time.
    pub(crate) clock: fn() -> SystemTime,
    /// What functions see of the invoker's own environment.
    pub(crate) inherited: Arc<Inherited>,
    /// Where their output goes.
    pub(crate) output: Output,
    /// Ends their processes if the invoker cannot.
    pub(crate) guard: Option<Arc<Guard>>,
    /// Where their processes are kept together, if the system allows it.
    pub(crate) cgroups: Option<Arc<Cgroups>>,
    /// Which processes there are.
    pub(crate) census: Arc<Census>,
    /// Ends them all.
    pub(crate) stop: CancellationToken,
    /// Every task that has to have ended before the invoker may.
    pub(crate) tasks: TaskTracker,
}

/// A function that the invoker runs itself.
pub(crate) struct Function {
    pub(super) name: FunctionName,
    pub(super) config: LocalConfig,
    pub(super) context: Context,
    pub(super) variables: BTreeMap<OsString, OsString>,
    arn: HeaderValue,
    /// How many callers may wait beyond those for whom an environment can be started.
    pub(super) queue: usize,
    pub(super) pool: Mutex<Pool>,
    /// An environment is gone.
    pub(super) fewer: Notify,
}

impl Function {
    /// A function without any process yet.
    pub(crate) fn new(
        name: FunctionName,
        config: LocalConfig,
        queue: usize,
        context: Context,
    ) -> Arc<Self> {
        let variables = command::variables(&name, &config, &context.inherited);
        let target = Target {
            name,
            qualifier: None,
        };
        let arn = arn_header(&context.inherited.region, &target);
        Arc::new(Self {
            name: target.name,
            config,
            context,
            variables,
            arn,
            queue,
            pool: Mutex::default(),
            fewer: Notify::new(),
        })
    }

    /// Keeps `min_environments` running and looks after the function's files from now on.
    pub(crate) fn begin(self: &Arc<Self>) {
        if self.config.min_environments > 0 {
            self.context.tasks.spawn(Arc::clone(self).keep_warm());
        }
        if !self.config.watch.is_empty() {
            let watch = super::watch::watch(Arc::clone(self));
            let stop = self.context.stop.clone();
            self.context
                .tasks
                .spawn(stop.run_until_cancelled_owned(watch));
        }
    }

    /// Calls the function once an environment is free for this caller.
    ///
    /// Dropping the future gives up the place in the queue; an invocation that has begun runs on.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        invocation: Invocation,
    ) -> Result<Reply, ServiceError> {
        let (reply, answer) = oneshot::channel();
        let mut call = Call {
            invocation: Arc::new(invocation),
            reply,
        };
        loop {
            let environment = match self.environment().await? {
                Ok(environment) => environment,
                Err(failure) => {
                    let payload = failure.payload(&call.invocation.request_id);
                    return Ok(Reply::Whole {
                        answer: FunctionAnswer::Error(payload),
                        log_tail: None,
                    });
                }
            };
            match environment.deliver(call, self) {
                Ok(()) => break,
                // It ended just now, idle: the next one will do.
                Err(returned) => call = returned,
            }
        }
        answer.await.map_err(|_| ServiceError::ShuttingDown)
    }

    /// The executable, or why there is none.
    pub(crate) fn program(&self) -> Result<PathBuf, String> {
        let path = self
            .variables
            .get(OsStr::new("PATH"))
            .map(OsString::as_os_str);
        command::resolve(&self.config.program, &self.config.directory, path)
    }

    /// The program that is to start the runtime, if there is one: `AWS_LAMBDA_EXEC_WRAPPER`.
    pub(super) fn wrapper(&self) -> Option<Result<PathBuf, String>> {
        let wrapper = self.variables.get(OsStr::new("AWS_LAMBDA_EXEC_WRAPPER"))?;
        let wrapper = wrapper.to_string_lossy();
        let found = command::resolve(&wrapper, &self.config.directory, None);
        Some(found.map_err(|reason| format!("AWS_LAMBDA_EXEC_WRAPPER: {wrapper}: {reason}")))
    }

    /// Why the function cannot run, as far as can be said without running it.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let reason = self.program().err()?;
        let LocalConfig { program, line, .. } = &self.config;
        let name = &self.name;
        Some(format!(
            "{line}: functions.{name}.local.command: {program}: {reason}; build it, install it or correct the command"
        ))
    }

    /// The value of `_HANDLER`.
    pub(super) fn handler(&self) -> String {
        let handler = self.variables.get(OsStr::new("_HANDLER"));
        handler.map_or_else(String::new, |handler| {
            handler.to_string_lossy().into_owned()
        })
    }

    /// The ARN under which the function was invoked.
    pub(super) fn arn(&self, target: &Target) -> HeaderValue {
        match target.qualifier {
            None => self.arn.clone(),
            Some(_) => arn_header(&self.context.inherited.region, target),
        }
    }

    /// Waits until all environments have to end.
    pub(super) async fn stopped(&self) {
        self.context.stop.cancelled().await;
    }

    /// Passes on the output of a process.
    pub(super) fn forward(&self, source: &Source, reader: impl AsyncRead + Send + Unpin + 'static) {
        let output = self.context.output.clone();
        let forward = output.forward(source.clone(), reader);
        self.context.tasks.spawn(forward);
    }

    /// Has the guard end the processes of this environment if the invoker cannot.
    pub(super) async fn guard(&self, environment: &LogStream, group: Option<Pid>) {
        if let Some(guard) = &self.context.guard {
            guard.watch(&environment.entry(), group).await;
        }
    }

    /// Nothing is left of this environment.
    pub(super) async fn unguard(&self, environment: &LogStream) {
        if let Some(guard) = &self.context.guard {
            guard.forget(&environment.entry()).await;
        }
    }

    /// A control group for an environment, where one can be had.
    pub(super) fn cgroup(&self) -> Option<Cgroup> {
        let cgroups = self.context.cgroups.as_ref()?;
        let made = cgroups.environment(u64::from(self.config.memory_mib) << 20);
        if let Err(error) = &made {
            tracing::debug!(function = %self.name, "no control group: {error}");
        }
        made.ok()
    }
}

fn arn_header(region: &str, target: &Target) -> HeaderValue {
    HeaderValue::try_from(function_arn(region, target)).unwrap_or(HeaderValue::from_static(""))
}
