//! The filter's configuration: its keys, their types and defaults, and how levels merge.
//!
//! The same keys may stand in the plugin's `configuration` and, under the namespace `lambda`,
//! in the metadata of a cluster, a virtual host and a route. Each level is parsed into
//! [`Settings`] on its own; the nearest level wins, key by key; the sum becomes a [`Config`],
//! which cannot be wrong.

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::event::template::Template;
use crate::function::{FunctionName, Qualifier};
use crate::metadata;
use crate::resource::Resource;

/// Every key, as suggested when one is misspelt.
const KEYS: [&str; 15] = [
    "function",
    "qualifier",
    "payload",
    "invocation",
    "stage",
    "account_id",
    "api_id",
    "resource",
    "strip_prefix",
    "binary_media_types",
    "header_case",
    "template",
    "response",
    "max_request_bytes",
    "expose_errors",
];

/// The largest event that Lambda accepts synchronously, in bytes: 6 MB and what AWS allows on
/// top (measured on AWS; the error message of `RequestTooLargeException` names this number).
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 6_291_556;

/// The names of the event formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    ApigatewayV1,
    ApigatewayV2,
    Alb,
    AlbMultiValue,
    VpcLatticeV1,
    VpcLatticeV2,
    FunctionUrl,
    Envoy,
    Raw,
    Template,
}

impl Format {
    const NAMES: [(&str, Option<Self>); 10] = [
        ("apigateway-v2", Some(Self::ApigatewayV2)),
        ("apigateway-v1", Some(Self::ApigatewayV1)),
        ("alb", Some(Self::Alb)),
        ("alb-multi-value", Some(Self::AlbMultiValue)),
        ("vpc-lattice-v1", Some(Self::VpcLatticeV1)),
        ("vpc-lattice-v2", Some(Self::VpcLatticeV2)),
        ("function-url", Some(Self::FunctionUrl)),
        ("envoy", Some(Self::Envoy)),
        ("raw", Some(Self::Raw)),
        ("template", Some(Self::Template)),
    ];
}

/// The event's format.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// API Gateway REST API, Lambda proxy integration.
    ApigatewayV1,
    /// API Gateway HTTP API, payload format 2.0.
    ApigatewayV2,
    /// Application Load Balancer.
    Alb,
    /// Application Load Balancer with multi-value headers.
    AlbMultiValue,
    /// VPC Lattice, event version 1.
    VpcLatticeV1,
    /// VPC Lattice, event version 2.
    VpcLatticeV2,
    /// Lambda Function URL.
    FunctionUrl,
    /// Envoy's own `aws_lambda` filter.
    Envoy,
    /// The body is the event.
    Raw,
    /// The operator's own.
    Template(Rc<Template>),
}

/// What a function's answer must look like, and what its errors become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// API Gateway REST API.
    RestApi,
    /// API Gateway HTTP API.
    HttpApi,
    /// Lambda Function URL.
    FunctionUrl,
    /// Application Load Balancer.
    LoadBalancer,
    /// VPC Lattice.
    VpcLattice,
    /// Envoy's own `aws_lambda` filter.
    Envoy,
    /// None: any JSON is an answer.
    Raw,
}

impl Payload {
    /// The contract that goes with the format. A function with events of its own answers as one
    /// behind an HTTP API, whose contract takes any JSON.
    #[must_use]
    pub fn contract(&self) -> Contract {
        match self {
            Self::ApigatewayV1 => Contract::RestApi,
            Self::ApigatewayV2 | Self::Template(_) => Contract::HttpApi,
            Self::FunctionUrl => Contract::FunctionUrl,
            Self::Alb | Self::AlbMultiValue => Contract::LoadBalancer,
            Self::VpcLatticeV1 | Self::VpcLatticeV2 => Contract::VpcLattice,
            Self::Envoy => Contract::Envoy,
            Self::Raw => Contract::Raw,
        }
    }
}

/// How the function is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invocation {
    /// The caller waits for the function's answer.
    RequestResponse,
}

impl Invocation {
    const NAMES: [(&str, Option<Self>); 3] = [
        ("request-response", Some(Self::RequestResponse)),
        ("event", None),
        ("response-stream", None),
    ];
}

/// How the function's answer becomes a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// By the contract that goes with the payload.
    Auto,
    /// The function's JSON is the body.
    Raw,
}

impl Response {
    const NAMES: [(&str, Option<Self>); 2] = [("auto", Some(Self::Auto)), ("raw", Some(Self::Raw))];
}

/// Media types that are binary: `image/png`, `image/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange(String);

