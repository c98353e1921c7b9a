//! The values that a key may name.

use std::rc::Rc;

use super::template::Template;

/// The names of the event formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
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
    pub(super) const NAMES: [(&str, Self); 10] = [
        ("apigateway-v2", Self::ApigatewayV2),
        ("apigateway-v1", Self::ApigatewayV1),
        ("alb", Self::Alb),
        ("alb-multi-value", Self::AlbMultiValue),
        ("vpc-lattice-v1", Self::VpcLatticeV1),
        ("vpc-lattice-v2", Self::VpcLatticeV2),
        ("function-url", Self::FunctionUrl),
        ("envoy", Self::Envoy),
        ("raw", Self::Raw),
        ("template", Self::Template),
    ];
}

/// The event's format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payload {
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
    /// None: any JSON is an answer.
    Raw,
}

impl Payload {
    /// The contract that goes with the format. A function with events of its own answers as one
    /// behind an HTTP API, whose contract takes any JSON.
    #[must_use]
    pub(crate) fn contract(&self) -> Contract {
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
pub(crate) enum Invocation {
    /// The caller waits for the function's answer.
    RequestResponse,
    /// Lambda queues the event, and the caller waits for that alone.
    Event,
    /// The caller gets the function's answer as it comes.
    ResponseStream,
}

impl Invocation {
    pub(super) const NAMES: [(&str, Self); 3] = [
        ("request-response", Self::RequestResponse),
        ("event", Self::Event),
        ("response-stream", Self::ResponseStream),
    ];
}

/// Where the event of a request without a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodylessEvent {
    /// Into the body, for which a Lua filter in front has to make room.
    Body,
    /// Into the header `x-lambda-mesh-invocation`, where the invoker looks for it.
    Header,
}

impl BodylessEvent {
    pub(super) const NAMES: [(&str, Self); 2] = [("body", Self::Body), ("header", Self::Header)];
}

/// How the function's answer becomes a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    /// By the contract that goes with the payload.
    Auto,
    /// The function's JSON is the body.
    Raw,
}

impl Response {
    pub(super) const NAMES: [(&str, Self); 2] = [("auto", Self::Auto), ("raw", Self::Raw)];
}

/// Media types that are binary: `image/png`, `image/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaRange(String);

impl MediaRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_word = |word: &str| !word.is_empty() && !word.contains(['/', ';', ' ']);
        let is_range = is_word(kind) && is_word(subtype) && (kind != "*" || subtype == "*");
        is_range.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether a media type, in lower case and without parameters, is in the range. One that is
    /// not given is in `*/*` only.
    #[must_use]
    pub(crate) fn matches(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(prefix) => media_type.starts_with(prefix),
            None => media_type == self.0,
        }
    }
}

/// How header names are spelt in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCase {
    /// `content-type`, as Envoy keeps them.
    Lower,
    /// `Content-Type`, as clients of HTTP/1.1 usually send them.
    Train,
}

impl HeaderCase {
    pub(super) const NAMES: [(&str, Self); 2] = [("lower", Self::Lower), ("train", Self::Train)];
}
