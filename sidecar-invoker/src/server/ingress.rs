//! The server of the Invoke API: from an HTTP request to an invocation, and back.
//!
//! Source: `Invoke` in the AWS Lambda API reference.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, Version};

use super::web_pages::WebPages;
use crate::backend::Backends;
use crate::callers::Callers;
use crate::console::Replay;
use crate::invocation::RequestId;
use crate::invoke_api::body::{self, ResponseBody};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::invoke_api::request::{
    InvokeRequest, RequestBody, address, in_header, invocation_type, log_type,
};
use crate::net::Interface;
use crate::observation::{Observation, Observer};
use crate::recorder::{Begin, Record, Recording};
use crate::util::admit_line;
use lambda_api::limits::MAX_PAYLOAD_BYTES;

/// The longest time for which the body of a refused request is still read.
const SKIP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the Invoke API.
pub(crate) struct Ingress {
    /// The functions that callers can invoke.
    pub(crate) backends: Arc<Backends>,
    /// The recipient of what is observed of calls.
    pub(crate) observer: Arc<Observer>,
    /// The callers that may invoke functions. Without a list, everyone who can connect.
    pub(crate) callers: Option<Arc<Callers>>,
    /// Refuses the requests of web pages.
    pub(super) web_pages: WebPages,
}

impl Ingress {
    /// Responds to one request. An error becomes a response in AWS's own form. The observation of an invocation
    /// lasts until the response has been sent.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        interface: Interface,
    ) -> (Response<ResponseBody>, Option<Observation>) {
        // Created on first use, because responses from AWS have an id of their own.
        let request_id: LazyLock<RequestId> = LazyLock::new(RequestId::random);
        let (parts, body) = request.into_parts();
        let mut body = RequestBody::new(body);
        let is_http_1 = parts.version < Version::HTTP_2;
        let expects_continue = is_http_1 && parts.headers.contains_key(EXPECT);
        let mut observation = None;
        let invoked = match self.check_page(interface, &parts) {
            Ok(()) => {
                self.invoke(parts, &mut body, &request_id, &mut observation)
                    .await
            }
            Err(error) => Err(error),
        };
        let error = match invoked {
            Ok(response) => return (response, observation),
            Err(error) => error,
        };
        tracing::debug!(request_id = %*request_id, "request refused: {error:?}");
        let mut response = error.response();
        let headers = response.headers_mut();
        headers.insert(header::REQUEST_ID, request_id.header());
        let RequestBody {
            body, has_begun, ..
        } = body;
        let Some(body) = body else {
            return (response, observation);
        };
        // The caller holds back the body. Reading it would send `100 Continue`.
        let is_held_back = expects_continue && !has_begun;
        let is_abandoned = is_held_back || error == ServiceError::RequestTimeout;
        let is_huge = body.size_hint().lower() > 2 * MAX_PAYLOAD_BYTES as u64;
        // The rest of the body stays unread, so the connection cannot carry another request.
        if is_http_1 && (is_abandoned || is_huge) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // A caller that is still writing would lose the response if the connection closed.
        if !is_abandoned && !body.is_end_stream() {
            tokio::spawn(body::skip(body, SKIP_TIMEOUT));
        }
        (response, observation)
    }

    /// Invokes a function again, as a user of the console asks. Returns the id of the record.
    pub(super) fn replay(self: &Arc<Self>, record: &Record, replay: Replay) -> Option<u64> {
        let request_id: LazyLock<RequestId> = LazyLock::new(RequestId::random);
        let recording = self.observer.record(|| Begin {
            request_id: *request_id,
            address: &record.address,
            operation: record.operation,
            invocation_type: record.invocation_type,
            log_type: record.log_type,
            client_context: record.client_context.as_ref(),
            tenant_id: record.tenant_id.as_ref(),
            client_request: replay.client_request.as_ref(),
            replay_of: Some(replay.of),
            is_attempt: false,
        })?;
        let id = recording.id();
        let mut headers = HeaderMap::new();
        let invocation_type = HeaderValue::from_static(record.invocation_type.as_str());
        headers.insert(header::INVOCATION_TYPE, invocation_type);
        let log_type = HeaderValue::from_static(record.log_type.as_str());
        headers.insert(header::LOG_TYPE, log_type);
        let optional = [
            (header::CLIENT_CONTEXT, &record.client_context),
            (header::TENANT_ID, &record.tenant_id),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        let (operation, address) = (record.operation, (*record.address).clone());
        let ingress = Arc::clone(self);
        tokio::spawn(async move {
            let mut body = RequestBody::of_event(replay.event);
            body.recipient = Some(recording.recipient());
            let function = address.function.name();
            let observer = &ingress.observer;
            let mut observation = observer.call(function, &mut headers, Some(recording));
            let request = InvokeRequest {
                operation,
                address,
                headers,
                body: &mut body,
                request_id: &request_id,
                timeline: Arc::clone(observation.timeline()),
            };
            let result = ingress.backends.invoke(request).await;
            observation.respond(&result);
            let response = result.unwrap_or_else(|error| error.response());
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                if let Some(part) = frame.data_ref() {
                    observation.body(part);
                }
            }
            if body.is_end_stream() {
                observation.complete();
            }
        });
        Some(id)
    }

    /// Refuses a request that a web page may have sent.
    fn check_page(&self, interface: Interface, parts: &Parts) -> Result<(), ServiceError> {
        let checked = self.web_pages.check(interface, &parts.uri, &parts.headers);
        checked.map_err(|error| {
            if let Some(left_out) = admit_line!() {
                tracing::warn!("a request was refused: {error}{left_out}");
            }
            ServiceError::WebPage(error.to_string())
        })
    }

    async fn invoke(
        &self,
        mut parts: Parts,
        body: &mut RequestBody,
        request_id: &LazyLock<RequestId>,
        observation: &mut Option<Observation>,
    ) -> Result<Response<ResponseBody>, ServiceError> {
        // Before anything else, so that a refused caller learns nothing.
        let admitted = match &self.callers {
            Some(callers) => Some(callers.admit(&parts, body).await?),
            None => None,
        };
        parts.headers.remove(header::SECRET);
        let client_request = parts.headers.remove(header::CLIENT_REQUEST);
        if let Some(event) = in_header(&mut parts)? {
            body.event = Some(event);
        }
        let (operation, address) = address(&parts.uri, &mut parts.headers)?;
        if let Some(admitted) = admitted {
            admitted.may_invoke(address.function.name())?;
        }
        if parts.method != Method::POST {
            return Err(ServiceError::MethodNotAllowed);
        }
        let recording = self.observer.record(|| Begin {
            request_id: **request_id,
            address: &address,
            operation,
            invocation_type: invocation_type(&parts.headers).unwrap_or_default(),
            log_type: log_type(&parts.headers).unwrap_or_default(),
            client_context: parts.headers.get(header::CLIENT_CONTEXT),
            tenant_id: parts.headers.get(header::TENANT_ID),
            client_request: client_request.as_ref(),
            replay_of: None,
            is_attempt: false,
        });
        body.recipient = recording.as_ref().map(Recording::recipient);
        let name = address.function.name();
        let begun = self.observer.call(name, &mut parts.headers, recording);
        let observation = observation.insert(begun);
        let request = InvokeRequest {
            operation,
            address,
            headers: parts.headers,
            body,
            request_id,
            timeline: Arc::clone(observation.timeline()),
        };
        let result = self.backends.invoke(request).await;
        observation.respond(&result);
        result
    }
}
