//! The Extensions API, served at the address of the Runtime API.
//!
//! Source: "Extensions API reference" in the AWS Lambda developer guide.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::response::{accepted, error, json_response, text};
use crate::backend::local::environment::Environment;
use crate::backend::local::environment::extensions::ExtensionsApiError;
use crate::backend::local::spec::FunctionSpec;
use crate::invoke_api::body;
use lambda_api::ACCOUNT_ID;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");
const EVENT_IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-event-identifier");
const ACCEPT_FEATURE: HeaderName = HeaderName::from_static("lambda-extension-accept-feature");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-extension-function-error-type");

/// Responds to a request with this method, path below `/2020-01-01/extension/`, and headers.
pub(crate) async fn handle(
    environment: &Arc<Environment>,
    (method, path, headers): (&Method, &[&str], &HeaderMap),
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    let id = headers.get(IDENTIFIER).and_then(|id| id.to_str().ok());
    let response = match (method, path) {
        (&Method::POST, ["register"]) => {
            let read = body::read(body).await;
            let body = read.map(|(body, _)| body).unwrap_or_default();
            let registered = environment.register(text(headers, &NAME), &body);
            registered.map(|id| registration(id, &environment.spec, headers))
        }
        (&Method::GET, ["event", "next"]) => {
            let event = environment.extension_next(id).await;
            event.map(|event| {
                let mut response = json_response(StatusCode::OK, event);
                response
                    .headers_mut()
                    .insert(EVENT_IDENTIFIER, identifier(Uuid::new_v4()));
                response
            })
        }
        (&Method::POST, [kind @ ("init" | "exit"), "error"]) => {
            let error_type = match text(headers, &ERROR_TYPE) {
                "" => "Extension.Unknown",
                error_type => error_type,
            };
            let reported = environment.extension_error(id, error_type, *kind == "init");
            reported.map(|()| accepted())
        }
        _ => {
            let message = "the Extensions API has no such path";
            return error(StatusCode::NOT_FOUND, "NotFound", message);
        }
    };
    response.unwrap_or_else(|refusal| {
        let status = match refusal {
            ExtensionsApiError::NotJson => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        error(status, refusal.error_type(), &refusal.to_string())
    })
}

fn registration(id: Uuid, spec: &FunctionSpec, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut body = json!({
        "functionName": spec.name.to_string(),
        "functionVersion": "$LATEST",
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
