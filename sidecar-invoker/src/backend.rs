//! What runs a function.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

use crate::error::ServiceError;
use crate::invocation::{FunctionAnswer, Invocation};
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
    /// An emulator's answer, to be passed on as it is. The emulator reports function errors as
    /// plain 200s, so the caller has to be able to tell its answers from AWS's: they carry no
    /// `x-amzn-requestid`.
    Emulator(Response<Full<Bytes>>),
}

impl Backend {
    /// Has the function called once.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Result<Answer, ServiceError> {
        match self {
            Self::Rie(rie) => rie.invoke(invocation).await.map(Answer::Emulator),
            Self::Local(function) => function.invoke(invocation).await.map(Answer::Function),
        }
    }
}
