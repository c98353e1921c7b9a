//! Dry runs: asking AWS whether a function could be invoked, without invoking it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::time::timeout;

use super::credentials::CredentialsProblem;
use super::error_response;
use super::function::{LambdaFunction, LambdaRequest};
use super::target::Destination;
use crate::invocation::Timeline;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use lambda_api::{InvocationType, Operation};

const DRY_RUN_TIMEOUT: Duration = Duration::from_secs(20);

/// The reason why a function could not be invoked. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DryRunError {
    /// AWS did not respond within this time.
    #[error("AWS gave no answer within {0:?}; check that its endpoint can be reached from here")]
    Timeout(Duration),
    /// The connection to AWS failed, or AWS refused the credentials.
    #[error("{0}")]
    Unavailable(String),
    /// The credentials or the region are missing.
    #[error(transparent)]
    Credentials(CredentialsProblem),
    /// AWS responded with an error.
    #[error(
        "{status}, {}: {}{}",
        .name.as_deref().unwrap_or("no error type"),
        .message.as_deref().unwrap_or("no message"),
        cure(.name.as_deref())
    )]
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// AWS's name of the error.
        name: Option<String>,
        /// AWS's message.
        message: Option<String>,
    },
    /// The invoker itself refused the request.
    #[error(transparent)]
    Service(ServiceError),
}

fn cure(name: Option<&str>) -> String {
    let cure = name.and_then(error_response::cure);
    cure.map_or_else(String::new, |cure| format!("; {cure}"))
}

impl LambdaFunction {
    /// Returns the location of the function, for a table.
    pub(crate) fn location(&self) -> String {
        let Destination {
            function,
            qualifier,
            region,
            ..
        } = &self.targets.destination;
        let qualifier = qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        let mut text = format!("aws: {function}{}", qualifier.unwrap_or_default());
        if let Some(region) = region.as_ref().filter(|_| function.region().is_none()) {
            text.push_str(&format!(", {region}"));
        }
        if let Some(role) = &self.config.role {
            text.push_str(&format!(", as {}", role.arn));
        }
        text
    }

    /// Asks AWS whether the function could be invoked.
    ///
    /// # Errors
    /// Returns the reason if it could not.
    pub(crate) async fn dry_run(&self) -> Result<(), DryRunError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::INVOCATION_TYPE,
            HeaderValue::from_static(InvocationType::DryRun.as_str()),
        );
        let request = LambdaRequest {
            operation: Operation::Invoke,
            qualifier: None,
            headers,
            payload: Bytes::new(),
            timeline: Arc::new(Timeline::begin(false)),
        };
        let response = timeout(DRY_RUN_TIMEOUT, self.invoke(request)).await;
        let response = response.unwrap_or(Err(ServiceError::AwsTimeout(DRY_RUN_TIMEOUT)));
        let response = response.map_err(|error| match error {
            ServiceError::AwsTimeout(limit) => DryRunError::Timeout(limit),
            ServiceError::AwsUnavailable(cause)
            | ServiceError::CredentialsRefused { cause, .. } => DryRunError::Unavailable(cause),
            // The cache may know of more problems, but those of other functions are not reported here.
            ServiceError::NoCredentials => match self.credentials.problem() {
                Some(problem) => DryRunError::Credentials(problem),
                None => DryRunError::Service(error),
            },
            error => DryRunError::Service(error),
        })?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let name = error_response::error_type(response.headers()).map(str::to_owned);
        let message = error_response::message(response.into_body()).await;
        Err(DryRunError::Refused {
            status,
            name,
            message,
        })
    }
}
