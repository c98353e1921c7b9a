//! A function that the invoker runs itself: its environments, and a call of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::environment::transitions::Call;
use super::pool::Pool;
use super::spec::{Context, FunctionSpec};
use super::watch::watch;
use crate::config::LocalConfig;
use crate::invocation::FunctionResponse;
use crate::invocation::{FunctionPayload, Invocation};
use crate::invoke_api::error::ServiceError;
use lambda_api::FunctionName;

/// A function that the invoker runs itself.
pub(crate) struct Function {
    spec: Arc<FunctionSpec>,
    pool: Arc<Pool>,
}

impl Function {
    /// A function without any process yet.
    pub(crate) fn new(
        name: FunctionName,
        config: LocalConfig,
        queue: usize,
        context: Context,
    ) -> Self {
        Self::of(FunctionSpec::new(name, config, context), queue)
    }

    fn of(spec: FunctionSpec, queue: usize) -> Self {
        let spec = Arc::new(spec);
        let pool = Pool::new(Arc::clone(&spec), queue);
        Self { spec, pool }
    }

    /// Keeps `min_environments` running and looks after the function's files from now on.
    pub(crate) fn begin(&self) {
        let FunctionSpec {
            config, context, ..
        } = &*self.spec;
        if config.min_environments > 0 {
            context.tasks.spawn(Arc::clone(&self.pool).keep_warm());
        }
        if !config.watch.is_empty() {
            let watch = watch(Arc::clone(&self.spec), Arc::clone(&self.pool));
            let stop = context.stop.clone();
            context.tasks.spawn(stop.run_until_cancelled_owned(watch));
        }
    }

    /// Calls the function once an environment is free for this caller.
    ///
    /// Dropping the future gives up the place in the queue; an invocation that has begun runs on.
    pub(crate) async fn invoke(
        &self,
        invocation: Invocation,
    ) -> Result<FunctionResponse, ServiceError> {
        let (caller, response) = oneshot::channel();
        let mut call = Call {
            invocation: Arc::new(invocation),
            caller,
        };
        loop {
            let environment = match self.pool.environment().await? {
                Ok(environment) => environment,
                Err(failure) => {
                    let payload = failure.payload(&call.invocation.request_id);
                    return Ok(FunctionResponse::Buffered {
                        payload: FunctionPayload::Error(payload),
                        log_tail: None,
                    });
                }
            };
            match environment.deliver(call) {
                Ok(()) => break,
                // It ended just now, idle: the next one will do.
                Err(returned) => call = returned,
            }
        }
        response.await.map_err(|_| ServiceError::ShuttingDown)
    }

    /// Why the function cannot run, as far as can be said without running it.
    pub(crate) fn obstacle(&self) -> Option<String> {
        self.spec.obstacle()
    }
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
