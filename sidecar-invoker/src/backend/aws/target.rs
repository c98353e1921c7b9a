//! Where the requests of one function go, worked out once and not for each call.

use std::sync::{Arc, Mutex};

use hyper::Uri;

use super::credentials::Session;
use super::endpoint;
use crate::config::Endpoint;
use crate::invoke_api::error::ServiceError;
use crate::util::lock;
use lambda_api::operation::query;
use lambda_api::{FunctionReference, Operation, Qualifier};

/// What the requests of one operation to one function have in common.
pub(super) struct Route {
    /// Region and endpoint may be this one's.
    session: Arc<Session>,
    operation: Operation,
    qualifier: Option<Qualifier>,
    /// The region of the endpoint.
    pub(super) region: String,
    /// The host, with the port if it is not the scheme's own.
    pub(super) authority: String,
    /// The path, percent-encoded.
    pub(super) path: String,
    /// The query, percent-encoded; empty if there is none.
    pub(super) query: String,
    /// All of it together.
    pub(super) uri: Uri,
}

/// The function of a route, as the configuration describes it.
pub(super) struct Destination {
    /// Without a qualifier.
    pub(super) function: FunctionReference,
    /// For callers who do not name one.
    pub(super) qualifier: Option<Qualifier>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Endpoint>,
}

/// Finds the route of each call. It remembers the route of the call before, which most often is that
/// of the next call too.
pub(super) struct Router {
    pub(super) destination: Destination,
    last: Mutex<Option<Arc<Route>>>,
}

impl Router {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            last: Mutex::default(),
        }
    }

    /// The route of a call; `qualifier` is the caller's own.
    ///
    /// # Errors
    /// There is no region, or no URI comes of it.
    pub(super) fn route(
        &self,
        session: &Arc<Session>,
        operation: Operation,
        qualifier: Option<&Qualifier>,
    ) -> Result<Arc<Route>, ServiceError> {
        let qualifier = qualifier.or(self.destination.qualifier.as_ref());
        let mut last = lock(&self.last);
        let known = last.as_ref().filter(|route| {
            Arc::ptr_eq(&route.session, session)
                && (route.operation, route.qualifier.as_ref()) == (operation, qualifier)
        });
        if let Some(route) = known {
            return Ok(Arc::clone(route));
        }
        let route = Route::new(&self.destination, session, operation, qualifier)?;
        let route = Arc::new(route);
        *last = Some(Arc::clone(&route));
        Ok(route)
    }
}

impl Route {
    fn new(
        destination: &Destination,
        session: &Arc<Session>,
        operation: Operation,
        qualifier: Option<&Qualifier>,
    ) -> Result<Self, ServiceError> {
        let region = destination.region.as_ref().or(session.region.as_ref());
        let region = region.ok_or(ServiceError::NoCredentials)?.clone();
        let own = destination.endpoint.as_ref().or(session.endpoint.as_ref());
        let endpoint = own
            .cloned()
            .unwrap_or_else(|| endpoint::of_region(&region, session.variant));
        let path = operation.path(destination.function.as_str());
        let query = qualifier.map(query).unwrap_or_default();
        let target = match query.as_str() {
            "" => path.clone(),
            query => format!("{path}?{query}"),
        };
        let uri = Uri::builder()
            .scheme(if endpoint.tls { "https" } else { "http" })
            .authority(endpoint.authority.as_str())
            .path_and_query(target)
            .build()
            .map_err(|error| ServiceError::AwsUnavailable(error.to_string()))?;
        Ok(Self {
            session: Arc::clone(session),
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
