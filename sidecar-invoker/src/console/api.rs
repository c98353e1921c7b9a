//! The API of the console: from a request to JSON.

use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use lambda_api::limits::MAX_PAYLOAD_BYTES;
use lambda_filter_core::ReportedRequest;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Console;
use super::access::AccessError;
use super::detail;
use super::message::Limit;
use super::page;
use super::replay;
use super::stream::{self, Cursor};
use super::view::View;
use crate::invoke_api::body::{ResponseBody, whole};
use crate::net::Interface;
use crate::recorder::Record;

/// The beginning of all paths of the console.
const PREFIX: &str = "/console";

/// Returns whether a path is one of the console's.
pub(crate) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix(PREFIX);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The largest request: a JSON text of an event in which each character is escaped.
const MAX_REQUEST_BYTES: usize = 2 * MAX_PAYLOAD_BYTES;
/// The longest time for a request to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";

/// The page may load nothing from elsewhere, and no other page may show it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The response to a request, or the status and a sentence.
type Answer = Result<Response<ResponseBody>, (StatusCode, String)>;

impl Console {
    /// Responds to a request that arrived on `interface`, and is not of another site's page.
    pub(crate) async fn respond(
        self: &Arc<Self>,
        request: Request<Incoming>,
        interface: Interface,
    ) -> Response<ResponseBody> {
        let answer = self.answer(request, interface).await;
        let mut response = answer.unwrap_or_else(|(status, sentence)| {
            let mut response = json_response(&json!({ "error": sentence }));
            *response.status_mut() = status;
            response
        });
        let is_unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_SECURITY_POLICY, POLICY);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(REFERRER_POLICY, "no-referrer");
        set(CACHE_CONTROL, "no-store");
        set(
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        );
        set(
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        );
        if is_unauthorized {
            set(WWW_AUTHENTICATE, "Bearer");
        }
        response
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>, interface: Interface) -> Answer {
        let path = request.uri().path().to_owned();
        let query = Query::of(request.uri().query());
        let path = path.strip_prefix(PREFIX).unwrap_or_default();
        if path.is_empty() {
            return Ok(redirect());
        }
        if let ("/", Some(token), true) = (path, query.get("token"), self.access.has_token()) {
            let cookie = self.access.cookie(&token).map_err(denied)?;
            let mut response = redirect();
            response.headers_mut().insert(SET_COOKIE, cookie);
            return Ok(response);
        }
        self.access
            .check(interface, request.headers())
            .map_err(denied)?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path.strip_prefix("/api/") {
            Some(path) => self.api(path, request, &query).await,
            None => page::file(path)
                .filter(|_| is_read)
                .map(asset)
                .ok_or_else(|| not_found("there is no such page; the console is at /console/")),
        }
    }

    async fn api(
        self: &Arc<Self>,
        path: &str,
        request: Request<Incoming>,
        query: &Query,
    ) -> Answer {
        let method = request.method().clone();
        let is_read = matches!(method, Method::GET | Method::HEAD);
        if !is_read {
            let content_type = request.headers().get(CONTENT_TYPE);
            let content_type = content_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let essence = content_type.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case(JSON) {
                let sentence = "send `content-type: application/json`".to_owned();
                return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
            }
        }
        let words: Vec<_> = path.split('/').collect();
        match (words.as_slice(), &method) {
            (["invocations"], _) if is_read => self.in_background(Self::list).await,
            (["invocations"], &Method::DELETE) => {
                self.recorder.clear();
                Ok(json_response(&json!({})))
            }
            (["stream"], _) if is_read => self.stream(&request, query),
            (["functions"], _) if is_read => {
                Ok(json_response(&json!({ "functions": self.functions() })))
            }
            (["formats"], _) if is_read => Ok(json_response(&formats())),
            (["invocations", id, rest @ ..], _) => {
                let record = id.parse().ok().and_then(|id| self.recorder.find(id));
                let record =
                    record.ok_or_else(|| not_found("the invocation is not kept any more"))?;
                let is_revealed = query.is_true("reveal");
                match (rest, &method) {
                    ([], _) if is_read => {
                        let limit = match query.is_true("full") {
                            true => Limit::None,
                            false => Limit::Shown,
                        };
                        self.in_background(move |console| {
                            let backend = console.backend(&record);
                            detail::detail(&record, backend, &console.names, is_revealed, limit)
                        })
                        .await
                    }
                    (["event"], _) if is_read => {
                        let format = query.get("format");
                        self.in_background(move |console| {
                            console.event(&record, format.as_deref(), is_revealed)
                        })
                        .await
                    }
                    (["response"], _) if is_read => {
                        let contract = query.get("contract");
                        self.in_background(move |console| {
                            console.response(&record, contract.as_deref(), is_revealed)
                        })
                        .await
                    }
                    (["replay"], &Method::POST) => self.replay(record, request).await,
                    ([] | ["event" | "response" | "replay"], _) => Err(wrong_method()),
                    _ => Err(not_found("there is no such part of an invocation")),
                }
            }
            (["invocations" | "stream" | "functions" | "formats"], _) => Err(wrong_method()),
            _ => Err(not_found("there is no such path in the console's API")),
        }
    }

    /// Returns what `make` makes on a thread for long computations.
    async fn in_background(
        self: &Arc<Self>,
        make: impl FnOnce(&Self) -> Value + Send + 'static,
    ) -> Answer {
        let console = Arc::clone(self);
        let made = spawn_blocking(move || json_response(&make(&console))).await;
        made.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    fn list(&self) -> Value {
        // Taken first: what changes after it comes in the stream.
        let cursor = Cursor::now(self);
        let (records, dropped) = self.recorder.all();
        let summaries = records.iter().map(|record| self.summary(record));
        let summaries = summaries.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        let summaries: Vec<_> = summaries.collect();
        json!({ "invocations": summaries, "dropped": dropped, "cursor": cursor.to_string() })
    }

    fn stream(self: &Arc<Self>, request: &Request<Incoming>, query: &Query) -> Answer {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let permit = permit.map_err(|_| {
            let sentence = "too many pages of the console are open; close one".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, sentence)
        })?;
        let last = request.headers().get("last-event-id");
        let last = last.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let after = last.or_else(|| query.get("after"));
        let after = after.and_then(|text| Cursor::parse(&text, self));
        let mut response = Response::new(stream::body(self, after, permit));
        let content_type = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(response)
    }

    /// Returns the request in another event format.
    fn event(&self, record: &Record, format: Option<&str>, is_revealed: bool) -> Value {
        let view = View::of(record);
        let secrets = detail::secrets(&view, &self.names, is_revealed);
        let event = (|| {
            if !view.has_request() {
                return Err(UNKNOWN_REQUEST.to_owned());
            }
            let event = view.event().cloned().unwrap_or_default();
            let body = view.request.body(&event).ok_or_else(|| {
                "the body of the request is not known, because the event of a template need not show it".to_owned()
            })?;
            let config = view
                .request
                .config(format)
                .map_err(|problems| problems.to_string())?;
            let event = view.request.event(&config, &body);
            event.map_err(|error| error.to_string())
        })();
        match event {
            Ok(event) => {
                let text = secrets.text(&String::from_utf8_lossy(&event));
                json!({ "event": text, "error": null })
            }
            Err(error) => json!({ "event": null, "error": secrets.text(&error) }),
        }
    }

    /// Returns the response of another contract to the function's payload.
    fn response(&self, record: &Record, contract: Option<&str>, is_revealed: bool) -> Value {
        let view = View::of(record);
        let secrets = detail::secrets(&view, &self.names, is_revealed);
        let is_known =
            contract.is_none_or(|contract| ReportedRequest::formats().contains(&contract));
        let error = |text: &str| json!({ "http_response": null, "error": text });
        if !is_known {
            return error("there is no such contract; GET /console/api/formats lists them");
        }
        match view.decode(contract) {
            Some(decoded) => json!({
                "http_response": detail::response(&decoded, Limit::Shown, &secrets),
                "error": decoded.error.as_ref().map(|error| secrets.text(&error.to_string())),
            }),
            None => error("there is no response yet"),
        }
    }

    async fn replay(self: &Arc<Self>, record: Arc<Record>, request: Request<Incoming>) -> Answer {
        let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect();
        let broken = |error: String| {
            (
                StatusCode::BAD_REQUEST,
                format!("the request did not arrive: {error}"),
            )
        };
        let body = timeout(REQUEST_TIMEOUT, body).await;
        let body = body.unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()));
        let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
        let console = Arc::clone(self);
        let made = spawn_blocking(move || {
            let now = (console.clock)()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
            let view = View::of(&record);
            let secrets = detail::secrets(&view, &console.names, false);
            let replay = replay::replay(&view, &body, &secrets, now_ns);
            replay.map(|replay| (Arc::clone(&record), replay))
        });
        let made = made.await.map_err(|error| broken(error.to_string()))?;
        let (record, replay) =
            made.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let id = (self.replayer)(record, replay);
        Ok(json_response(&json!({ "id": id })))
    }
}

