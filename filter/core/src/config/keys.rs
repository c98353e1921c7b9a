//! The filter's configuration: its keys, their types and defaults, and how levels merge.
//!
//! The same keys may stand in the plugin's `configuration` and, under the namespace `lambda`,
//! in the metadata of a cluster, a virtual host and a route. Each level is parsed into
//! [`Settings`] on its own; the nearest level wins, key by key; the sum becomes a [`Config`],
//! which cannot be wrong.

mod kinds;
mod value;

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::event::template::Template;
use crate::function::{FunctionName, Qualifier};
use crate::json;
use crate::metadata;
use crate::resource::Resource;
use kinds::Format;
pub use kinds::{BodylessEvent, Contract, HeaderCase, Invocation, MediaRange, Payload, Response};
use value::{choice, flag, media_ranges, path_prefix, size, stage, text, unknown};

/// The largest event that Lambda accepts synchronously, in bytes: 6 MB and what AWS allows on
/// top (measured on AWS; the error message of `RequestTooLargeException` names this number).
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 6_291_556;

/// The largest event that Lambda accepts asynchronously, in bytes: the API reference, *Invoke*.
pub const MAX_ASYNCHRONOUS_BYTES: usize = 1_048_576;

/// One level of configuration: each key may be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    function: Option<FunctionName>,
    qualifier: Option<Qualifier>,
    payload: Option<Format>,
    invocation: Option<Invocation>,
    stage: Option<String>,
    account_id: Option<String>,
    api_id: Option<String>,
    resource: Option<Resource>,
    strip_prefix: Option<String>,
    binary_media_types: Option<Vec<MediaRange>>,
    header_case: Option<HeaderCase>,
    template: Option<Rc<Template>>,
    response: Option<Response>,
    max_request_bytes: Option<usize>,
    bodyless_event: Option<BodylessEvent>,
    expose_errors: Option<bool>,
}

