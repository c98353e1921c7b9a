//! The configuration of one route, merged from all levels and complete.

use lambda_api::limits::{MAX_ASYNC_EVENT_BYTES, MAX_PAYLOAD_BYTES};
use lambda_api::{ACCOUNT_ID, FunctionReference, Operation};

use super::error::Problems;
use super::keys::Settings;
use super::path_template::PathTemplate;
use super::values::{BodylessEvent, Format, HeaderCase, Invocation, MediaRange, Payload, Response};

/// The configuration of one route, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The function's name, partial ARN or full ARN.
    pub(crate) function: FunctionReference,
    /// The path and query of its invocation, with its alias or version.
    pub(crate) invoke_path: String,
    /// The event's format.
    pub(crate) payload: Payload,
    /// How the function is invoked.
    pub(crate) invocation: Invocation,
    /// `requestContext.stage`.
    pub(crate) stage: String,
    /// `requestContext.accountId`.
    pub(crate) account_id: String,
    /// `requestContext.apiId`.
    pub(crate) api_id: String,
    /// The path template that fills `resource`, `routeKey` and `pathParameters`.
    pub(crate) resource: Option<PathTemplate>,
    /// Removed from the path before the event is made: `/py` makes `/py/hi` into `/hi`.
    pub(crate) strip_prefix: Option<String>,
    /// What travels in base64; by the format's own rule if not set.
    pub(crate) binary_media_types: Option<Vec<MediaRange>>,
    /// The spelling of header names in the event.
    pub(crate) header_case: HeaderCase,
    /// How the function's answer becomes a response.
    pub(crate) response: Response,
    /// The largest event, encoded, in bytes.
    pub(crate) max_request_bytes: usize,
    /// Where the event of a request without a body goes.
    pub(crate) bodyless_event: BodylessEvent,
    /// Whether the client sees a function's own error.
    pub(crate) expose_errors: bool,
}

impl Config {
    /// Returns the region in the function's ARN; `us-east-1` if it names none.
    pub(crate) fn region(&self) -> &str {
        self.function.region().unwrap_or("us-east-1")
    }
}

impl Settings {
    /// What all levels together say.
    ///
    /// # Errors
    /// A key that is required and absent, or two that exclude each other.
    pub fn into_config(self) -> Result<Config, Problems> {
        let Some(function) = self.function else {
            return Err(Problems::one(
                "function",
                "required; name the function in the metadata (namespace `lambda`) of the route, \
                 virtual host or cluster, or in the plugin's configuration",
            ));
        };
        if function.qualifier().is_some() && self.qualifier.is_some() {
            return Err(Problems::one(
                "qualifier",
                "given twice: `function` ends in a qualifier already; leave one of them out",
            ));
        }
        let format = self.payload.unwrap_or(Format::ApigatewayV2);
        let payload = match (format, self.template) {
            (Format::Template, Some(template)) => Payload::Template(template),
            (Format::Template, None) => {
                return Err(Problems::one("template", "required by `payload: template`"));
            }
            (_, Some(_)) => {
                return Err(Problems::one(
                    "template",
                    "goes with `payload: template` only",
                ));
            }
            (Format::ApigatewayV1, None) => Payload::ApigatewayV1,
            (Format::ApigatewayV2, None) => Payload::ApigatewayV2,
            (Format::Alb, None) => Payload::Alb,
            (Format::AlbMultiValue, None) => Payload::AlbMultiValue,
            (Format::VpcLatticeV1, None) => Payload::VpcLatticeV1,
            (Format::VpcLatticeV2, None) => Payload::VpcLatticeV2,
            (Format::FunctionUrl, None) => Payload::FunctionUrl,
            (Format::Envoy, None) => Payload::Envoy,
            (Format::Raw, None) => Payload::Raw,
        };
        let invocation = self.invocation.unwrap_or(Invocation::RequestResponse);
        let response = self.response.unwrap_or(Response::Auto);
        let is_event = invocation == Invocation::Event;
        if is_event && response == Response::Raw {
            return Err(Problems::one(
                "response",
                "`raw` does not go with `invocation: event`, whose answer is always 202 without a \
                 body; leave `response` out, or set it to `auto`",
            ));
        }
        let max_request_bytes = self.max_request_bytes.unwrap_or(MAX_PAYLOAD_BYTES);
        let is_rest = payload == Payload::ApigatewayV1;
        let stage = if is_rest { "prod" } else { "$default" };
        let header_case = if is_rest {
            HeaderCase::Train
        } else {
            HeaderCase::Lower
        };
        let qualifier = self.qualifier.as_ref();
        let operation = match invocation {
            Invocation::RequestResponse | Invocation::Event => Operation::Invoke,
            Invocation::ResponseStream => Operation::InvokeWithResponseStream,
        };
        let invoke_path = operation.path_and_query(&function, qualifier);
        Ok(Config {
            function,
            invoke_path,
            payload,
            invocation,
            stage: self.stage.unwrap_or_else(|| stage.to_owned()),
            account_id: self.account_id.unwrap_or_else(|| ACCOUNT_ID.to_owned()),
            api_id: self.api_id.unwrap_or_else(|| "lambda-mesh".to_owned()),
            resource: self.resource,
            strip_prefix: self.strip_prefix,
            binary_media_types: self.binary_media_types,
            header_case: self.header_case.unwrap_or(header_case),
            response,
            max_request_bytes: if is_event {
                max_request_bytes.min(MAX_ASYNC_EVENT_BYTES)
            } else {
                max_request_bytes
            },
            bodyless_event: self.bodyless_event.unwrap_or(BodylessEvent::Body),
            expose_errors: self.expose_errors.unwrap_or(false),
        })
    }
}
