//! Local functions and their invocation.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::environment::transitions::PendingInvocation;
use super::pool::Pool;
use super::spec::{FunctionSpec, LocalContext, UnusableCommand};
use super::watch::watch;
use crate::config::LocalConfig;
use crate::invocation::{FunctionPayload, FunctionResponse, Invocation};
use crate::invoke_api::error::ServiceError;
use crate::metrics::FunctionMetrics;
use lambda_api::FunctionName;

/// A function that the invoker runs in processes of its own.
pub(crate) struct LocalFunction {
    spec: Arc<FunctionSpec>,
    pool: Arc<Pool>,
    /// Cancelled once the configuration has another function, or none, in this one's place, and when the
    /// invoker ends.
    retired: CancellationToken,
}

impl LocalFunction {
    /// Creates a function that has no process yet.
    pub(crate) fn new(
        name: FunctionName,
        config: LocalConfig,
        queue: usize,
        metrics: Arc<FunctionMetrics>,
        context: LocalContext,
    ) -> Self {
        Self::of(FunctionSpec::new(name, config, context), queue, metrics)
    }

    fn of(spec: FunctionSpec, queue: usize, metrics: Arc<FunctionMetrics>) -> Self {
        let spec = Arc::new(spec);
        let pool = Pool::new(Arc::clone(&spec), queue, metrics);
        let retired = spec.context.stop.child_token();
        Self {
            spec,
            pool,
            retired,
        }
    }

    /// Starts the tasks that keep `min_environments` running and watch the function's files.
    pub(crate) fn begin(&self) {
        let FunctionSpec {
            config, context, ..
        } = &*self.spec;
        if config.min_environments > 0 {
            let keep_warm = Arc::clone(&self.pool).keep_warm();
            let retired = self.retired.clone();
            context
                .tasks
                .spawn(retired.run_until_cancelled_owned(keep_warm));
        }
        if !config.watch.is_empty() {
            let watch = watch(Arc::clone(&self.spec), Arc::clone(&self.pool));
            let retired = self.retired.clone();
            context
                .tasks
                .spawn(retired.run_until_cancelled_owned(watch));
        }
    }

    /// Ends each environment once no caller needs it. Callers who already have the function are still served.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
        self.pool.retire_all();
    }

    /// Invokes the function once an environment is free for this caller.
    ///
    /// A caller who drops the future leaves the queue. An invocation that has begun goes on.
    pub(crate) async fn invoke(
        &self,
        invocation: Invocation,
    ) -> Result<FunctionResponse, ServiceError> {
        let (caller, response) = oneshot::channel();
        let mut pending = PendingInvocation {
            invocation: Arc::new(invocation),
            caller,
        };
        loop {
            let environment = match self.pool.environment(&pending.invocation.version).await? {
                Ok(environment) => environment,
                Err(failure) => {
                    let payload = failure.payload(&pending.invocation.request_id);
                    return Ok(FunctionResponse::Buffered {
                        payload: FunctionPayload::Error(payload),
                        log_tail: None,
                    });
                }
            };
            match environment.deliver(pending) {
                Ok(()) => break,
                // The environment has just ended, so the next one gets the invocation.
                Err(returned) => pending = returned,
            }
        }
        response.await.map_err(|_| ServiceError::ShuttingDown)
    }

    /// Checks that the program of the command can be run, without running it.
    pub(crate) fn check_command(&self) -> Result<(), UnusableCommand> {
        self.spec.check_command()
    }

    /// Checks that a Python interpreter has the module of the command.
    pub(crate) async fn check_module(&self) -> Result<(), UnusableCommand> {
        self.spec.check_module().await
    }
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
