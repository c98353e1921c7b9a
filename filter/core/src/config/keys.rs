//! The keys of the filter, their types, and how levels merge.

use std::rc::Rc;

use lambda_api::{FunctionReference, Qualifier};
use serde_json::{Map, Value};

use super::error::{Problem, Problems};
use super::path_template::PathTemplate;
use super::read::{
    self, choice, flag, media_ranges, parsed, path_prefix, size, stage, text, unknown,
};
use super::template::Template;
use super::values::{BodylessEvent, Format, HeaderCase, Invocation, MediaRange, Response};
use crate::encoding::{json, json_writer, protobuf};

/// One level of configuration: each key may be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub(super) function: Option<FunctionReference>,
    pub(super) qualifier: Option<Qualifier>,
    pub(super) payload: Option<Format>,
    pub(super) invocation: Option<Invocation>,
    pub(super) stage: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) api_id: Option<String>,
    pub(super) resource: Option<PathTemplate>,
    pub(super) strip_prefix: Option<String>,
    pub(super) binary_media_types: Option<Vec<MediaRange>>,
    pub(super) header_case: Option<HeaderCase>,
    pub(super) template: Option<Rc<Template>>,
    pub(super) response: Option<Response>,
    pub(super) max_request_bytes: Option<usize>,
    pub(super) bodyless_event: Option<BodylessEvent>,
    pub(super) expose_errors: Option<bool>,
}

impl Settings {
    /// The names of all keys.
    pub const KEYS: [&'static str; 16] = read::KEYS;

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
            let expected = "expected a JSON object or a Struct";
            Problems::one("configuration", format!("{expected}: {what}"))
        };
        match json::parse(bytes) {
            Ok(Value::Object(fields)) => Self::parse(&fields),
            Ok(other) => Err(refused(&format!("found {}", json_writer::to_text(&other)))),
            Err(error) => match protobuf::structure(bytes) {
                Ok(fields) => Self::parse(&fields),
                Err(_) => Err(refused(&error)),
            },
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "function" => self.function = Some(parsed(value)?),
            "qualifier" => self.qualifier = Some(parsed(value)?),
            "payload" => self.payload = Some(choice(value, &Format::NAMES)?),
            "invocation" => self.invocation = Some(choice(value, &Invocation::NAMES)?),
            "stage" => self.stage = Some(stage(value)?),
            "account_id" => self.account_id = Some(text(value)?.to_owned()),
            "api_id" => self.api_id = Some(text(value)?.to_owned()),
            "resource" => self.resource = Some(PathTemplate::parse(text(value)?)?),
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
    pub(crate) fn or(self, outer: &Self) -> Self {
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
}
