//! Whether a function could be invoked, asked of AWS without invoking it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout};

use super::{Aws, Call, Function, credential_errors, retry};
use crate::invocation::{FunctionName, Operation};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;

const LIMIT: Duration = Duration::from_secs(20);

impl Function {
    /// Where the function is, for a table.
    pub(crate) fn place(&self) -> String {
        let qualifier = self
            .qualifier
            .as_ref()
            .map(|qualifier| format!(":{qualifier}"));
        let mut text = format!("aws: {}{}", self.id, qualifier.unwrap_or_default());
        if let Some(region) = self.region.as_ref().filter(|_| self.id.region().is_none()) {
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
        headers.insert(header::INVOCATION_TYPE, HeaderValue::from_static("DryRun"));
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
                return Err(self.source.problem().unwrap_or_else(|| error.message()));
            }
            Err(error) => return Err(error.message()),
        };
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let name = retry::error_type(response.headers())
            .unwrap_or("no error type")
            .to_owned();
        let message = credential_errors::message(response.into_body()).await;
        let cure = credential_errors::cure(&name).map(|cure| format!("; {cure}"));
        Err(format!(
            "{status}, {name}: {}{}",
            message.as_deref().unwrap_or("no message"),
            cure.unwrap_or_default()
        ))
    }
}

impl Aws {
    /// The functions that are listed.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&FunctionName, &Arc<Function>)> {
        self.listed.iter()
    }

    /// Whether functions that are not listed could be called, as far as credentials and region go;
    /// `None` if such ones are unknown.
    pub(crate) async fn others(&self) -> Option<Result<(), String>> {
        let source = &self.unlisted.as_ref()?.source;
        source.settled().await;
        Some(source.problem().map_or(Ok(()), Err))
    }
}
