//! What runs a function.

use std::sync::Arc;

use hyper::Response;

use crate::body::ResponseBody;
use crate::error::ServiceError;
use crate::invocation::{FunctionAnswer, Invocation, InvocationType, Operation};
use crate::{local, rie};

/// One function's way to be run.
pub(crate) enum Backend {
    /// By a Runtime Interface Emulator.
    Rie(rie::Rie),
    /// As processes of the invoker's own.
    Local(Arc<local::Function>),
}

/// What comes back from a backend.
pub(crate) enum Answer {
    /// A function's answer, still to be put into the Invoke API's form.
    Function(FunctionAnswer),
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
        match (operation, invocation_type) {
            (Operation::InvokeWithResponseStream, _) => {
                refused("response streaming is not supported yet; use Invoke")
            }
            (_, InvocationType::Event) => {
                refused("the invocation type Event is not supported yet; use RequestResponse")
            }
            (Operation::Invoke, InvocationType::RequestResponse | InvocationType::DryRun) => Ok(()),
        }
    }

    /// Has the function called once.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Result<Answer, ServiceError> {
        match self {
            Self::Rie(rie) => rie.invoke(invocation).await.map(Answer::Passed),
            Self::Local(function) => function.invoke(invocation).await.map(Answer::Function),
        }
    }
}