/// The sentence about an invocation that did not come through the filter.
const UNKNOWN_REQUEST: &str = "the HTTP request of this invocation is not known; it must come through Envoy, with the \
    filter's key `report_request`";

/// Returns the event formats and the contracts, each of which goes with a format.
fn formats() -> Value {
    let formats = ReportedRequest::formats();
    let list = |names: &mut dyn Iterator<Item = &&'static str>| -> Vec<Value> {
        names
            .map(|name| json!({ "name": name, "title": title(name) }))
            .collect()
    };
    // Both formats of the service have the contract of the first.
    let second = ["alb-multi-value", "vpc-lattice-v2"];
    let contracts: Vec<_> = list(&mut formats.iter().filter(|name| !second.contains(name)));
    json!({ "formats": list(&mut formats.iter()), "contracts": contracts })
}

/// Returns the name of a format for people.
fn title(format: &str) -> &str {
    match format {
        "apigateway-v1" => "API Gateway REST API",
        "apigateway-v2" => "API Gateway HTTP API",
        "function-url" => "Lambda Function URL",
        "alb" => "Application Load Balancer",
        "alb-multi-value" => "Application Load Balancer, multi-value headers",
        "vpc-lattice-v1" => "VPC Lattice, version 1",
        "vpc-lattice-v2" => "VPC Lattice, version 2",
        "envoy" => "Envoy's own aws_lambda filter",
        "raw" => "The body itself",
        other => other,
    }
}

/// The parameters of a request's target.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.iter();
        let (_, value) = pairs.find(|(known, _)| known == name)?;
        Some(value.clone())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true")
    }
}

fn asset(file: &page::File) -> Response<ResponseBody> {
    let mut response = Response::new(whole(file.text));
    let content_type = HeaderValue::from_static(file.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn json_response(value: &Value) -> Response<ResponseBody> {
    let mut response = Response::new(whole(value.to_string()));
    let content_type = HeaderValue::from_static(JSON);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Returns the redirect to the page.
fn redirect() -> Response<ResponseBody> {
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::SEE_OTHER;
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static("/console/"));
    response
}

fn denied(error: AccessError) -> (StatusCode, String) {
    let status = match error {
        AccessError::OtherMachine => StatusCode::FORBIDDEN,
        AccessError::NoToken | AccessError::WrongToken => StatusCode::UNAUTHORIZED,
    };
    (status, error.to_string())
}

fn not_found(sentence: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, sentence.to_owned())
}

fn wrong_method() -> (StatusCode, String) {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "the path has no such method".to_owned(),
    )
}
