//! The contracts: what each service makes of a function's payload. They are as strict as the
//! service.
//!
//! Sources: the developer guides of API Gateway (*Output format of a Lambda function for proxy
//! integration*; *Lambda function response for format 2.0*), of Lambda (*Response payload
//! format* of Function URLs), of Elastic Load Balancing (*Respond to the load balancer*) and of
//! VPC Lattice (*Respond to the VPC Lattice service*); `aws_lambda_filter.cc` of Envoy; and
//! responses recorded on AWS.

use super::body::{compact, decode, is_text_or_null};
use super::headers::{Headers, Values, invalid, map};
use super::http_response::{HttpResponse, has_content};
use super::payload::{FunctionPayload, ResponseMembers};
use crate::encoding::shallow_json::ShallowJson;
use crate::error::Error;

/// The content type of bytes.
pub(super) const BYTES: &str = "application/octet-stream";

const JSON: &str = "application/json";

/// API Gateway REST API: an object without unknown members. The default content type is JSON. The flag of
/// base64 may be a text, and has two names: by the trials that the AWS SAM CLI records (`get_base64_encoded`).
pub(super) fn rest_api(payload: FunctionPayload<'_>) -> Result<HttpResponse, Error> {
    let members = object(payload)?;
    let foreign = [
        ("cookies", &members.cookies),
        ("statusDescription", &members.status_description),
        ("status_code", &members.status_code_snake),
        ("is_base64_encoded", &members.is_base64_encoded_snake),
    ];
    let is_given = |node: &Option<ShallowJson<'_>>| !matches!(node, None | Some(ShallowJson::Null));
    let foreign = foreign.into_iter().find(|(_, node)| is_given(node));
    if let Some(name) = members.unknown.as_deref().or(foreign.map(|(name, _)| name)) {
        return invalid(format!("it has the unknown member `{name}`"));
    }
    let (status, headers) = status_and_both_maps(&members, Values::Scalars)?;
    let is_base64 = if is_given(&members.base64_encoded) {
        &members.base64_encoded
    } else {
        &members.is_base64_encoded
    };
    let is_base64 = match is_base64.as_ref() {
        Some(ShallowJson::Text(text)) if matches!(&**text, "true" | "True") => {
            Some(&ShallowJson::Bool(true))
        }
        Some(ShallowJson::Text(text)) if matches!(&**text, "false" | "False") => None,
        flag => flag,
    };
    let body = decode(members.body, is_base64)?;
    // By a null, ASP.NET on Lambda keeps the default from being added.
    let default = (!headers.has_null_type).then_some(JSON);
    Ok(typed(status, headers, body, default))
}

/// API Gateway HTTP API: a payload without `statusCode` is the body.
pub(super) fn http_api(payload: FunctionPayload<'_>, bytes: &[u8]) -> Result<HttpResponse, Error> {
    let members = match payload {
        FunctionPayload::Object(members) if members.status_code.is_some() => members,
        FunctionPayload::Text(text) => return Ok(inferred(text.into_owned().into_bytes())),
        FunctionPayload::Object(_) | FunctionPayload::Other => return Ok(inferred(bytes.to_vec())),
    };
    let (status, headers) = status_headers_cookies(&members)?;
    let body = decode(members.body, members.is_base64_encoded.as_ref())?;
    // An empty body has no type.
    let default = (!body.is_empty()).then_some("text/plain; charset=utf-8");
    Ok(typed(status, headers, body, default))
}

/// Lambda Function URL: as an HTTP API, but JSON is written anew, also in `body`.
pub(super) fn function_url(
    payload: FunctionPayload<'_>,
    bytes: &[u8],
) -> Result<HttpResponse, Error> {
    let members = match payload {
        FunctionPayload::Object(members) if members.status_code.is_some() => members,
        FunctionPayload::Text(text) => return Ok(inferred(text.into_owned().into_bytes())),
        FunctionPayload::Object(_) | FunctionPayload::Other => return Ok(inferred(compact(bytes))),
    };
    let (status, headers) = status_headers_cookies(&members)?;
    let body = match members.body {
        Some(json) if !is_text_or_null(json) => compact(json.as_bytes()),
        body => decode(body, members.is_base64_encoded.as_ref())?,
    };
    Ok(typed(status, headers, body, Some(JSON)))
}

/// Application Load Balancer: `statusCode` is a number, header values are strings, and no member is
/// null. Both maps of headers are read in both modes, because adapters mix them. That of the mode comes first, so
/// that its content type is used. The default content type is that of bytes: by reports of what clients got.
pub(super) fn load_balancer(
    payload: FunctionPayload<'_>,
    multi_first: bool,
) -> Result<HttpResponse, Error> {
    let members = object(payload)?;
    if members.body == Some("null") {
        return invalid("`body` is null");
    }
    if members.status_description == Some(ShallowJson::Null) {
        return invalid("`statusDescription` is null");
    }
    let multi = members.multi_value_headers.as_ref();
    let single = members.headers.as_ref();
    // Typed adapters (Go's) send the map of the other mode as null.
    if single == Some(&ShallowJson::Null) && multi.is_none_or(|multi| *multi == ShallowJson::Null) {
        return invalid("`headers` is null");
    }
    let mut headers = Headers::default();
    headers.add_both(
        map("multiValueHeaders", multi)?,
        map("headers", single)?,
        Values::Strings,
        multi_first,
    )?;
    let status = required_status(&members)?;
    let body = decode(members.body, members.is_base64_encoded.as_ref())?;
    Ok(typed(status, headers, body, Some(BYTES)))
}

