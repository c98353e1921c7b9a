//! Whether a function could be invoked, asked of AWS without invoking it.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout};

use super::error_response;
use super::function::{Call, Function};
use super::route::Destination;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use lambda_api::{InvocationType, Operation};

const LIMIT: Duration = Duration::from_secs(20);

impl Function {
    /// Where the function is, for a table.
    pub(crate) fn place(&self) -> String {
        let Destination {
            function,
            qualifier,
            region,
            ..
        } = &self.router.destination;
        let qualifier = qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        let mut text = format!("aws: {function}{}", qualifier.unwrap_or_default());
        if let Some(region) = region.as_ref().filter(|_| function.region().is_none()) {
            text.push_str(&format!(", {region}"));
        }
        if let Some(role) = &self.call.role {
            text.push_str(&format!(", as {}", role.arn));
        }
        text
    }

    /// Asks AWS.
    ///
    /// # Errors
    /// Why it could not be invoked, with the cure.
    pub(crate) async fn dry_run(&self) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::INVOCATION_TYPE,
            HeaderValue::from_static(InvocationType::DryRun.as_str()),
        );
        let call = Call {
            operation: Operation::Invoke,
            qualifier: None,
            headers,
            payload: Bytes::new(),
            arrival: Instant::now(),
        };
        let answer = timeout(LIMIT, self.invoke(call)).await;
        let response = match answer.unwrap_or(Err(ServiceError::AwsTimeout(LIMIT))) {
            Ok(response) => response,
            Err(
                ServiceError::AwsUnavailable(cause)
                | ServiceError::CredentialsRefused { cause, .. },
            ) => return Err(cause),
            Err(ServiceError::AwsTimeout(limit)) => {
                return Err(format!(
                    "AWS gave no answer within {limit:?}; see that its endpoint can be reached from here"
                ));
            }
            // What else other functions have found wrong with the credentials is not this one's.
            Err(error @ ServiceError::NoCredentials) => {
                return Err(self
                    .credentials
                    .problem()
                    .unwrap_or_else(|| error.to_string()));
            }
            Err(error) => return Err(error.to_string()),
        };
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let name = error_response::error_type(response.headers())
            .unwrap_or("no error type")
            .to_owned();
        let message = error_response::message(response.into_body()).await;
        let cure = error_response::cure(&name).map(|cure| format!("; {cure}"));
        Err(format!(
            "{status}, {name}: {}{}",
            message.as_deref().unwrap_or("no message"),
            cure.unwrap_or_default()
        ))
    }
}