impl MediaRange {
    fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_word = |word: &str| !word.is_empty() && !word.contains(['/', ';', ' ']);
        let is_range = is_word(kind) && is_word(subtype) && (kind != "*" || subtype == "*");
        is_range.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether a media type, in lower case and without parameters, is in the range. One that is
    /// not given is in `*/*` only.
    #[must_use]
    pub fn matches(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(prefix) => media_type.starts_with(prefix),
            None => media_type == self.0,
        }
    }
}

/// How header names are spelt in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderCase {
    /// `content-type`, as Envoy keeps them.
    Lower,
    /// `Content-Type`, as clients of HTTP/1.1 usually send them.
    Train,
}

impl HeaderCase {
    const NAMES: [(&str, Option<Self>); 2] =
        [("lower", Some(Self::Lower)), ("train", Some(Self::Train))];
}

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
    expose_errors: Option<bool>,
}

impl Settings {
    /// Reads one level.
    ///
    /// # Errors
    /// Every key that is unknown, of a wrong type or value, or not supported yet.
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
        let fields = serde_json::from_slice(bytes).or_else(|error| {
            metadata::structure(bytes).map_err(|_| {
                Problems(vec![Problem {
                    key: "configuration".to_owned(),
                    what: format!("expected a JSON object or a Struct: {error}"),
                }])
            })
        })?;
        Self::parse(&fields)
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
        let is_rest = payload == Payload::ApigatewayV1;
        let stage = if is_rest { "prod" } else { "$default" };
        let header_case = if is_rest {
            HeaderCase::Train
        } else {
            HeaderCase::Lower
        };
        Ok(Config {
            function,
            qualifier: self.qualifier,
            payload,
            invocation: self.invocation.unwrap_or(Invocation::RequestResponse),
            stage: self.stage.unwrap_or_else(|| stage.to_owned()),
            account_id: self.account_id.unwrap_or_else(|| "123456789012".to_owned()),
            api_id: self.api_id.unwrap_or_else(|| "lambda-mesh".to_owned()),
            resource: self.resource,
            strip_prefix: self.strip_prefix,
            binary_media_types: self.binary_media_types,
            header_case: self.header_case.unwrap_or(header_case),
            response: self.response.unwrap_or(Response::Auto),
            max_request_bytes: self.max_request_bytes.unwrap_or(DEFAULT_MAX_REQUEST_BYTES),
            expose_errors: self.expose_errors.unwrap_or(false),
        })
    }
}

/// The configuration of one route, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The function's name, partial ARN or full ARN.
    pub function: FunctionName,
    /// Its alias or version.
    pub qualifier: Option<Qualifier>,
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

fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {found}")
}

fn text(value: &Value) -> Result<&str, String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(expected("text (in quotes if it is a number)", value)),
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| expected("true or false", value))
}

/// Numbers in Envoy's metadata are always floating point.
fn size(value: &Value) -> Result<usize, String> {
    let bytes = value
        .as_f64()
        .filter(|n| n.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within 1 and u32::MAX"
    )]
    bytes
        .map(|n| n as usize)
        .ok_or_else(|| expected("a whole number of bytes, at least 1", value))
}

fn stage(value: &Value) -> Result<String, String> {
    let stage = text(value)?;
    if stage.contains('/') {
        return Err(expected("one path segment such as `prod`", value));
    }
    Ok(stage.to_owned())
}

fn path_prefix(value: &Value) -> Result<String, String> {
    let prefix = text(value)?;
    if prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains('?') {
        Ok(prefix.to_owned())
    } else {
        Err(expected("a path such as `/shop`", value))
    }
}

fn media_ranges(value: &Value) -> Result<Vec<MediaRange>, String> {
    let ranges = value.as_array().and_then(|items| {
        let ranges = items.iter().map(|item| MediaRange::parse(item.as_str()?));
        ranges.collect()
    });
    ranges.ok_or_else(|| expected("a list of media types such as [\"image/*\"]", value))
}

fn choice<T: Copy>(value: &Value, names: &[(&str, Option<T>)]) -> Result<T, String> {
    let found = value
        .as_str()
        .and_then(|text| names.iter().find(|(name, _)| *name == text));
    match found {
        Some((_, Some(choice))) => Ok(*choice),
        Some((name, None)) => Err(format!("\"{name}\" is not supported yet")),
        None => {
            let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            Err(expected(&format!("one of {}", names.join(", ")), value))
        }
    }
}

