//! The types of values, and how each is read.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

use lambda_api::{FunctionReference, Qualifier, secret};
use serde_json::Value;

use super::reference::Values;
use super::resource::Resource;
use super::template::Template;
use super::value_error::ValueError;
use crate::encoding::json_writer;

/// A type of values that a key takes.
pub(super) trait ConfigValue: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// The expected form.
    fn read(value: &Value) -> Result<Self, ValueError>;

    /// Returns the values of the type, as a reference or a schema describes them.
    fn values() -> Values;
}

/// A type whose values have names.
pub(crate) trait Choice: Copy + 'static {
    const NAMES: &'static [&'static str];
    /// In the order of their names.
    const VALUES: &'static [Self];
}

/// Names the values of a [`Choice`].
macro_rules! choice {
    ($type:ty: $($name:literal => $value:expr),+ $(,)?) => {
        impl Choice for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
            const VALUES: &'static [Self] = &[$($value),+];
        }
    };
}

impl<T: Choice> ConfigValue for T {
    fn read(value: &Value) -> Result<Self, ValueError> {
        let names = T::NAMES;
        let at = names.iter().position(|name| value.as_str() == Some(name));
        let choice = at.and_then(|at| T::VALUES.get(at)).copied();
        choice.ok_or_else(|| expected_one_of(names, value))
    }

    fn values() -> Values {
        Values::choice(T::NAMES)
    }
}

#[inline(never)]
fn expected_one_of(names: &[&str], found: &Value) -> ValueError {
    expected(format!("one of {}", names.join(", ")), found)
}

fn expected(form: impl Into<Cow<'static, str>>, found: &Value) -> ValueError {
    ValueError::Unexpected {
        expected: form.into(),
        found: json_writer::to_text(found),
    }
}

fn text(value: &Value) -> Result<&str, ValueError> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(expected("text (in quotes if it is a number)", value)),
    }
}

/// Text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl ConfigValue for Text {
    fn read(value: &Value) -> Result<Self, ValueError> {
        Ok(Self(text(value)?.to_owned()))
    }

    fn values() -> Values {
        Values::text("text", ".")
    }
}

impl ConfigValue for FunctionReference {
    fn read(value: &Value) -> Result<Self, ValueError> {
        Ok(text(value)?.parse()?)
    }

    fn values() -> Values {
        let form = "name, partial ARN or full ARN, with or without `:qualifier`";
        Values::text(form, Self::PATTERN)
    }
}

impl ConfigValue for Qualifier {
    fn read(value: &Value) -> Result<Self, ValueError> {
        Ok(text(value)?.parse()?)
    }

    fn values() -> Values {
        let form = "alias, version, `$LATEST` or `$LATEST.PUBLISHED`";
        Values::text(form, Self::PATTERN)
    }
}

impl ConfigValue for Resource {
    fn read(value: &Value) -> Result<Self, ValueError> {
        Self::parse(text(value)?)
    }

    fn values() -> Values {
        Values::text("path template, alone or behind a method", "^([^a-z/ ]+ )?/")
    }
}

impl ConfigValue for Rc<Template> {
    fn read(value: &Value) -> Result<Self, ValueError> {
        Template::parse(value).map(Self::new)
    }

    fn values() -> Values {
        Values::json()
    }
}

impl ConfigValue for bool {
    fn read(value: &Value) -> Result<Self, ValueError> {
        let flag = value.as_bool();
        flag.ok_or_else(|| expected("true or false", value))
    }

    fn values() -> Values {
        Values::flag()
    }
}

/// A number of bytes, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) usize);

impl Bytes {
    const RANGE: RangeInclusive<u32> = 1..=u32::MAX;
}

impl ConfigValue for Bytes {
    fn read(value: &Value) -> Result<Self, ValueError> {
        // Numbers in Envoy's metadata are always floating point.
        let (least, most) = (
            f64::from(*Self::RANGE.start()),
            f64::from(*Self::RANGE.end()),
        );
        let bytes = value
            .as_f64()
            .filter(|n| n.fract() == 0.0 && (least..=most).contains(n));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within 1 and u32::MAX"
        )]
        bytes
            .map(|n| Self(n as usize))
            .ok_or_else(|| expected("a whole number of bytes, at least 1", value))
    }

    fn values() -> Values {
        Values::integer("bytes", Self::RANGE)
    }
}

/// A secret. Neither an error nor a debug output shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl ConfigValue for Secret {
    fn read(value: &Value) -> Result<Self, ValueError> {
        let secret = value.as_str().filter(|text| secret::is_valid(text));
        let secret = secret.ok_or(ValueError::Secret)?;
        Ok(Self(secret.to_owned()))
    }

    fn values() -> Values {
        Values::text("32 to 256 visible ASCII characters", secret::PATTERN)
    }
}

/// The name of a stage: one segment of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage(pub(super) String);

impl ConfigValue for Stage {
    fn read(value: &Value) -> Result<Self, ValueError> {
        match text(value)? {
            stage if stage.contains('/') => Err(expected("one path segment such as `prod`", value)),
            stage => Ok(Self(stage.to_owned())),
        }
    }

