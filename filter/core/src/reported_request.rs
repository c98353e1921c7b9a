//! A client's request as the filter has reported it, with the events and the responses that the filter makes of it.
//!
//! The invoker's console uses it, so that what it shows is made by the same code as in Envoy.

use lambda_api::client_request::{self, ClientRequestError, Facts, Writer};
use lambda_api::headers::ENVOY_REQUEST_ID;
use serde_json::{Map, Value};

use crate::config::values::{BuiltInFormat, Choice, EventFormat, Invocation};
use crate::config::{Config, Problems, Settings};
use crate::encoding::{base64, json, json_writer};
use crate::error::Error;
use crate::event;
use crate::exchange::content_length;
use crate::request::header_map::{first, text};
use crate::request::{ClientCert, HeaderMap, Request, RequestAttributes, trace_of};
use crate::response::http_response::has_content;
use crate::response::{
    HttpResponse, InvokeResponse, StreamedResponse, decode, error_response, ids,
};

/// A client's request without its body.
#[derive(Debug, Clone)]
pub struct ReportedRequest {
    /// The headers that events are made from, with the method and the target as pseudo-headers.
    pub headers: HeaderMap,
    /// The attributes that are not in the headers.
    pub attributes: RequestAttributes,
    /// Something was too long to be reported.
    pub is_cut: bool,
    certificate: String,
    settings: Map<String, Value>,
}

/// The HTTP response that the filter makes of the upstream's.
#[derive(Debug)]
pub struct DecodedResponse {
    /// The response that the client gets. Its headers include `content-length`.
    pub response: HttpResponse,
    /// The reason why the client gets an error, or the beginning of a response only.
    pub error: Option<Error>,
}

/// The upstream's response to an invocation.
#[derive(Debug)]
pub struct UpstreamResponse<'a> {
    /// The headers, with `:status`.
    pub headers: &'a HeaderMap,
    /// The pieces of the body, as they came.
    pub body: &'a [&'a [u8]],
    /// The body has come to its end, and all of it is here.
    pub is_whole: bool,
}

impl ReportedRequest {
    /// Reads the value of the header [`CLIENT_REQUEST`](lambda_api::headers::CLIENT_REQUEST).
    ///
    /// # Errors
    /// A value that is no report.
    pub fn read(value: &[u8]) -> Result<Self, ClientRequestError> {
        let report = client_request::read(value)?;
        let string = |bytes: &[u8]| text(bytes).into_owned();
        let object = |bytes: &[u8]| match json::parse(bytes) {
            Ok(Value::Object(fields)) => Some(fields),
            _ => None,
        };
        let headers = report.headers.iter();
        let headers = headers.map(|(name, value)| (string(name), value.clone()));
        let headers: HeaderMap = headers.collect();
        let certificate = string(&report.certificate);
        let forwarded =
            first(&headers, "x-forwarded-client-cert").filter(|_| !certificate.is_empty());
        let client_cert =
            forwarded.and_then(|value| ClientCert::from_forwarded(&text(value), &certificate));
        Ok(Self {
            attributes: RequestAttributes {
                source_ip: string(&report.source_ip),
                protocol: string(&report.protocol),
                request_id: string(first(&headers, ENVOY_REQUEST_ID).unwrap_or_default()),
                time_ns: report.time_ns,
                claims: object(&report.claims),
                client_cert,
            },
            headers,
            is_cut: report.is_cut,
            certificate,
            settings: object(&report.settings).unwrap_or_default(),
        })
    }

    /// Returns a request of which nothing is known, for an invocation without a report. Its event and its response are
    /// any JSON.
    #[must_use]
    pub fn unknown(function: &str, invocation: &str) -> Self {
        let mut settings = Map::new();
        for (key, value) in [
            ("function", function),
            ("payload", "raw"),
            ("invocation", invocation),
        ] {
            settings.insert(key.to_owned(), value.into());
        }
        Self {
            headers: HeaderMap::new(),
            attributes: RequestAttributes::default(),
            is_cut: false,
            certificate: String::new(),
            settings,
        }
    }

    /// Returns the same request with other headers, as one of its own at `time_ns`.
    #[must_use]
    pub fn with_headers(&self, headers: HeaderMap, time_ns: i64) -> Self {
        let request_id = first(&headers, ENVOY_REQUEST_ID).map(text);
        Self {
            attributes: RequestAttributes {
                time_ns,
                request_id: request_id.unwrap_or_default().into_owned(),
                ..self.attributes.clone()
            },
            headers,
            is_cut: false,
            ..self.clone()
        }
    }