impl Settings {
    /// The names of all keys.
    pub const KEYS: [&'static str; 16] = value::KEYS;

    /// Reads one level.
    ///
    /// # Errors
    /// Every key that is unknown, or of a wrong type or value.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, Problems> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (key, value) in fields {
            if let Err(what) = settings.set(key, value) {
                problems.push(Problem {
                    key: key.clone(),
                    what,
                });
            }
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(Problems(problems))
        }
    }

    /// Reads the plugin's `configuration`: a JSON object (Envoy hands over a `StringValue` as its
    /// text), a serialised `Struct` (any other message as its bytes), or nothing.
    ///
    /// # Errors
    /// As [`Settings::parse`], and bytes that are neither.
    pub fn from_plugin(bytes: &[u8]) -> Result<Self, Problems> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let refused = |what: &str| {
            Problems(vec![Problem {
                key: "configuration".to_owned(),
                what: format!("expected a JSON object or a Struct: {what}"),
            }])
        };
        match json::parse(bytes) {
            Ok(Value::Object(fields)) => Self::parse(&fields),
            Ok(other) => Err(refused(&format!("found {}", json::compact(&other)))),
            Err(error) => match metadata::structure(bytes) {
                Ok(fields) => Self::parse(&fields),
                Err(_) => Err(refused(&error)),
            },
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "function" => self.function = Some(FunctionName::parse(text(value)?)?),
            "qualifier" => self.qualifier = Some(Qualifier::parse(text(value)?)?),
            "payload" => self.payload = Some(choice(value, &Format::NAMES)?),
            "invocation" => self.invocation = Some(choice(value, &Invocation::NAMES)?),
            "stage" => self.stage = Some(stage(value)?),
            "account_id" => self.account_id = Some(text(value)?.to_owned()),
            "api_id" => self.api_id = Some(text(value)?.to_owned()),
            "resource" => self.resource = Some(Resource::parse(text(value)?)?),
            "strip_prefix" => self.strip_prefix = Some(path_prefix(value)?),
            "binary_media_types" => self.binary_media_types = Some(media_ranges(value)?),
            "header_case" => self.header_case = Some(choice(value, &HeaderCase::NAMES)?),
            "template" => self.template = Some(Rc::new(Template::parse(value)?)),
            "response" => self.response = Some(choice(value, &Response::NAMES)?),
            "max_request_bytes" => self.max_request_bytes = Some(size(value)?),
            "bodyless_event" => self.bodyless_event = Some(choice(value, &BodylessEvent::NAMES)?),
            "expose_errors" => self.expose_errors = Some(flag(value)?),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// These settings, completed key by key with those of the next level out.
    #[must_use]
    pub fn or(self, outer: &Self) -> Self {
        Self {
            function: self.function.or_else(|| outer.function.clone()),
            qualifier: self.qualifier.or_else(|| outer.qualifier.clone()),
            payload: self.payload.or(outer.payload),
            invocation: self.invocation.or(outer.invocation),
            stage: self.stage.or_else(|| outer.stage.clone()),
            account_id: self.account_id.or_else(|| outer.account_id.clone()),
            api_id: self.api_id.or_else(|| outer.api_id.clone()),
            resource: self.resource.or_else(|| outer.resource.clone()),
            strip_prefix: self.strip_prefix.or_else(|| outer.strip_prefix.clone()),
            binary_media_types: self
                .binary_media_types
                .or_else(|| outer.binary_media_types.clone()),
            header_case: self.header_case.or(outer.header_case),
            template: self.template.or_else(|| outer.template.clone()),
            response: self.response.or(outer.response),
            max_request_bytes: self.max_request_bytes.or(outer.max_request_bytes),
            bodyless_event: self.bodyless_event.or(outer.bodyless_event),
            expose_errors: self.expose_errors.or(outer.expose_errors),
        }
    }

    /// What all levels together say.
    ///
    /// # Errors
    /// A key that is required and absent, or two that exclude each other.
    pub fn into_config(self) -> Result<Config, Problems> {
        let problem = |key: &str, what: &str| {
            Problems(vec![Problem {
                key: key.to_owned(),
                what: what.to_owned(),
            }])
        };
        let Some(function) = self.function else {
            return Err(problem(
                "function",
                "required; name the function in the metadata (namespace `lambda`) of the route, \
                 virtual host or cluster, or in the plugin's configuration",
            ));
        };
        if function.qualifier().is_some() && self.qualifier.is_some() {
            return Err(problem(
                "qualifier",
                "given twice: `function` ends in a qualifier already; leave one of them out",
            ));
        }
        let format = self.payload.unwrap_or(Format::ApigatewayV2);
        let payload = match (format, self.template) {
            (Format::Template, Some(template)) => Payload::Template(template),
            (Format::Template, None) => {
                return Err(problem("template", "required by `payload: template`"));
            }
            (_, Some(_)) => {
                return Err(problem("template", "goes with `payload: template` only"));
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
            return Err(problem(
                "response",
                "`raw` does not go with `invocation: event`, whose answer is always 202 without a \
                 body; leave `response` out, or set it to `auto`",
            ));
        }
        let max_request_bytes = self.max_request_bytes.unwrap_or(DEFAULT_MAX_REQUEST_BYTES);
        let is_rest = payload == Payload::ApigatewayV1;
        let stage = if is_rest { "prod" } else { "$default" };
        let header_case = if is_rest {
            HeaderCase::Train
        } else {
            HeaderCase::Lower
        };
        let qualifier = self.qualifier.as_ref();
        let invoke_path = match invocation {
            Invocation::RequestResponse | Invocation::Event => function.invoke_path(qualifier),
            Invocation::ResponseStream => function.stream_path(qualifier),
        };
        Ok(Config {
            function,
            invoke_path,
            payload,
            invocation,
            stage: self.stage.unwrap_or_else(|| stage.to_owned()),
            account_id: self.account_id.unwrap_or_else(|| "123456789012".to_owned()),
            api_id: self.api_id.unwrap_or_else(|| "lambda-mesh".to_owned()),
            resource: self.resource,
            strip_prefix: self.strip_prefix,
            binary_media_types: self.binary_media_types,
            header_case: self.header_case.unwrap_or(header_case),
            response,
            max_request_bytes: if is_event {
                max_request_bytes.min(MAX_ASYNCHRONOUS_BYTES)
            } else {
                max_request_bytes
            },
            bodyless_event: self.bodyless_event.unwrap_or(BodylessEvent::Body),
            expose_errors: self.expose_errors.unwrap_or(false),
        })
    }
}

/// The configuration of one route, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The function's name, partial ARN or full ARN.
    pub function: FunctionName,
    /// The path and query of its invocation, with its alias or version.
    pub invoke_path: String,
    /// The event's format.
    pub payload: Payload,
    /// How the function is invoked.
    pub invocation: Invocation,
    /// `requestContext.stage`.
    pub stage: String,
    /// `requestContext.accountId`.
    pub account_id: String,
    /// `requestContext.apiId`.
    pub api_id: String,
    /// The path template that fills `resource`, `routeKey` and `pathParameters`.
    pub resource: Option<Resource>,
    /// Removed from the path before the event is made: `/py` makes `/py/hi` into `/hi`.
    pub strip_prefix: Option<String>,
    /// What travels in base64; by the format's own rule if not set.
    pub binary_media_types: Option<Vec<MediaRange>>,
    /// The spelling of header names in the event.
    pub header_case: HeaderCase,
    /// How the function's answer becomes a response.
    pub response: Response,
    /// The largest event, encoded, in bytes.
    pub max_request_bytes: usize,
    /// Where the event of a request without a body goes.
    pub bodyless_event: BodylessEvent,
    /// Whether the client sees a function's own error.
    pub expose_errors: bool,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    key: String,
    what: String,
}

/// All that is wrong with a configuration, in one sentence per key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { key, what }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}`{key}`: {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
