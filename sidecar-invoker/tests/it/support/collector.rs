//! A stand-in for a collector of traces: it decodes what it gets with OpenTelemetry's own types.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

use super::eventually;

pub(crate) struct Collector {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    headers: Vec<HeaderMap>,
    resource: Vec<(String, Value)>,
    spans: Vec<Span>,
    /// The statuses of the next responses. Then all spans are taken.
    refusals: VecDeque<StatusCode>,
    /// The number of spans that each further response rejects.
    rejected: i64,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| respond(request, &state));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, state }
    }

    /// Returns the keys of the file that send spans here.
    pub(crate) fn keys(&self) -> String {
        format!("traces: {{ endpoint: '{}' }}", self.url)
    }

    pub(crate) fn refuse(&self, statuses: &[StatusCode]) {
        self.state.lock().unwrap().refusals.extend(statuses);
    }

    pub(crate) fn reject(&self, spans: i64) {
        self.state.lock().unwrap().rejected = spans;
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Waits until there are as many spans of invocations.
    pub(crate) async fn wait_for(&self, invocations: usize) -> Vec<Span> {
        eventually("spans", async || {
            let spans = self.spans();
            let roots = spans.iter().filter(|span| span.name == "invoke f").count();
            (roots >= invocations).then_some(spans)
        })
        .await
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.state.lock().unwrap().headers[0].clone()
    }

    pub(crate) fn resource(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().resource.clone()
    }
}

async fn respond(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    assert_eq!(
        (parts.method.as_str(), parts.uri.path()),
        ("POST", "/v1/traces")
    );
    assert_eq!(parts.headers["content-type"], "application/x-protobuf");
    let body = body.collect().await.unwrap().to_bytes();
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut state = state.lock().unwrap();
    state.headers.push(parts.headers);
    if let Some(status) = state.refusals.pop_front() {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        return Ok(response);
    }
    for resource in request.resource_spans {
        state.resource = attributes(&resource.resource.unwrap().attributes);
        for scope in resource.scope_spans {
            assert_eq!(scope.scope.unwrap().name, "lambda-mesh");
            state.spans.extend(scope.spans);
        }
    }
    let partial_success = (state.rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: state.rejected,
        error_message: "too old".to_owned(),
    });
    let response = ExportTraceServiceResponse { partial_success };
    Ok(Response::new(Full::from(response.encode_to_vec())))
}

/// Returns attributes by name.
pub(crate) fn attributes(attributes: &[KeyValue]) -> Vec<(String, Value)> {
    let pair = |attribute: &KeyValue| {
        let value = attribute.value.clone().unwrap().value.unwrap();
        (attribute.key.clone(), value)
    };
    let mut attributes: Vec<_> = attributes.iter().map(pair).collect();
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
    attributes
}

/// Returns a text as the value of an attribute.
pub(crate) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}
