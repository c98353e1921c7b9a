//! What runs a function.

pub(crate) mod aws;
mod concurrency_limit;
pub(crate) mod event_queue;
pub(crate) mod local;
pub(crate) mod rie;

use std::sync::Arc;

use hyper::Response;

use crate::backend::event_queue::EventQueue;
use crate::invocation::response::Reply;
use crate::invocation::{Invocation, InvocationType, Operation};
use crate::invoke_api::body::ResponseBody;
use crate::invoke_api::error::ServiceError;

/// One function's way to be run.
pub(crate) enum Backend {
    /// By a Runtime Interface Emulator.
    Rie(Arc<rie::Rie>, Arc<EventQueue>),
    /// As processes of the invoker's own.
    Local(Arc<local::Function>, Arc<EventQueue>),
}

/// What comes back from a backend.
pub(crate) enum Answer {
    /// A function's answer, still to be put into the Invoke API's form.
    Function(Reply),
    /// A response of the Invoke API, to be passed on as it is. The emulator reports function errors
    /// as plain 200s, so the caller has to be able to tell its answers from AWS's: they carry no
    /// `x-amzn-requestid`.
    Passed(Response<ResponseBody>),
}

impl Backend {
    /// Refuses what this backend cannot do.
    pub(crate) fn supports(
        &self,
        operation: Operation,
        invocation_type: InvocationType,
    ) -> Result<(), ServiceError> {
        let refused = |message: &str| Err(ServiceError::InvalidParameter(message.to_owned()));
        match (self, operation, invocation_type) {
            (_, Operation::InvokeWithResponseStream, InvocationType::Event) => {
                refused("InvokeWithResponseStream takes RequestResponse and DryRun")
            }
            (Self::Rie(..), Operation::InvokeWithResponseStream, _) => {
                refused("an emulator does not stream; use Invoke")
            }
            _ => Ok(()),
        }
    }

    /// Where asynchronous invocations wait.
    pub(crate) fn events(&self) -> &Arc<EventQueue> {
        match self {
            Self::Rie(_, events) | Self::Local(_, events) => events,
        }
    }

    /// Has the function called once.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Result<Answer, ServiceError> {
        match self {
            Self::Rie(rie, _) => rie.invoke(invocation).await.map(Answer::Passed),
            Self::Local(function, _) => function.invoke(invocation).await.map(Answer::Function),
        }
    }
}
