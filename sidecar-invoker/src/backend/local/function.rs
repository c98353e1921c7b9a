//! Local functions and their invocation.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::attach::AttachPoints;
use super::build::{Build, BuildFailure};
use super::environment::failure::Failure;
use super::environment::transitions::PendingInvocation;
use super::pool::Pool;
use super::spec::{FunctionSpec, LocalContext, UnusableCommand};
use super::watch::Watch;
use crate::config::LocalConfig;
use crate::invocation::{FunctionPayload, FunctionResponse, Invocation, Step};
use crate::invoke_api::error::ServiceError;
use crate::metrics::{FunctionMetrics, FunctionState};
use lambda_api::FunctionName;

/// A function that the invoker runs in processes of its own.
pub(crate) struct LocalFunction {
    spec: Arc<FunctionSpec>,
    pool: Arc<Pool>,
    build: Arc<Build>,
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
        let build = Build::new(Arc::clone(&spec));
        Self {
            spec,
            pool,
            build,
            retired,
        }
    }

    /// Starts the task that builds the function, keeps `min_environments` running and watches the files.
    pub(crate) fn begin(&self, attach_points: &AttachPoints) {
        let FunctionSpec {
            config, context, ..
        } = &*self.spec;
        let has_watch = config.watch.iter().flatten().next().is_some();
        if let Some(address) = &config.attach {
            return attach_points.serve(address, &self.pool);
        }
        if config.build.is_empty() && config.min_environments == 0 && !has_watch {
            return;
        }
        let (spec, pool, build, retired) = (
            Arc::clone(&self.spec),
            Arc::clone(&self.pool),
            Arc::clone(&self.build),
            self.retired.clone(),
        );
        let work = async move {
            let mut watch = Watch::default();
            // Callers wait for the first build, so it goes on if the function is replaced.
            match has_watch {
                true => watch.begin(&spec, &build).await,
                false => _ = build.run().await,
            }
            let keep_warm = async {
                if spec.config.min_environments > 0 {
                    build.succeeded().await;
                    Arc::clone(&pool).keep_warm().await;
                }
            };
            let restart = async {
                if has_watch {
                    watch.restart(&spec, &pool, &build).await;
                }
            };
            let both = async { tokio::join!(keep_warm, restart) };
            retired.run_until_cancelled(both).await;
        };
        let stop = context.stop.clone();
        context.tasks.spawn(stop.run_until_cancelled_owned(work));
    }

    /// Ends each environment once no caller needs it. Callers who already have the function are still served.
    pub(crate) fn retire(&self, attach_points: &AttachPoints) {
        self.retired.cancel();
        self.pool.retire_all();
        if let Some(address) = &self.spec.config.attach {
            attach_points.retire(address, &self.pool);
        }
    }

    /// Returns the state of the function.
    pub(crate) fn state(&self) -> FunctionState {
        FunctionState {
            name: self.spec.name.clone(),
            backend: "local",
            concurrency: Some(self.spec.config.concurrency),
            environments: self.pool.environment_states(),
        }
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
        if let Err(failure) = self.built().await? {
            return Ok(failed_to_start(
                &Failure::Build(failure.to_string()),
                &pending,
            ));
        }
        loop {
            let environment = match self.pool.environment(&pending.invocation.version).await? {
                Ok(environment) => environment,
                Err(failure) => return Ok(failed_to_start(&failure, &pending)),
            };
            let timeline = &pending.invocation.timeline;
            timeline.reach(Step::Assigned);
            if let Some(duration) = environment.cold_start(timeline.arrival()) {
                timeline.set_cold_start(duration);
            }
            match environment.deliver(pending) {
                Ok(()) => break,
                // The environment has just ended, so the next one gets the invocation.
                Err(returned) => pending = returned,
            }
        }
        response.await.map_err(|_| ServiceError::ShuttingDown)
    }

    /// Waits for the first build.
    async fn built(&self) -> Result<Result<(), BuildFailure>, ServiceError> {
        if self.build.is_built() {
            return Ok(Ok(()));
        }
        tokio::select! {
            built = self.build.wait() => Ok(built),
            () = self.spec.stopped() => Err(ServiceError::ShuttingDown),
        }
    }

    /// Checks that the program of the command can be run, without running it. A program that is not built yet
    /// need not exist.
    pub(crate) fn check_command(&self) -> Result<(), UnusableCommand> {
        match self.build.is_built() && self.spec.config.attach.is_none() {
            true => self.spec.check_command(),
            false => Ok(()),
        }
    }

    /// Checks that a Python interpreter has the module of the command.
    pub(crate) async fn check_module(&self) -> Result<(), UnusableCommand> {
        self.spec.check_module().await
    }
}

/// Returns the function error for a caller whose environment did not start.
fn failed_to_start(failure: &Failure, pending: &PendingInvocation) -> FunctionResponse {
    let Invocation {
        request_id,
        timeline,
        ..
    } = &*pending.invocation;
    timeline.set_error_type(failure.error_type());
    let payload = failure.payload(request_id);
    FunctionResponse::Buffered {
        payload: FunctionPayload::Error(payload),
        log_tail: None,
    }
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
