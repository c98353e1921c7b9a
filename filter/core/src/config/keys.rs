//! The keys of the filter, and how levels merge.

use std::rc::Rc;

use lambda_api::{FunctionReference, Qualifier};
use serde_json::{Map, Value};

use super::error::{Problem, Problems};
use super::reference::{self, Key};
use super::resource::Resource;
use super::template::Template;
use super::value_error::ValueError;
use super::values::{
    BodylessEvent, Bytes, ConfigValue, EventFormat, HeaderCase, Invocation, MediaRange, PathPrefix,
    Response, Secret, Stage, Text,
};
use crate::encoding::{json, json_writer, protobuf};

/// Makes everything that depends on the list of keys. A key has a line of its own with its name,
/// type and default, and the section of docs/filter.md that explains the key. The comment above it is
/// its description.
macro_rules! keys {
    ($(
        $(#[doc = $description:literal])+
        $name:ident: $value:ty, $default:literal $(, see $section:literal)?;
    )+) => {
        /// A level of configuration, in which each key may be absent.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Settings {
            $($(#[doc = $description])+ pub(super) $name: Option<$value>,)+
            /// The keys as they were given, but for those of [`UNREPORTED`].
            pub(super) given: Map<String, Value>,
        }

        impl Settings {
            /// The names of all keys.
            pub const KEYS: [&'static str; [$(stringify!($name)),+].len()] =
                [$(stringify!($name)),+];

            /// Returns all keys, as a reference or a schema describes them.
            #[must_use]
            pub fn reference() -> Vec<Key> {
                vec![$(Key {
                    name: stringify!($name),
                    section: [$($section)?].first().copied(),
                    values: <$value>::values(),
                    default: $default,
                    description: concat!($($description),+).trim_ascii(),
                }),+]
            }

            /// Sets a key. Returns `None` if there is no such key.
            fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), ValueError>> {
                Some(match key {
                    $(stringify!($name) => {
                        ConfigValue::read(value).map(|value| self.$name = Some(value))
                    })+
                    _ => return None,
                })
            }

            /// Completes these settings, key by key, with those of the next level out.
            #[must_use]
            pub(crate) fn or(self, outer: &Self) -> Self {
                let mut given = self.given;
                for (key, value) in &outer.given {
                    given.entry(key).or_insert_with(|| value.clone());
                }
                Self { $($name: self.$name.or_else(|| outer.$name.clone()),)+ given }
            }
        }
    };
}

keys! {
    /// The function to call.
    function: FunctionReference, "required", see "function-and-qualifier";
    /// The alias or version to call. Not beside a `function` that ends in one.
    qualifier: Qualifier, "none", see "function-and-qualifier";
    /// The format of the event, and the contract for the function's answer.
    payload: EventFormat<()>, "`apigateway-v2`";
    /// Selects a synchronous, an asynchronous or a streamed invocation.
    invocation: Invocation, "`request-response`", see "invocation";
    /// The API stage in `requestContext`.
    stage: Stage, "`$default`; `prod` for `apigateway-v1`";
    /// The AWS account in `requestContext`, and in ARNs inside the event.
    account_id: Text, "`123456789012`";
    /// The identifier of the API in `requestContext`, and in ARNs inside the event.
    api_id: Text, "`lambda-mesh`";
    /// Fills `resource`, `routeKey` and `pathParameters` of API Gateway formats. Other requests get 404.
    resource: Resource, "none", see "resource";
    /// A path prefix that is removed before the event is made.
    strip_prefix: PathPrefix, "none", see "strip_prefix";
    /// Media types whose bodies travel in base64. All other bodies are text if they are UTF-8.
    binary_media_types: Vec<MediaRange>, "the format's own rule", see "binary_media_types";
    /// Spelling of header names in the event: `content-type` or `Content-Type`.
    header_case: HeaderCase, "`lower`; `train` for `apigateway-v1`";
    /// The event of `payload: template`, with `${...}` placeholders.
    template: Rc<Template>, "none";
    /// Reads the answer by the contract of `payload`, or passes its JSON on as the body.
    response: Response, "`auto`", see "response";
    /// The largest event after encoding. Larger events get 413.
    max_request_bytes: Bytes, "6291556", see "max_request_bytes";
    /// Place of the event of a request without a body.
    bodyless_event: BodylessEvent, "`body`", see "bodyless_event";
    /// Proves to the invoker that a call comes from the filter.
    invoker_secret: Secret, "none", see "invoker_secret";
    /// Shows the client a function's own error with its stack trace, or the reason of another failure.
    expose_errors: bool, "`false`";
    /// Adds `x-amzn-requestid`, as in the function's log, and `x-amzn-trace-id` to responses.
    expose_ids: bool, "`true` for `apigateway-v1` and `function-url`, otherwise `false`";
    /// Reports the client's request to the invoker, for its console. For this upstream only.
    report_request: bool, "`false`", see "report_request";
}

/// The keys that are no part of a report: the event and the response do not depend on them.
const UNREPORTED: [&str; 3] = ["invoker_secret", "bodyless_event", "report_request"];

impl Settings {
    /// Reads a level.
    ///
    /// # Errors
    /// Every key that is unknown, or of a wrong type or value.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, Problems> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (key, value) in fields {
            let what = match settings.set(key, value) {
                Some(Ok(())) => {
                    if !UNREPORTED.contains(&key.as_str()) {
                        settings.given.insert(key.clone(), value.clone());
                    }
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => unknown(key),
            };
            problems.push(Problem {
                key: key.clone(),
                what,
            });
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(Problems(problems))
        }
    }

    /// Returns the JSON Schema of one level, for editors.
    #[must_use]
    pub fn schema() -> String {
        let schema = reference::object(&Self::reference());
        reference::document("Configuration of the lambda-mesh filter", schema)
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
                Err(_) => Err(refused(&error.to_string())),
            },
        }
    }
}

/// Returns the message for a key that does not exist.
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
