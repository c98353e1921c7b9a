//! From what the upstream answered to the response that the client gets.

use lambda_api::{function_error, headers};

use super::contract;
use super::http_response::HttpResponse;
use super::invoke_response::InvokeResponse;
use super::payload::Answer;
use crate::config::Config;
use crate::config::values::{Contract, Invocation, Response};
use crate::encoding::shallow_json::ShallowJson;
use crate::encoding::surrogates;
use crate::error::Error;
use crate::request::header_map::text;

/// The response for what was answered.
///
/// # Errors
/// [`Error::Service`] if the function was not run, [`Error::Function`] if it failed, and
/// [`Error::Answer`] if its payload is not what the format's contract asks for.
pub fn decode(invoked: &InvokeResponse<'_>, config: &Config) -> Result<HttpResponse, Error> {
    let status = invoked.status();
    // Lambda says 202; an upstream without a queue runs the function and says 200.
    if config.invocation == Invocation::Event && matches!(status, 200 | 202) {
        return Ok(accepted());
    }
    let failed = || Error::Function {
        payload: invoked.body.to_vec(),
    };
    if invoked.header(headers::FUNCTION_ERROR).is_some() {
        return Err(failed());
    }
    let mut answer = Answer::parse(invoked.body);
    let mended = answer
        .is_err()
        .then(|| surrogates::replace_lone_surrogates(invoked.body))
        .flatten();
    if let Some(mended) = &mended {
        answer = Answer::parse(mended);
    }
    if invoked.is_from_emulator() && is_emulated_error(&answer, invoked.body) {
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
    let answer = answer.map_err(|error| Error::Answer(format!("it is not JSON: {error}")))?;
    let payload = invoked.body;
    if config.response == Response::Raw {
        return Ok(contract::raw(payload));
    }
    match config.format.contract() {
        Contract::RestApi => contract::rest_api(answer),
        Contract::HttpApi => contract::http_api(answer, payload),
        Contract::FunctionUrl => contract::function_url(answer, payload),
        Contract::LoadBalancer => contract::load_balancer(answer),
        Contract::VpcLattice => contract::vpc_lattice(answer),
        Contract::Envoy => contract::envoy(answer),
        Contract::Raw => Ok(contract::raw(payload)),
    }
}

/// The event is queued.
fn accepted() -> HttpResponse {
    HttpResponse {
        status: 202,
        headers: Vec::new(),
        body: Vec::new(),
        declared_length: None,
    }
}

/// After how many seconds to try again. Lambda says so in the header, and by the API reference in
/// the body too; a client that is throttled is always told.
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

/// `Task timed out after 3.00 seconds` is the emulator's own text; the rest is the runtime's.
fn is_emulated_error(answer: &Result<Answer<'_>, String>, body: &[u8]) -> bool {
    match answer {
        Ok(answer) => answer.is_error(),
        Err(_) => function_error::is_timeout(body),
    }
}
