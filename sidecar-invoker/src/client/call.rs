//! A call of the Invoke API.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::backend::aws::{Aws, LambdaRequest};
use crate::invocation::Timeline;
use crate::invoke_api::body::{BoxError, ResponseBody};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use lambda_api::{FunctionReference, InvocationType, LogType, Operation, Qualifier};

/// The way of an invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The caller waits for the whole response.
    #[default]
    Synchronous,
    /// The caller gets the response as it comes.
    Stream,
    /// The event is queued.
    Async,
    /// The function does not run.
    DryRun,
}

impl Mode {
    /// Returns the mode for a value of the filter's key `invocation`.
    pub(crate) fn of_filter(invocation: &str) -> Self {
        let modes = [Self::Stream, Self::Async];
        let mut modes = modes.into_iter();
        modes
            .find(|mode| mode.for_filter() == invocation)
            .unwrap_or_default()
    }

    /// Returns the value of the filter's key `invocation`.
    pub(crate) fn for_filter(self) -> &'static str {
        match self {
            Self::Synchronous | Self::DryRun => "request-response",
            Self::Stream => "response-stream",
            Self::Async => "event",
        }
    }

    fn operation(self) -> Operation {
        match self {
            Self::Stream => Operation::InvokeWithResponseStream,
            _ => Operation::Invoke,
        }
    }

    fn invocation_type(self) -> InvocationType {
        match self {
            Self::Synchronous | Self::Stream => InvocationType::RequestResponse,
            Self::Async => InvocationType::Event,
            Self::DryRun => InvocationType::DryRun,
        }
    }
}

/// A call of the Invoke API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) mode: Mode,
    /// The function, without a qualifier.
    pub(crate) function: FunctionReference,
    pub(crate) qualifier: Option<Qualifier>,
    /// The client context, JSON in base64.
    pub(crate) client_context: Option<HeaderValue>,
    pub(crate) tenant_id: Option<HeaderValue>,
    pub(crate) event: Bytes,
}

/// The error if a call has no response. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection to the invoker failed.
    #[error("{place} cannot be reached or broke off: {error}; check that an invoker runs there")]
    Invoker {
        /// The address.
        place: String,
        /// The reason.
        error: BoxError,
    },
    /// AWS did not respond, or refused the credentials. The text has the cause and the cure.
    #[error("{0}")]
    Aws(String),
}

impl Call {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        let invocation_type = self.mode.invocation_type();
        let value = HeaderValue::from_static(invocation_type.as_str());
        headers.insert(header::INVOCATION_TYPE, value);
        if invocation_type == InvocationType::RequestResponse {
            let log_type = HeaderValue::from_static(LogType::Tail.as_str());
            headers.insert(header::LOG_TYPE, log_type);
        }
        let optional = [
            (header::CLIENT_CONTEXT, &self.client_context),
            (header::TENANT_ID, &self.tenant_id),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    /// Sends the call to an invoker.
    pub(super) async fn send(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
    ) -> Result<Response<ResponseBody>, BoxError> {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let operation = self.mode.operation();
        let path = operation.path_and_query(&self.function, self.qualifier.as_ref());
        let mut headers = self.headers();
        headers.insert(HOST, HeaderValue::try_from(host)?);
        let mut request = Request::post(path).body(Full::new(self.event))?;
        *request.headers_mut() = headers;
        let response = sender.send_request(request).await?;
        Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()))
    }

    /// Sends the call to AWS.
    pub(super) async fn send_to_aws(self, aws: &Aws) -> Result<Response<ResponseBody>, CallError> {
        let headers = self.headers();
        let request = LambdaRequest {
            operation: self.mode.operation(),
            qualifier: self.qualifier,
            headers,
            payload: self.event,
            timeline: Arc::new(Timeline::begin(false)),
        };
        let response = match aws.function(&self.function) {
            Some(Ok(function)) => function.invoke(request).await,
            Some(Err(error)) => Err(error),
            None => Err(ServiceError::NoCredentials),
        };
        response.map_err(|error| {
            CallError::Aws(match error {
                ServiceError::AwsUnavailable(cause)
                | ServiceError::CredentialsRefused { cause, .. } => cause,
                error => error.to_string(),
            })
        })
    }
}
