//! The keys of the filter, and how levels merge.

use std::rc::Rc;

use lambda_api::{FunctionReference, Qualifier};
use serde_json::{Map, Value};

use super::error::{Problem, Problems};
use super::resource::Resource;
use super::template::Template;
use super::values::{
    BodylessEvent, Bytes, ConfigValue, EventFormat, HeaderCase, Invocation, MediaRange, PathPrefix,
    Response, Stage, Text, ValueKind,
};
use crate::encoding::{json, json_writer, protobuf};

/// Makes everything that depends on the list of keys: a key is a line of its own, with its
/// description, name, type and default.
macro_rules! keys {
    ($($(#[doc = $description:literal])+ $name:ident: $value:ty, $default:literal;)+) => {
        /// One level of configuration. Each key may be absent.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Settings {
            $($(#[doc = $description])+ pub(super) $name: Option<$value>,)+
        }

        impl Settings {
            /// The names of all keys.
            pub const KEYS: [&'static str; [$(stringify!($name)),+].len()] =
                [$(stringify!($name)),+];

            /// Returns all keys with what a reference or a schema says of them.
            #[must_use]
            pub fn reference() -> Vec<Key> {
                vec![$(Key {
                    name: stringify!($name),
                    values: <$value>::kind(),
                    default: $default,
                    description: concat!($($description),+).trim_ascii(),
                }),+]
            }

            fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
                match key {
                    $(stringify!($name) => self.$name = Some(ConfigValue::read(value)?),)+
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }

            /// Completes these settings, key by key, with those of the next level out.
            #[must_use]
            pub(crate) fn or(self, outer: &Self) -> Self {
                Self { $($name: self.$name.or_else(|| outer.$name.clone()),)+ }
            }
        }
    };
}

keys! {
    /// The function: a name, a partial ARN or a full ARN, each with or without `:qualifier`.
    function: FunctionReference, "required";
    /// An alias or a version of the function.
    qualifier: Qualifier, "none";
    /// The format of the events.
    payload: EventFormat<()>, "`apigateway-v2`";
    /// The way in which the function is invoked.
    invocation: Invocation, "`request-response`";
    /// The stage in `requestContext`.
    stage: Stage, "`$default`; `prod` for `apigateway-v1`";
    /// The account in `requestContext`.
    account_id: Text, "`123456789012`";
    /// The id of the API in `requestContext`.
    api_id: Text, "`lambda-mesh`";
    /// A path template, alone or behind a method as in `GET /pets/{id}`, that fills `resource`,
    /// `routeKey` and `pathParameters`. Other requests get 404.
    resource: Resource, "any request";
    /// The beginning of the path that is removed before the event is made.
    strip_prefix: PathPrefix, "none";
    /// The media types of bodies that are in base64 in the event.
    binary_media_types: Vec<MediaRange>, "the format's own rule";
    /// The spelling of header names in the event.
    header_case: HeaderCase, "`lower`; `train` for `apigateway-v1`";
    /// The event of `payload: template`, with `${...}` for parts of the request.
    template: Rc<Template>, "none";
    /// The way from the function's response to that of the client.
    response: Response, "`auto`";
    /// The largest event, after encoding.
    max_request_bytes: Bytes, "`6291556`, Lambda's own limit; at most `1048576` for `invocation: event`";
    /// The place for the event of a request without a body.
    bodyless_event: BodylessEvent, "`body`";
    /// Shows the type, message and stack trace of a function's own error to the client.
    expose_errors: bool, "`false`";
    /// Adds the ids of the invocation to responses: `x-amzn-requestid` and `x-amzn-trace-id`.
    expose_ids: bool, "`true` for `apigateway-v1` and `function-url`, else `false`";
}

/// What a reference or a schema says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub values: ValueKind,
    /// Its default, in Markdown.
    pub default: &'static str,
    /// Its meaning: a sentence in Markdown.
    pub description: &'static str,
}

impl Settings {
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
    /// Those of [`Settings::parse`], and bytes that are neither.
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
}

/// Returns what is said of a key that does not exist.
fn unknown(key: &str) -> String {
    let nearest = Settings::KEYS
        .iter()
        .map(|known| (strsim::osa_distance(key, known), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 3 => {
            format!("unknown key; did you mean `{known}`?")
        }
        _ => format!("unknown key; the keys are {}", Settings::KEYS.join(", ")),
    }
}
