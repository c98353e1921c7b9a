//! The event of an API Gateway REST API with Lambda proxy integration.
//!
//! Source: the API Gateway developer guide, *Lambda proxy integrations in API Gateway*, "Input
//! format of a Lambda function for proxy integration", and events recorded on AWS.

use super::body::Body;
use super::clf_time::clf_time;
use super::headers::{Added, ContentLength, EDGE, Headers, Rules};
use super::identity;
use super::query::Query;
use crate::config::Config;
use crate::config::path_template::{Parameters, TrailingSlash};
use crate::config::route_config::DEFAULT_STAGE;
use crate::encoding::json_writer::JsonWriter;
use crate::error::Error;
use crate::request::Request;
use crate::request::header_map::text;

/// The dropped headers were recorded on a regional REST API.
const REST_API: Rules = Rules {
    dropped: &[
        "content-md5",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "www-authenticate",
    ],
    content_length: ContentLength::Never,
    added: EDGE,
};

pub(super) fn write(
    json: &mut JsonWriter,
    request: &Request<'_>,
    config: &Config,
) -> Result<(), Error> {
    let path = own_path(request.path);
    let (resource, path_parameters) = resource(&request.method, path, config)?;
    let added = Added::new(request);
    let headers = Headers::new(request, &added, REST_API);
    let query = Query::decoded(request.query);
    // A REST API passes every body as text if it has no `binaryMediaTypes`, and garbles what is not UTF-8.
    // That is never text here.
    let body = Body::new(request, config, |_| true);
    json.object(|json| {
        json.key("resource").string(resource);
        json.key("path").string(&text(path));
        json.key("httpMethod").string(&request.method);
        headers.last(json.key("headers"), config.header_case);
        headers.arrays(json.key("multiValueHeaders"), config.header_case);
        if query.is_empty() {
            json.key("queryStringParameters").null();
            json.key("multiValueQueryStringParameters").null();
        } else {
            query.last(json.key("queryStringParameters"));
            query.arrays(json.key("multiValueQueryStringParameters"));
        }
        if path_parameters.is_empty() {
            json.key("pathParameters").null();
        } else {
            json.key("pathParameters").object(|json| {
                for (name, value) in &path_parameters {
                    json.name(name).string(&text(value));
                }
            });
        }
        json.key("stageVariables").null();
        context(json.key("requestContext"), request, config, resource);
        body.write(json.key("body"), JsonWriter::null);
        json.key("isBase64Encoded").boolean(body.is_base64());
    });
    Ok(())
}

/// Returns the path by which a REST API selects a resource. Of several slashes at its beginning only the
/// last counts. Slashes further on stay, and `requestContext.path` has all of them: recorded.
fn own_path(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    path.get(slashes.saturating_sub(1)..).unwrap_or(path)
}

/// Returns the configured resource with its parameters, or one of the catch-all pair `/` and
/// `/{proxy+}`.
fn resource<'a>(
    method: &str,
    path: &'a [u8],
    config: &'a Config,
) -> Result<(&'a str, Parameters<'a>), Error> {
    if let Some(resource) = &config.resource {
        let filled = resource.matches(method, path, TrailingSlash::Ignored);
        return Ok((resource.path(), filled.ok_or(Error::NoResource)?));
    }
    let path = path.strip_prefix(b"/").unwrap_or(path);
    match path.strip_suffix(b"/").unwrap_or(path) {
        b"" => Ok(("/", Parameters::new())),
        proxy => Ok(("/{proxy+}", vec![("proxy", proxy)])),
    }
}

fn context(json: &mut JsonWriter, request: &Request<'_>, config: &Config, resource: &str) {
    let attributes = request.attributes;
    json.object(|json| {
        json.key("accountId").string(&config.account_id);
        json.key("apiId").string(&config.api_id);
        identity::cognito_authorizer(json, attributes);
        json.key("deploymentId").string(&config.api_id);
        json.key("domainName").string(request.domain_name());
        json.key("domainPrefix").string(request.domain_prefix());
        json.key("extendedRequestId").string(&attributes.request_id);
        json.key("httpMethod").string(&request.method);
        json.key("identity").object(|json| caller(json, request));
        let path = text(request.path);
        match config.stage.as_str() {
            DEFAULT_STAGE => json.key("path").string(&path),
            stage => json.key("path").pieces(["/", stage, &path]),
        }
        json.key("protocol").string(&attributes.protocol);
        json.key("requestId").string(&attributes.request_id);
        json.key("requestTime")
            .string(&clf_time(attributes.time_ns));
        json.key("requestTimeEpoch")
            .integer(attributes.time_ns / 1_000_000);
        json.key("resourceId").string(&config.api_id);
        json.key("resourcePath").string(resource);
        json.key("stage").string(&config.stage);
    });
}

/// Writes the caller. The request is not signed, so everything that IAM and Cognito would know is
/// null.
fn caller(json: &mut JsonWriter, request: &Request<'_>) {
    for name in [
        "accessKey",
        "accountId",
        "caller",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
        "cognitoIdentityId",
        "cognitoIdentityPoolId",
        "principalOrgId",
    ] {
        json.key(name).null();
    }
    json.key("sourceIp").string(&request.attributes.source_ip);
    json.key("user").null();
    match request.header("user-agent") {
        Some(user_agent) => json.key("userAgent").string(&text(user_agent)),
        None => json.key("userAgent").null(),
    }
    json.key("userArn").null();
    identity::client_cert(json, request.attributes);
}