/// VPC Lattice: as documented for both event versions. Lists and cookies are read too, because
/// adapters send them.
pub(super) fn vpc_lattice(payload: FunctionPayload<'_>) -> Result<HttpResponse, Error> {
    let members = object(payload)?;
    let mut headers = Headers::default();
    headers.add_multi(
        map("multiValueHeaders", members.multi_value_headers.as_ref())?,
        Values::Scalars,
    )?;
    headers.add_map(map("headers", members.headers.as_ref())?, Values::Lists)?;
    headers.add_cookies(members.cookies.as_ref())?;
    let status = required_status(&members)?;
    let body = decode(members.body, members.is_base64_encoded.as_ref())?;
    Ok(typed(status, headers, body, None))
}

/// Envoy's own filter: an object in snake case, or in camel case as the JSON mapping of protobuf has
/// it. Pseudo-headers are left out, not refused.
pub(super) fn envoy(payload: FunctionPayload<'_>) -> Result<HttpResponse, Error> {
    let members = object(payload)?;
    let mut headers = Headers::default();
    let given = map("headers", members.headers.as_ref())?;
    let real = given.iter().filter(|(name, _)| !name.starts_with(':'));
    headers.add_map(&real.cloned().collect::<Vec<_>>(), Values::Scalars)?;
    headers.add_cookies(members.cookies.as_ref())?;
    let status = match members
        .status_code_snake
        .as_ref()
        .or(members.status_code.as_ref())
    {
        None => 200,
        Some(status) => status_of(status)?,
    };
    let is_base64 = members.is_base64_encoded_snake.as_ref();
    let is_base64 = is_base64.or(members.is_base64_encoded.as_ref());
    let body = decode(members.body, is_base64)?;
    Ok(typed(status, headers, body, Some(JSON)))
}

/// The prelude of a streamed response: the default status is 200, and the default content type that of
/// bytes, as for a Function URL. AWS's Rust runtime (`MetadataPrelude`), and so the Lambda Web Adapter,
/// writes the values of a repeated header as an array.
///
/// Sources: `HttpResponseStream` of AWS's Node.js runtime, and *Lambda proxy integration format for
/// response streaming* of API Gateway.
pub(super) fn prelude(payload: FunctionPayload<'_>) -> Result<HttpResponse, Error> {
    let members = object(payload)?;
    let (status, mut headers) = status_and_both_maps(&members, Values::Lists)?;
    headers.add_cookies(members.cookies.as_ref())?;
    Ok(typed(status, headers, Vec::new(), Some(BYTES)))
}

/// No service: the payload is the body, unchanged.
pub(super) fn raw(bytes: &[u8]) -> HttpResponse {
    inferred(bytes.to_vec())
}

fn inferred(body: Vec<u8>) -> HttpResponse {
    typed(200, Headers::default(), body, Some(JSON))
}

fn typed(status: u16, mut headers: Headers, body: Vec<u8>, default: Option<&str>) -> HttpResponse {
    let has_content = has_content(status);
    if let Some(media_type) = default.filter(|_| has_content) {
        headers.set_default_type(media_type);
    }
    HttpResponse {
        status,
        declared_length: headers.declared_length,
        headers: headers.into_vec(),
        body: if has_content { body } else { Vec::new() },
    }
}

fn object(payload: FunctionPayload<'_>) -> Result<Box<ResponseMembers<'_>>, Error> {
    match payload {
        FunctionPayload::Object(members) => Ok(members),
        FunctionPayload::Text(_) | FunctionPayload::Other => invalid("it is not an object"),
    }
}

/// Returns the status, which is 200 by default, and the headers of both maps.
fn status_and_both_maps(
    members: &ResponseMembers<'_>,
    values: Values,
) -> Result<(u16, Headers), Error> {
    let mut headers = Headers::default();
    headers.add_both(
        map("multiValueHeaders", members.multi_value_headers.as_ref())?,
        map("headers", members.headers.as_ref())?,
        values,
        true,
    )?;
    let status = match &members.status_code {
        None => 200,
        Some(status) => status_of(status)?,
    };
    Ok((status, headers))
}

fn status_headers_cookies(members: &ResponseMembers<'_>) -> Result<(u16, Headers), Error> {
    let status = status_of(members.status_code.as_ref().unwrap_or(&ShallowJson::Null))?;
    let mut headers = Headers::default();
    headers.add_map(map("headers", members.headers.as_ref())?, Values::Lists)?;
    headers.add_cookies(members.cookies.as_ref())?;
    Ok((status, headers))
}

/// Reads a status: an integer or a numeric string. A status of 1xx is refused, because it would not
/// end the exchange.
fn status_of(node: &ShallowJson<'_>) -> Result<u16, Error> {
    let status = match node {
        ShallowJson::Integer(status) => u16::try_from(*status).ok(),
        ShallowJson::Text(text) => text.parse().ok(),
        _ => None,
    };
    match status {
        Some(status @ 200..=599) => Ok(status),
        _ => invalid("the status is not a whole number from 200 to 599"),
    }
}

fn required_status(members: &ResponseMembers<'_>) -> Result<u16, Error> {
    match &members.status_code {
        Some(status @ ShallowJson::Integer(_)) => status_of(status),
        Some(_) => invalid("`statusCode` is not a number"),
        None => invalid("it has no `statusCode`"),
    }
}
