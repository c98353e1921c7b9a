//! The APIs of a template, and how their requests reach functions.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use hyper::Method;
use lambda_api::{FunctionName, FunctionReference};
use lambda_filter_core::config::Settings;
use serde_json::{Map, Value as Json, json};

use super::authorizer::Authorizers;
use super::node::Node;
use super::omission::Omission;
use super::template::Template;
use crate::config::cors::Cors;
use crate::config::pattern::PathPattern;
use crate::config::routes::Route;

/// The key of the route of an HTTP API for the requests that no other one takes.
pub(super) const DEFAULT_ROUTE: &str = "$default";

/// An API of API Gateway.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) kind: ApiKind,
    /// The stage; `None` for the default one of an HTTP API.
    pub(super) stage: Option<String>,
    /// The media types whose bodies travel in base64.
    pub(super) binary_media_types: Vec<String>,
    /// The rules for web pages of other origins.
    pub(super) cors: Option<Cors>,
    /// The authorizers to which events may refer.
    pub(super) authorizers: Authorizers,
    /// The routes of its definition, if events add none.
    pub(super) only: Option<Vec<Route>>,
    /// The routes of its definition that events replace, see `MergeDefinitions`.
    pub(super) merged: Vec<Route>,
}

/// The APIs of a template and of the stacks inside it, by their paths, see [`Scope::path`](super::intrinsic::Scope::path).
pub(super) type Apis = BTreeMap<String, Api>;

/// The two kinds of APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiKind {
    Rest,
    Http,
}

/// A request to an API, and the function that gets it.
pub(super) struct Request<'n> {
    /// The path, or `$default`.
    pub(super) path: &'n str,
    /// The method, or `ANY`.
    pub(super) method: &'n str,
    pub(super) function: FunctionName,
    /// The version of the event's format: `1.0` or `2.0`. REST APIs have none.
    pub(super) version: Option<&'n str>,
    /// The function may send its answer piece by piece.
    pub(super) is_streamed: bool,
    pub(super) line: usize,
}

impl Api {
    /// Returns an API of this kind with its default stage.
    pub(super) fn new(kind: ApiKind) -> Self {
        Self {
            kind,
            stage: None,
            binary_media_types: Vec::new(),
            cors: None,
            authorizers: Authorizers::default(),
            only: None,
            merged: Vec::new(),
        }
    }

    /// Takes the stage's name from a node.
    pub(super) fn set_stage(&mut self, template: &mut Template<'_>, id: &str, name: Option<&Node>) {
        let Some(name) = name else { return };
        match name.text() {
            Ok("$default") => self.stage = None,
            Ok(text) if is_setting("stage", &json!(text)) => self.stage = Some(text.to_owned()),
            Ok(_) => template.warn(
                name.line,
                format!("{id}: StageName is no name of a stage; the default is taken"),
            ),
            Err(unknown) => {
                let message = format!(
                    "{id}: StageName needs {}, which is not known here; the default is taken",
                    unknown.needs
                );
                template.warn(name.line, message);
            }
        }
    }

    /// Takes media types from a list. SAM writes `~1` for a slash.
    pub(super) fn set_binary_media_types(
        &mut self,
        template: &mut Template<'_>,
        id: &str,
        types: Option<&Node>,
    ) {
        for item in types.map_or(&[][..], Node::items) {
            let found = item.text().map(|text| text.replace("~1", "/"));
            match found {
                Ok(found) if is_setting("binary_media_types", &json!([found])) => {
                    if !self.binary_media_types.contains(&found) {
                        self.binary_media_types.push(found);
                    }
                }
                _ => {
                    let message = format!("{id}: a media type is not known here; it is left out");
                    template.warn(item.line, message);
                }
            }
        }
    }

    /// Returns the route of a request.
    ///
    /// # Errors
    /// Says what is wrong with the request.
    pub(super) fn route(&self, request: Request<'_>) -> Result<Route, Omission> {
        let path = match request.path {
            // Definitions have it with a slash too.
            DEFAULT_ROUTE | "/$default" if self.kind == ApiKind::Http => PathPattern::any(),
            // API Gateway removes the slash.
            path => path.parse::<PathPattern>()?.without_trailing_slash(),
        };
        let method = match request.method.to_ascii_uppercase().as_str() {
            "ANY" | "X-AMAZON-APIGATEWAY-ANY-METHOD" | "*" => None,
            upper => match Method::from_bytes(upper.as_bytes()) {
                Ok(method) => Some(method),
                Err(_) => return Err(Omission::Method(request.method.to_owned())),
            },
        };
        let payload = match (self.kind, request.version) {
            (ApiKind::Rest, _) | (ApiKind::Http, Some("1.0")) => "apigateway-v1",
            (ApiKind::Http, None | Some("2.0")) => "apigateway-v2",
            (ApiKind::Http, Some(other)) => {
                return Err(Omission::PayloadFormat(other.to_owned()));
            }
        };
        let mut lambda = Map::from_iter([
            ("function".to_owned(), json!(request.function.as_str())),
            ("payload".to_owned(), json!(payload)),
        ]);
        let mut set = |key: &str, value: Json| lambda.insert(key.to_owned(), value);
        match (&self.stage, payload) {
            (Some(stage), _) => _ = set("stage", json!(stage)),
            // The filter's default for this format is that of a REST API.
            (None, "apigateway-v1") if self.kind == ApiKind::Http => {
                _ = set("stage", json!("$default"));
            }
            (None, _) => {}
        }
        if !self.binary_media_types.is_empty() {
            set("binary_media_types", json!(self.binary_media_types));
        }
        if request.is_streamed {
            set("invocation", json!("response-stream"));
        }
        Ok(Route {
            path,
            method,
            lambda,
            authorizer: self.authorizers.of_event(None),
            cors: self.cors.clone(),
            is_rest_api: self.kind == ApiKind::Rest,
            ..Route::to(request.function, request.line)
        })
    }
}

/// Returns whether the filter takes this value.
fn is_setting(key: &str, value: &Json) -> bool {
    Settings::parse(&Map::from_iter([(key.to_owned(), value.clone())])).is_ok()
}

/// Returns the time that an integration may take. A value that is no number stays unread.
pub(super) fn timeout(integration: &Node, key: &str) -> Option<Duration> {
    let milliseconds = |node: &Node| node.text().ok()?.parse::<NonZeroU32>().ok();
    let entry = integration.entry(key)?;
    entry.take_if(|node| milliseconds(node).is_some());
    let text = entry.text_if(|node| milliseconds(node).is_some())?;
    text.parse().ok().map(Duration::from_millis)
}

/// A function that an integration's URI names.
pub(super) struct Target {
    pub(super) function: FunctionName,
    /// The operation streams.
    pub(super) is_streamed: bool,
}

/// Reads the URI of an integration: a function's ARN, alone or as a path of the Invoke API.
///
/// # Errors
/// Says what is wrong with the URI.
pub(super) fn target(uri: &Node) -> Result<Target, Omission> {
    let text = uri
        .text()
        .map_err(|unknown| Omission::needs("its function", &unknown))?;
    let arn = match text.split_once("/functions/") {
        Some((_, rest)) => rest.split_once('/').map_or(rest, |(arn, _)| arn),
        None => text,
    };
    match arn.parse::<FunctionReference>() {
        Ok(function) => Ok(Target {
            function: function.name().clone(),
            is_streamed: text.ends_with("/response-streaming-invocations"),
        }),
        Err(_) => Err(Omission::NoFunction),
    }
}