fn unknown(key: &str) -> String {
    let nearest = KEYS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 3 => {
            format!("unknown key; did you mean `{known}`?")
        }
        _ => format!("unknown key; the keys are {}", KEYS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(value: Value) -> Result<Settings, String> {
        match value {
            Value::Object(fields) => Settings::parse(&fields).map_err(|p| p.to_string()),
            _ => panic!("a test gives an object"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let config = settings(json!({"function": "hello"}))
            .and_then(|s| s.into_config().map_err(|p| p.to_string()))
            .unwrap();
        assert_eq!(config.payload, Payload::ApigatewayV2);
        assert_eq!(config.invocation, Invocation::RequestResponse);
        assert_eq!(config.stage, "$default");
        assert_eq!(config.account_id, "123456789012");
        assert_eq!(config.api_id, "lambda-mesh");
        assert_eq!(config.header_case, HeaderCase::Lower);
        assert_eq!(config.max_request_bytes, 6_291_556);
        assert!(!config.expose_errors);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let problems = settings(json!({
            "functoin": "hello",
            "payload": "apigateway-v3",
            "expose_errors": "yes",
            "max_request_bytes": 1.5,
            "account_id": 123_456_789_012_u64,
            "strip_prefix": "shop/",
            "colour": "red",
        }))
        .unwrap_err();
        for part in [
            "`functoin`: unknown key; did you mean `function`?",
            "`payload`: expected one of apigateway-v2, ",
            "found \"apigateway-v3\"",
            "`expose_errors`: expected true or false, found \"yes\"",
            "`max_request_bytes`: expected a whole number of bytes, at least 1, found 1.5",
            "`account_id`: expected text (in quotes if it is a number), found 123456789012",
            "`strip_prefix`: expected a path such as `/shop`, found \"shop/\"",
            "`colour`: unknown key; the keys are function, ",
        ] {
            assert!(problems.contains(part), "{part} is not in: {problems}");
        }
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        for (key, value) in [
            ("invocation", json!("event")),
            ("invocation", json!("response-stream")),
        ] {
            let problems = settings(json!({ key: value })).unwrap_err();
            assert!(
                problems.starts_with(&format!("`{key}`: "))
                    && problems.ends_with("not supported yet"),
                "{problems}"
            );
        }
    }

    #[test]
    fn the_defaults_of_a_rest_api_are_its_own() {
        let config = settings(json!({"function": "f", "payload": "apigateway-v1"})).unwrap();
        let config = config.into_config().unwrap();
        assert_eq!(config.stage, "prod");
        assert_eq!(config.header_case, HeaderCase::Train);
    }

    #[test]
    fn a_template_goes_with_its_payload() {
        let refused = |value| {
            let problems = settings(value).unwrap().into_config().unwrap_err();
            problems.to_string()
        };
        assert_eq!(
            refused(json!({"function": "f", "payload": "template"})),
            "`template`: required by `payload: template`"
        );
        assert_eq!(
            refused(json!({"function": "f", "template": {}})),
            "`template`: goes with `payload: template` only"
        );
    }

    #[test]
    fn a_media_range_takes_its_wildcards() {
        let range = |text| MediaRange::parse(text).unwrap();
        assert!(range("*/*").matches(""));
        assert!(range("image/*").matches("image/png"));
        assert!(!range("image/*").matches("imagery/png"));
        assert!(range("Image/PNG").matches("image/png"));
        assert!(!range("image/png").matches(""));
        for text in ["", "image", "*/png", "image/", "a/b;c"] {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_level_wins_key_by_key() {
        let route = settings(json!({"function": "near"})).unwrap();
        let host = settings(json!({"function": "far", "stage": "dev"})).unwrap();
        let plugin = settings(json!({"stage": "prod", "expose_errors": true})).unwrap();
        let config = route.or(&host).or(&plugin).into_config().unwrap();
        assert_eq!(config.function.as_str(), "near");
        assert_eq!(config.stage, "dev");
        assert!(config.expose_errors);
    }

    #[test]
    fn a_function_is_required_and_one_qualifier_is_enough() {
        let missing = settings(json!({})).unwrap().into_config().unwrap_err();
        assert!(missing.to_string().starts_with("`function`: required"));
        let twice = settings(json!({"function": "hello:live", "qualifier": "2"}))
            .unwrap()
            .into_config()
            .unwrap_err();
        assert!(twice.to_string().starts_with("`qualifier`: given twice"));
    }

    #[test]
    fn a_plugin_configuration_is_a_json_object_or_a_struct_or_nothing() {
        let named = settings(json!({"function": "hello"})).unwrap();
        assert_eq!(Settings::from_plugin(b" \n"), Ok(Settings::default()));
        assert_eq!(
            Settings::from_plugin(b"\n{\"function\":\"hello\"}"),
            Ok(named.clone())
        );
        // `{function: hello}` as a Struct, as Envoy 1.40 hands it over.
        assert_eq!(
            Settings::from_plugin(b"\n\x13\n\x08function\x12\x07\x1a\x05hello"),
            Ok(named)
        );
        for text in ["[]", "\"hello\"", "{", "\u{fffd}"] {
            let problems = Settings::from_plugin(text.as_bytes()).unwrap_err();
            assert!(problems.to_string().contains("expected a JSON object"));
        }
    }
}