    fn values() -> Values {
        Values::text("text without `/`", "^[^/]+$")
    }
}

/// The beginning of a path: `/shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPrefix(pub(super) String);

impl ConfigValue for PathPrefix {
    fn read(value: &Value) -> Result<Self, ValueError> {
        let prefix = text(value)?;
        if prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains('?') {
            Ok(Self(prefix.to_owned()))
        } else {
            Err(expected("a path such as `/shop`", value))
        }
    }

    fn values() -> Values {
        Values::text("path such as `/shop`", "^/[^?]*[^?/]$")
    }
}

/// A range of media types: `image/png`, `image/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaRange(String);

impl MediaRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_word = |word: &str| !word.is_empty() && !word.contains(['/', ';', ' ']);
        let is_range = is_word(kind) && is_word(subtype) && (kind != "*" || subtype == "*");
        is_range.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Returns whether a media type, in lower case and without parameters, is in the range. The
    /// empty one, of a message without a type, is only in `*/*`.
    pub(crate) fn matches(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(prefix) => media_type.starts_with(prefix),
            None => media_type == self.0,
        }
    }
}

impl ConfigValue for Vec<MediaRange> {
    fn read(value: &Value) -> Result<Self, ValueError> {
        let ranges = value.as_array().and_then(|items| {
            let ranges = items.iter().map(|item| MediaRange::parse(item.as_str()?));
            ranges.collect()
        });
        ranges.ok_or_else(|| expected("a list of media types such as [\"image/*\"]", value))
    }

    fn values() -> Values {
        Values::list("list of media types", "^[^/; ]+/[^/; ]+$")
    }
}

/// The format of events. `T` is the template of the operator's own format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EventFormat<T> {
    BuiltIn(BuiltInFormat),
    Template(T),
}

/// A format that the filter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltInFormat {
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
}

choice! {
    EventFormat<()>:
    "apigateway-v2" => Self::BuiltIn(BuiltInFormat::ApigatewayV2),
    "apigateway-v1" => Self::BuiltIn(BuiltInFormat::ApigatewayV1),
    "alb" => Self::BuiltIn(BuiltInFormat::Alb),
    "alb-multi-value" => Self::BuiltIn(BuiltInFormat::AlbMultiValue),
    "vpc-lattice-v1" => Self::BuiltIn(BuiltInFormat::VpcLatticeV1),
    "vpc-lattice-v2" => Self::BuiltIn(BuiltInFormat::VpcLatticeV2),
    "function-url" => Self::BuiltIn(BuiltInFormat::FunctionUrl),
    "envoy" => Self::BuiltIn(BuiltInFormat::Envoy),
    "raw" => Self::BuiltIn(BuiltInFormat::Raw),
    "template" => Self::Template(()),
}

/// The contract of a service: the responses that it takes from a function, and its own responses to
/// a function that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contract {
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
    /// No service: any JSON is a response.
    Raw,
}

impl<T> EventFormat<T> {
    /// Returns the contract that goes with the format. A function with events of the operator's own
    /// format responds like one behind an HTTP API, whose contract takes any JSON.
    pub(crate) fn contract(&self) -> Contract {
        match self {
            Self::Template(_) => Contract::HttpApi,
            Self::BuiltIn(format) => match format {
                BuiltInFormat::ApigatewayV1 => Contract::RestApi,
                BuiltInFormat::ApigatewayV2 => Contract::HttpApi,
                BuiltInFormat::FunctionUrl => Contract::FunctionUrl,
                BuiltInFormat::Alb | BuiltInFormat::AlbMultiValue => Contract::LoadBalancer,
                BuiltInFormat::VpcLatticeV1 | BuiltInFormat::VpcLatticeV2 => Contract::VpcLattice,
                BuiltInFormat::Envoy => Contract::Envoy,
                BuiltInFormat::Raw => Contract::Raw,
            },
        }
    }
}

/// The way in which a function is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// The caller waits for the function's response.
    RequestResponse,
    /// Lambda queues the event, and the caller waits only for that.
    Event,
    /// The caller gets the function's response as it comes.
    ResponseStream,
}

choice! {
    Invocation:
    "request-response" => Self::RequestResponse,
    "event" => Self::Event,
    "response-stream" => Self::ResponseStream,
}

/// The place for the event of a request without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodylessEvent {
    /// The body, for which a Lua filter in front has to make room.
    Body,
    /// The header `x-lambda-mesh-invocation`, which the invoker reads.
    Header,
}

choice! { BodylessEvent: "body" => Self::Body, "header" => Self::Header }

/// The way from a function's response to that of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    /// The contract that goes with the format of the events.
    Auto,
    /// The function's JSON is the body.
    Raw,
}

choice! { Response: "auto" => Self::Auto, "raw" => Self::Raw }

/// The spelling of header names in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCase {
    /// `content-type`, as Envoy keeps them.
    Lower,
    /// `Content-Type`, as clients of HTTP/1.1 usually send them.
    Train,
}

choice! { HeaderCase: "lower" => Self::Lower, "train" => Self::Train }
