//! The configuration of a route, merged from all levels and complete.

use std::rc::Rc;

use lambda_api::limits::{MAX_ASYNC_EVENT_BYTES, MAX_PAYLOAD_BYTES};
use lambda_api::{ACCOUNT_ID, FunctionReference, Operation};
use serde_json::Value;

use super::error::Problems;
use super::keys::Settings;
use super::resource::Resource;
use super::template::Template;
use super::values::{
    BodylessEvent, BuiltInFormat, EventFormat, HeaderCase, Invocation, MediaRange, Response, Secret,
};
use crate::encoding::json_writer;
use crate::metrics::FunctionMetrics;

/// The stage of an API that has no named one. It is no segment of any path.
pub(crate) const DEFAULT_STAGE: &str = "$default";

/// The configuration of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The function's name, partial ARN or full ARN.
    pub(crate) function: FunctionReference,
    /// The path and query of its invocation, with the qualifier.
    pub(crate) invoke_path: String,
    /// The event's format.
    pub(crate) format: EventFormat<Rc<Template>>,
    /// The way in which the function is invoked.
    pub(crate) invocation: Invocation,
    /// The member `requestContext.stage`.
    pub(crate) stage: String,
    /// The member `requestContext.accountId`.
    pub(crate) account_id: String,
    /// The member `requestContext.apiId`.
    pub(crate) api_id: String,
    /// The method and path template that fill `resource`, `routeKey` and `pathParameters`.
    pub(crate) resource: Option<Resource>,
    /// The prefix that is removed from the path: `/py` makes `/py/hi` into `/hi`.
    pub(crate) strip_prefix: Option<String>,
    /// The media types of bodies in base64; `None` for the format's own rule.
    pub(crate) binary_media_types: Option<Vec<MediaRange>>,
    /// The spelling of header names in the event.
    pub(crate) header_case: HeaderCase,
    /// The way from the function's response to that of the client.
    pub(crate) response: Response,
    /// The largest event, encoded, in bytes.
    pub(crate) max_request_bytes: usize,
    /// The place for the event of a request without a body.
    pub(crate) bodyless_event: BodylessEvent,
    /// The proof for the invoker that the filter makes the call.
    pub(crate) invoker_secret: Option<Secret>,
    /// The client sees a function's own error.
    pub(crate) expose_errors: bool,
    /// The client sees the ids of the invocation.
    pub(crate) expose_ids: bool,
    /// The function's figures.
    pub(crate) metrics: Rc<FunctionMetrics>,
    /// The keys as JSON, if the client's request is reported to the invoker.
    pub(crate) reported_settings: Option<String>,
}

impl Config {
    /// Returns the region in the function's ARN; `us-east-1` if it names none.
    pub(crate) fn region(&self) -> &str {
        self.function.region().unwrap_or("us-east-1")
    }

    /// Returns the partition in the function's ARN, to which the region belongs; `aws` if it names none.
    pub(crate) fn partition(&self) -> &str {
        self.function.partition().unwrap_or("aws")
    }
}

impl Settings {
    /// Returns the configuration that the settings of all levels make.
    ///
    /// # Errors
    /// A required key that is absent, or keys that exclude each other.
    pub fn into_config(self) -> Result<Config, Problems> {
        let reported_settings = match self.report_request {
            Some(true) => Some(json_writer::to_text(&Value::Object(self.given))),
            _ => None,
        };
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
        let default = EventFormat::BuiltIn(BuiltInFormat::ApigatewayV2);
        let format = match (self.payload.unwrap_or(default), self.template) {
            (EventFormat::BuiltIn(format), None) => EventFormat::BuiltIn(format),
            (EventFormat::Template(()), Some(template)) => EventFormat::Template(template),
            (EventFormat::Template(()), None) => {
                return Err(Problems::one("template", "required by `payload: template`"));
            }
            (EventFormat::BuiltIn(_), Some(_)) => {
                return Err(Problems::one(
                    "template",
                    "goes with `payload: template` only",
                ));
            }
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
        let max_request_bytes = self
            .max_request_bytes
            .map_or(MAX_PAYLOAD_BYTES, |bytes| bytes.0);
        let is_rest = format == EventFormat::BuiltIn(BuiltInFormat::ApigatewayV1);
        let has_ids = is_rest || format == EventFormat::BuiltIn(BuiltInFormat::FunctionUrl);
        let stage = if is_rest { "prod" } else { DEFAULT_STAGE };
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
            metrics: Rc::new(FunctionMetrics::new(&function, qualifier)),
            function,
            invoke_path,
            format,
            invocation,
            stage: self.stage.map_or_else(|| stage.to_owned(), |stage| stage.0),
            account_id: self
                .account_id
                .map_or_else(|| ACCOUNT_ID.to_owned(), |id| id.0),
            api_id: self
                .api_id
                .map_or_else(|| "lambda-mesh".to_owned(), |id| id.0),
            resource: self.resource,
            strip_prefix: self.strip_prefix.map(|prefix| prefix.0),
            binary_media_types: self.binary_media_types,
            header_case: self.header_case.unwrap_or(header_case),
            response,
            max_request_bytes: if is_event {
                max_request_bytes.min(MAX_ASYNC_EVENT_BYTES)
            } else {
                max_request_bytes
            },
            bodyless_event: self.bodyless_event.unwrap_or(BodylessEvent::Body),
            invoker_secret: self.invoker_secret,
            expose_errors: self.expose_errors.unwrap_or(false),
            expose_ids: self.expose_ids.unwrap_or(has_ids),
            reported_settings,
        })
    }
}
