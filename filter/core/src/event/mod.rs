//! Encodes a request as the event of its function. Each format has a module.

mod alb;
mod apigateway_v1;
mod apigateway_v2;
mod body;
mod clf_time;
mod envoy;
mod headers;
mod identity;
mod query;
mod template;
mod vpc_lattice;

use crate::encoding::json;
use crate::encoding::json_writer::JsonWriter;

use crate::config::Config;
use crate::config::values::{BuiltInFormat, EventFormat};
use crate::error::Error;
use crate::request::Request;

/// The room for everything but headers, query and body, with which the buffer rarely grows.
const FIXED_PART: usize = 1536;

/// Returns the event for a request, as JSON.
///
/// # Errors
/// [`Error::EventTooLarge`], [`Error::NoResource`] if the request does not match the configured one, and
/// [`Error::NotJson`] or [`Error::NotForm`] if the body is in another form than the event needs.
pub fn encode(request: &Request<'_>, config: &Config) -> Result<Vec<u8>, Error> {
    append(Vec::new(), request, config)
}

/// Appends the event for a request to other bytes.
///
/// # Errors
/// Those of [`encode`].
pub(crate) fn append(
    mut before: Vec<u8>,
    request: &Request<'_>,
    config: &Config,
) -> Result<Vec<u8>, Error> {
    let limit = config.max_request_bytes;
    check_size(request.body.len(), limit)?;
    let start = before.len();
    before.reserve(estimated_size(request).min(limit));
    let mut json = JsonWriter::after(before);
    match &config.format {
        EventFormat::Template(template) => template::write(template, &mut json, request)?,
        EventFormat::BuiltIn(format) => write(&mut json, request, config, *format)?,
    }
    let bytes = json.into_bytes();
    check_size(bytes.len() - start, limit)?;
    Ok(bytes)
}

fn write(
    json: &mut JsonWriter,
    request: &Request<'_>,
    config: &Config,
    format: BuiltInFormat,
) -> Result<(), Error> {
    match format {
        BuiltInFormat::ApigatewayV1 => apigateway_v1::write(json, request, config)?,
        BuiltInFormat::ApigatewayV2 => apigateway_v2::write_http_api(json, request, config)?,
        BuiltInFormat::FunctionUrl => apigateway_v2::write_function_url(json, request, config),
        BuiltInFormat::Alb => alb::write(json, request, config, alb::Values::Single),
        BuiltInFormat::AlbMultiValue => alb::write(json, request, config, alb::Values::Multi),
        BuiltInFormat::VpcLatticeV1 => vpc_lattice::write_v1(json, request, config),
        BuiltInFormat::VpcLatticeV2 => vpc_lattice::write_v2(json, request, config),
        BuiltInFormat::Envoy => envoy::write(json, request, config),
        BuiltInFormat::Raw => raw(json, request)?,
    }
    Ok(())
}

/// Checks the size of an event.
///
/// # Errors
/// [`Error::EventTooLarge`].
pub(crate) fn check_size(found: usize, limit: usize) -> Result<(), Error> {
    if found > limit {
        return Err(Error::EventTooLarge { found, limit });
    }
    Ok(())
}

/// Writes the body as the event, and `{}` for a request without a body, as Lambda does.
fn raw(json: &mut JsonWriter, request: &Request<'_>) -> Result<(), Error> {
    match request.body.trim_ascii() {
        b"" => json.raw(b"{}"),
        body => {
            json::check(body).map_err(|error| Error::NotJson(error.to_string()))?;
            json.raw(body);
        }
    }
    Ok(())
}

fn estimated_size(request: &Request<'_>) -> usize {
    let headers = request.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
    let query = request.query.map_or(0, <[u8]>::len);
    let body = request.body.len() / 3 * 4 + 4;
    FIXED_PART + 2 * (headers + query + request.path.len()) + body
}
