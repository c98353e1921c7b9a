//! Decodes a response that is whole.

use lambda_api::headers;

use super::around_body;
use super::decode_payload::decode_payload;
use super::http_response::HttpResponse;
use super::invoke_response::InvokeResponse;
use super::payload::FunctionPayload;
use crate::config::Config;
use crate::config::values::{Contract, Invocation, Response};
use crate::encoding::surrogates::replace_lone_surrogates;
use crate::error::Error;
use crate::request::HeaderMap;
use crate::request::header_map::first;

/// Returns the client's response to an invocation.
///
/// # Errors
/// [`Error::Service`] if the function did not run, [`Error::Function`] if it failed, and
/// [`Error::InvalidResponse`] if its payload breaks the format's contract.
pub fn decode(invoked: &InvokeResponse<'_>, config: &Config) -> Result<HttpResponse, Error> {
    if has_body(invoked.headers, config)
        && let Some(response) = around_body::decode_body(invoked, config)
    {
        return Ok(response);
    }
    let mut repaired = None;
    let mut payload = FunctionPayload::parse(invoked.body);
    if payload.is_err() {
        repaired = replace_lone_surrogates(invoked.body);
    }
    if let Some(text) = &repaired {
        payload = FunctionPayload::parse(text);
    }
    decode_payload(payload, invoked, config)
}

/// Returns whether the body of a response is a member of its payload, if the payload is a response.
pub(crate) fn has_body(headers: &HeaderMap, config: &Config) -> bool {
    config.invocation != Invocation::Event
        && config.response != Response::Raw
        && config.format.contract() != Contract::Raw
        && first(headers, ":status") == Some(b"200")
        && first(headers, headers::FUNCTION_ERROR).is_none()
}
