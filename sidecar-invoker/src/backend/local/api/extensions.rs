//! The Extensions API, served at the address of the Runtime API.
//!
//! Source: "Extensions API reference" in the AWS Lambda developer guide.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::response::{accepted, error, json_response, text};
use super::route::Route;
use crate::backend::local::environment::Environment;
use crate::backend::local::environment::extensions::ExtensionsApiError;
use crate::backend::local::environment::failure::valid_extension_error_type;
use crate::invoke_api::body;
use lambda_api::ACCOUNT_ID;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");
const EVENT_IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-event-identifier");
const ACCEPT_FEATURE: HeaderName = HeaderName::from_static("lambda-extension-accept-feature");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-extension-function-error-type");

/// Responds to a request to the Extensions API.
pub(crate) async fn handle(
    route: Route<'_>,
    environment: &Arc<Environment>,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    let response = match route {
        Route::Register => {
            let read = body::read(body).await;
            let body = read.map(|(body, _)| body).unwrap_or_default();
            let registered = environment.register(text(headers, &NAME), &body);
            registered.map(|id| registration(id, environment, headers))
        }
        Route::ExtensionNext => match sender(headers) {
            Ok(id) => environment.extension_next(id).await.map(event),
            Err(refusal) => Err(refusal),
        },
        _ => {
            let at_init = route == Route::ExtensionInitError;
            report(environment, headers, at_init).map(|()| accepted())
        }
    };
    response.unwrap_or_else(|refusal| {
        let error_type = refusal.error_type();
        error(StatusCode::FORBIDDEN, error_type, &refusal.to_string())
    })
}

/// Returns the identifier of the extension that sent the request.
fn sender(headers: &HeaderMap) -> Result<Uuid, ExtensionsApiError> {
    match headers.get(IDENTIFIER).map(HeaderValue::as_bytes) {
        None | Some(b"") => Err(ExtensionsApiError::NoIdentifier),
        Some(id) => Uuid::try_parse_ascii(id).map_err(|_| ExtensionsApiError::InvalidIdentifier),
    }
}

fn report(
    environment: &Environment,
    headers: &HeaderMap,
    at_init: bool,
) -> Result<(), ExtensionsApiError> {
    let id = sender(headers)?;
    let error_type = headers.get(ERROR_TYPE).filter(|value| !value.is_empty());
    let error_type = error_type.ok_or(ExtensionsApiError::NoErrorType)?;
    let error_type = valid_extension_error_type(error_type.to_str().unwrap_or_default());
    environment.extension_error(id, error_type, at_init)
}

fn event(event: Bytes) -> Response<Full<Bytes>> {
    let mut response = json_response(StatusCode::OK, event);
    let headers = response.headers_mut();
    headers.insert(EVENT_IDENTIFIER, identifier(Uuid::new_v4()));
    response
}

fn registration(id: Uuid, environment: &Environment, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let spec = &environment.spec;
    let mut body = json!({
        "functionName": spec.name.to_string(),
        "functionVersion": environment.version(),
        "handler": spec.handler(),
    });
    let wants_account = text(headers, &ACCEPT_FEATURE)
        .split(',')
        .any(|feature| feature.trim() == "accountId");
    if wants_account && let Some(body) = body.as_object_mut() {
        body.insert("accountId".to_owned(), ACCOUNT_ID.into());
    }
    let mut response = json_response(StatusCode::OK, body.to_string().into());
    response.headers_mut().insert(IDENTIFIER, identifier(id));
    response
}

fn identifier(id: Uuid) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).unwrap_or(HeaderValue::from_static(""))
}
