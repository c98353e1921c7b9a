//! The request targets of a function, computed once instead of for each invocation.

use std::sync::{Arc, Mutex};

use hyper::Uri;

use super::credentials::LoadedCredentials;
use super::endpoint;
use crate::config::Endpoint;
use crate::invoke_api::error::ServiceError;
use crate::util::lock;
use lambda_api::operation::query;
use lambda_api::{FunctionReference, Operation, Qualifier};

/// The target of all requests with one operation and qualifier to one function.
pub(super) struct RequestTarget {
    /// The credentials, which may provide the region and the endpoint.
    credentials: Arc<LoadedCredentials>,
    operation: Operation,
    qualifier: Option<Qualifier>,
    /// The region of the endpoint.
    pub(super) region: String,
    /// The host, with the port unless it is the default port of the scheme.
    pub(super) authority: String,
    /// The path, percent-encoded.
    pub(super) path: String,
    /// The query, percent-encoded. Empty without a query.
    pub(super) query: String,
    /// The URI of all these parts.
    pub(super) uri: Uri,
}

/// A function on AWS, as the configuration describes it.
pub(super) struct Destination {
    /// The function, without a qualifier.
    pub(super) function: FunctionReference,
    /// The qualifier for callers that do not name one.
    pub(super) qualifier: Option<Qualifier>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Endpoint>,
}

/// The targets of one function. Only the last target is kept, because most invocations of a function
/// have the same one.
pub(super) struct RequestTargets {
    pub(super) destination: Destination,
    last: Mutex<Option<Arc<RequestTarget>>>,
}

impl RequestTargets {
    /// Creates the targets of a function, without computing any.
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            last: Mutex::default(),
        }
    }

    /// Returns the target of an invocation. `qualifier` is the qualifier that the caller named.
    ///
    /// # Errors
    /// Returns an error if no region is known, or if the parts are not a valid URI.
    pub(super) fn target(
        &self,
        credentials: &Arc<LoadedCredentials>,
        operation: Operation,
        qualifier: Option<&Qualifier>,
    ) -> Result<Arc<RequestTarget>, ServiceError> {
        let qualifier = qualifier.or(self.destination.qualifier.as_ref());
        let mut last = lock(&self.last);
        let known = last.as_ref().filter(|target| {
            Arc::ptr_eq(&target.credentials, credentials)
                && (target.operation, target.qualifier.as_ref()) == (operation, qualifier)
        });
        if let Some(target) = known {
            return Ok(Arc::clone(target));
        }
        let target = RequestTarget::new(&self.destination, credentials, operation, qualifier)?;
        let target = Arc::new(target);
        *last = Some(Arc::clone(&target));
        Ok(target)
    }
}

impl RequestTarget {
    fn new(
        destination: &Destination,
        credentials: &Arc<LoadedCredentials>,
        operation: Operation,
        qualifier: Option<&Qualifier>,
    ) -> Result<Self, ServiceError> {
        let region = destination.region.as_ref().or(credentials.region.as_ref());
        let region = region.ok_or(ServiceError::NoCredentials)?.clone();
        let configured = destination.endpoint.as_ref();
        let endpoint = configured
            .or(credentials.endpoint.as_ref())
            .cloned()
            .unwrap_or_else(|| endpoint::of_region(&region, credentials.variant));
        let path = operation.path(destination.function.as_str());
        let query = qualifier.map(query).unwrap_or_default();
        let path_and_query = match query.as_str() {
            "" => path.clone(),
            query => format!("{path}?{query}"),
        };
        let uri = Uri::builder()
            .scheme(if endpoint.tls { "https" } else { "http" })
            .authority(endpoint.authority.as_str())
            .path_and_query(path_and_query)
            .build()
            .map_err(|error| ServiceError::AwsUnavailable(error.to_string()))?;
        Ok(Self {
            credentials: Arc::clone(credentials),
            operation,
            qualifier: qualifier.cloned(),
            region,
            authority: endpoint.authority,
            path,
            query,
            uri,
        })
    }
}
