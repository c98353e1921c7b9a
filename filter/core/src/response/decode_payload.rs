//! Decodes a payload that the parser has read.

use lambda_api::{function_error, headers};

use super::contract;
use super::http_response::HttpResponse;
use super::invoke_response::InvokeResponse;
use super::payload::FunctionPayload;
use crate::config::Config;
use crate::config::values::{BuiltInFormat, Contract, EventFormat, Invocation, Response};
use crate::encoding::json::JsonError;
use crate::encoding::shallow_json::ShallowJson;
use crate::error::Error;
use crate::request::header_map::text;

/// Returns the client's response to an invocation with this payload.
///
/// # Errors
/// Those of [`decode`](super::decode).
pub(super) fn decode_payload(
    payload: Result<FunctionPayload<'_>, JsonError>,
    invoked: &InvokeResponse<'_>,
    config: &Config,
) -> Result<HttpResponse, Error> {
    let status = invoked.status();
    // Lambda responds 202. An upstream without a queue runs the function and responds 200.
    if config.invocation == Invocation::Event && matches!(status, 200 | 202) {
        return Ok(accepted());
    }
    let failed = || Error::Function {
        payload: invoked.body.to_vec(),
    };
    if invoked.header(headers::FUNCTION_ERROR).is_some() {
        return Err(failed());
    }
    if invoked.is_from_emulator() && is_emulated_error(&payload, invoked.body) {
        return Err(failed());
    }
    if status != 200 {
        let kind = invoked.header(headers::ERROR_TYPE).unwrap_or_default();
        let kind = kind.split(|&byte| byte == b':').next().unwrap_or_default();
        return Err(Error::Service {
            status,
            kind: String::from_utf8_lossy(kind).into_owned(),
            retry_after: retry_after(status, invoked),
        });
    }
    let payload =
        payload.map_err(|error| Error::InvalidResponse(format!("it is not JSON: {error}")))?;
    let bytes = invoked.body;
    if config.response == Response::Raw {
        return Ok(contract::raw(bytes));
    }
    match config.format.contract() {
        Contract::RestApi => contract::rest_api(payload),
        Contract::HttpApi => contract::http_api(payload, bytes),
        Contract::FunctionUrl => contract::function_url(payload, bytes),
        Contract::LoadBalancer => {
            let multi_value = EventFormat::BuiltIn(BuiltInFormat::AlbMultiValue);
            contract::load_balancer(payload, config.format == multi_value)
        }
        Contract::VpcLattice => contract::vpc_lattice(payload),
        Contract::Envoy => contract::envoy(payload),
        Contract::Raw => Ok(contract::raw(bytes)),
    }
}

/// Returns the response to an event that is queued.
fn accepted() -> HttpResponse {
    HttpResponse {
        status: 202,
        headers: Vec::new(),
        body: Vec::new(),
        declared_length: None,
    }
}

/// Returns the seconds after which the client may try again. They are in the header or, by the Lambda
/// API reference, in the body. A throttled client always gets a number.
fn retry_after(status: u16, invoked: &InvokeResponse<'_>) -> Option<String> {
    let header = invoked.header("retry-after");
    if header.is_some() || status != 429 {
        return header.map(|value| text(value).into_owned());
    }
    let body = ShallowJson::parse(invoked.body).ok();
    let seconds = match body
        .as_ref()
        .and_then(|body| body.member("retryAfterSeconds"))
    {
        Some(ShallowJson::Integer(seconds)) => u64::try_from(*seconds).ok(),
        Some(ShallowJson::Text(text)) => text.parse().ok(),
        _ => None,
    };
    Some(seconds.unwrap_or(1).to_string())
}

/// Returns whether an emulator's response, which has no header for it, is a function error.
fn is_emulated_error(payload: &Result<FunctionPayload<'_>, JsonError>, body: &[u8]) -> bool {
    match payload {
        Ok(payload) => payload.is_function_error(),
        Err(_) => function_error::is_timeout(body),
    }
}