    /// Returns the value from which [`read`](Self::read) reads this request.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let claims = self.attributes.claims.clone().map(Value::Object);
        let claims = claims.as_ref().map(json_writer::to_text);
        let mut writer = Writer::new(&Facts {
            time_ns: self.attributes.time_ns,
            source_ip: self.attributes.source_ip.as_bytes(),
            protocol: self.attributes.protocol.as_bytes(),
            certificate: self.certificate.as_bytes(),
            claims: claims.unwrap_or_default().as_bytes(),
            settings: json_writer::to_text(&Value::Object(self.settings.clone())).as_bytes(),
        });
        for (name, value) in &self.headers {
            writer.header(name.as_bytes(), value);
        }
        writer.finish()
    }

    /// Returns the first value of a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        first(&self.headers, name).map(|value| text(value).into_owned())
    }

    /// Returns the names of all event formats in which the request can be shown.
    #[must_use]
    pub fn formats() -> Vec<&'static str> {
        let names = EventFormat::<()>::NAMES
            .iter()
            .zip(EventFormat::<()>::VALUES);
        let names = names.filter(|(_, format)| matches!(format, EventFormat::BuiltIn(_)));
        names.map(|(name, _)| *name).collect()
    }

    /// Returns the name of the format of the route's events.
    #[must_use]
    pub fn format(&self) -> &str {
        let payload = self.settings.get("payload").and_then(Value::as_str);
        payload.unwrap_or("apigateway-v2")
    }

    /// Returns the configuration of the route, or that with another event format.
    ///
    /// # Errors
    /// Settings that were not reported, because they are too long, and a format that does not exist.
    pub fn config(&self, format: Option<&str>) -> Result<Config, Problems> {
        let mut settings = self.settings.clone();
        if let Some(format) = format.filter(|format| *format != self.format()) {
            settings.remove("template");
            settings.insert("payload".to_owned(), format.into());
        }
        Settings::parse(&settings)?.into_config()
    }

    /// Returns the body of the request, which is in its event. Returns `None` if the event does not show it.
    #[must_use]
    pub fn body(&self, event: &[u8]) -> Option<Vec<u8>> {
        let config = self.config(None).ok()?;
        if config.format == EventFormat::BuiltIn(BuiltInFormat::Raw) {
            // Lambda's event for a request without a body.
            let has_length = first(&self.headers, "content-length").is_some();
            let is_empty = event == b"{}" && !has_length;
            return Some(if is_empty { Vec::new() } else { event.to_vec() });
        }
        if matches!(config.format, EventFormat::Template(_)) {
            return None;
        }
        let event = json::parse(event).ok()?;
        let body = match event.get("body") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(body) => body.as_str()?,
        };
        let names = ["isBase64Encoded", "is_base64_encoded"];
        let mut flags = names.iter().filter_map(|name| event.get(name)?.as_bool());
        match flags.next() {
            Some(true) => base64::decode(body.as_bytes()).ok(),
            _ => Some(body.into()),
        }
    }

    /// Returns the event of the request.
    ///
    /// # Errors
    /// Those of [`event::encode`].
    pub fn event(&self, config: &Config, body: &[u8]) -> Result<Vec<u8>, Error> {
        let strip_prefix = config.strip_prefix.as_deref();
        let request = Request::new(&self.headers, strip_prefix, &self.attributes, body);
        event::encode(&request.ok_or(Error::NoPath)?, config)
    }

    /// Returns the response that the client gets.
    #[must_use]
    pub fn response(&self, upstream: &UpstreamResponse<'_>, config: &Config) -> DecodedResponse {
        let is_ok = first(upstream.headers, ":status") == Some(b"200");
        let (mut response, error) = match config.invocation {
            Invocation::ResponseStream if is_ok => streamed(upstream, config),
            _ => whole(upstream, config),
        };
        if config.expose_ids {
            let sent = trace_of(&self.headers, &self.attributes);
            ids::add(&mut response, upstream.headers, sent.xray());
        }
        let is_head = first(&self.headers, ":method") == Some(b"HEAD");
        let is_begun = config.invocation == Invocation::ResponseStream && is_ok && !is_head;
        if !is_begun && let Some(length) = content_length(&response, response.body.len(), is_head) {
            let length = ("content-length".to_owned(), length.to_string());
            response.headers.push(length);
        }
        if is_head || !has_content(response.status) {
            response.body = Vec::new();
        }
        DecodedResponse { response, error }
    }
}

fn whole(upstream: &UpstreamResponse<'_>, config: &Config) -> (HttpResponse, Option<Error>) {
    let (headers, body) = (upstream.headers, &upstream.body.concat());
    match decode(&InvokeResponse { headers, body }, config) {
        Ok(response) => (response, None),
        Err(error) => (error_response(&error, Some(config)), Some(error)),
    }
}

/// Returns the response as far as it has come. An error after its beginning cuts it.
fn streamed(upstream: &UpstreamResponse<'_>, config: &Config) -> (HttpResponse, Option<Error>) {
    let fail = |error: Error| (error_response(&error, Some(config)), Some(error));
    let mut stream = StreamedResponse::new(upstream.headers, config);
    let mut begun: Option<HttpResponse> = None;
    let mut held = Vec::new();
    let mut is_framed = None;
    for piece in upstream.body {
        held.extend_from_slice(piece);
        is_framed = is_framed.or_else(|| stream.is_framed(&held));
        match is_framed {
            None => continue,
            // Emulators do not stream.
            Some(false) => return whole(upstream, config),
            Some(true) => {}
        }
        let mut bytes = std::mem::take(&mut held);
        match &mut begun {
            Some(response) => match stream.next(&mut bytes) {
                Ok(()) => response.body.append(&mut bytes),
                Err(error) => return (begun.unwrap_or_else(empty), Some(error)),
            },
            None => match stream.start(bytes) {
                Ok(response) => begun = response,
                Err(error) => return fail(error),
            },
        }
    }
    match begun {
        Some(response) if upstream.is_whole => (response, stream.complete().err()),
        Some(response) => (response, None),
        None if upstream.is_whole && is_framed == Some(true) => {
            let finished = stream.finish(Vec::new(), upstream.headers, config);
            finished.map_or_else(fail, |response| (response, None))
        }
        None if upstream.is_whole => whole(upstream, config),
        None => (empty(), None),
    }
}

fn empty() -> HttpResponse {
    HttpResponse {
        status: 200,
        headers: Vec::new(),
        body: Vec::new(),
        declared_length: None,
    }
}
