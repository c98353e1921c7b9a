//! The event of an API Gateway HTTP API in payload format 2.0, and that of a Function URL, which has the
//! same schema.
//!
//! Sources: the API Gateway developer guide, *Create AWS Lambda proxy integrations for HTTP
//! APIs*; the Lambda developer guide, *Invoking Lambda function URLs*; events recorded on AWS.

use std::borrow::Cow;

use super::body::{Body, is_textual_in_utf8, is_textual_type};
use super::clf_time::clf_time;
use super::headers::{Added, ContentLength, EDGE, Headers, Rules};
use super::identity;
use super::query::{Query, percent_decoded};
use crate::config::Config;
use crate::config::path_template::{Parameters, TrailingSlash};
use crate::config::route_config::DEFAULT_STAGE;
use crate::encoding::json_writer::JsonWriter;
use crate::error::Error;
use crate::request::Request;
use crate::request::header_map::text;

/// An HTTP API moves the cookies out of the headers, and always has the length.
const HTTP_API: Rules = Rules {
    dropped: &["cookie"],
    content_length: ContentLength::Always,
    added: EDGE,
};

const FUNCTION_URL: Rules = Rules {
    dropped: &[],
    content_length: ContentLength::WithBody,
    added: EDGE,
};

/// The route key of a request that no other route takes.
const DEFAULT_ROUTE: &str = "$default";

/// The differences between the two services.
struct Service<'a> {
    rules: Rules,
    is_text: fn(&Request<'_>) -> bool,
    account_id: &'a str,
    stage: &'a str,
    route_key: &'a str,
    raw_path: Cow<'a, str>,
    /// The member `requestContext.http.path`, always decoded.
    path: Cow<'a, str>,
    path_parameters: Parameters<'a>,
    has_identity: bool,
}

pub(super) fn write_http_api(
    json: &mut JsonWriter,
    request: &Request<'_>,
    config: &Config,
) -> Result<(), Error> {
    let (route_key, path_parameters) = match &config.resource {
        None => (DEFAULT_ROUTE, Parameters::new()),
        Some(resource) => {
            let slash = TrailingSlash::Significant;
            let filled = resource.matches(&request.method, request.path, slash);
            (resource.route_key(), filled.ok_or(Error::NoResource)?)
        }
    };
    let path = staged(percent_decoded(request.path), &config.stage);
    let service = Service {
        rules: HTTP_API,
        is_text: is_textual_in_utf8,
        account_id: &config.account_id,
        stage: &config.stage,
        route_key,
        raw_path: Cow::Borrowed(&path),
        path: Cow::Borrowed(&path),
        path_parameters,
        has_identity: true,
    };
    write(json, request, config, &service);
    Ok(())
}

/// Writes the event of a Function URL, which has no stages, routes or authorizers, and keeps the path
/// as sent.
pub(super) fn write_function_url(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let service = Service {
        rules: FUNCTION_URL,
        is_text: is_textual_type,
        account_id: "anonymous",
        stage: DEFAULT_STAGE,
        route_key: DEFAULT_ROUTE,
        raw_path: text(request.path),
        path: percent_decoded(request.path),
        path_parameters: Parameters::new(),
        has_identity: false,
    };
    write(json, request, config, &service);
}

fn write(json: &mut JsonWriter, request: &Request<'_>, config: &Config, service: &Service<'_>) {
    let added = Added::new(request);
    let headers = Headers::new(request, &added, service.rules);
    let query = Query::decoded(request.query);
    let body = Body::new(request, config, service.is_text);
    json.object(|json| {
        json.key("version").string("2.0");
        json.key("routeKey").string(service.route_key);
        json.key("rawPath").string(&service.raw_path);
        json.key("rawQueryString")
            .string(&text(request.query.unwrap_or_default()));
        cookies(json, request);
        headers.joined(json.key("headers"), config.header_case, ",");
        if !query.is_empty() {
            query.joined(json.key("queryStringParameters"));
        }
        context(json.key("requestContext"), request, config, service);
        if !service.path_parameters.is_empty() {
            json.key("pathParameters").object(|json| {
                for (name, value) in &service.path_parameters {
                    json.name(name).string(&percent_decoded(value));
                }
            });
        }
        if !matches!(body, Body::Empty) {
            body.write(json.key("body"), |_| ());
        }
        json.key("isBase64Encoded").boolean(body.is_base64());
    });
}

/// Returns the path with a named stage as its first segment, as on the API's own host.
fn staged<'a>(path: Cow<'a, str>, stage: &str) -> Cow<'a, str> {
    let is_staged = || {
        let rest = path.strip_prefix('/')?.strip_prefix(stage)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(())
    };
    if stage == DEFAULT_STAGE || is_staged().is_some() {
        path
    } else {
        Cow::Owned(format!("/{stage}{path}"))
    }
}

/// Writes the member `cookies`, with one item for each cookie.
fn cookies(json: &mut JsonWriter, request: &Request<'_>) {
    let mut cookies = request.cookies().map(text).peekable();
    if cookies.peek().is_some() {
        json.key("cookies")
            .array(|json| cookies.for_each(|cookie| json.string(&cookie)));
    }
}

fn context(json: &mut JsonWriter, request: &Request<'_>, config: &Config, service: &Service<'_>) {
    let attributes = request.attributes;
    json.object(|json| {
        json.key("accountId").string(service.account_id);
        json.key("apiId").string(&config.api_id);
        if service.has_identity {
            identity::jwt_authorizer(json, attributes);
            identity::authentication(json, attributes);
        }
        json.key("domainName").string(request.domain_name());
        json.key("domainPrefix").string(request.domain_prefix());
        json.key("http").object(|json| {
            json.key("method").string(&request.method);
            json.key("path").string(&service.path);
            json.key("protocol").string(&attributes.protocol);
            json.key("sourceIp").string(&attributes.source_ip);
            let user_agent = request.header("user-agent").unwrap_or_default();
            json.key("userAgent").string(&text(user_agent));
        });
        json.key("requestId").string(&attributes.request_id);
        json.key("routeKey").string(service.route_key);
        json.key("stage").string(service.stage);
        json.key("time").string(&clf_time(attributes.time_ns));
        json.key("timeEpoch")
            .integer(attributes.time_ns / 1_000_000);
    });
}
