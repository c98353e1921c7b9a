//! The APIs of AWS SAM, and a function's events: which requests it gets.
//!
//! Source: `AWS::Serverless::Api`, `AWS::Serverless::HttpApi`, and "HttpApi", "Api" and "FunctionUrlConfig"
//! of `AWS::Serverless::Function` in the AWS SAM developer guide; for the implicit APIs also the plugins of
//! samtranslator 1.115.

use std::collections::btree_map;

use serde_json::{Map, json};

use super::api::{Api, ApiKind, Apis, DEFAULT_ROUTE, Request, timeout};
use super::authorizer::Authorizers;
use super::cors;
use super::intrinsic::Scope;
use super::node::{Entry, Node};
use super::omission::Omission;
use super::openapi;
use super::resource::{HTTP_API, REST_API, Resource};
use super::stack::Stack;
use super::template::Template;
use crate::config::routes::Route;
use lambda_api::FunctionName;

/// Reads the APIs.
pub(super) fn read_apis(template: &mut Template<'_>, stack: &Stack, apis: &mut Apis) {
    let Stack {
        scope, resources, ..
    } = stack;
    for (section, kind, id) in [
        (REST_API, ApiKind::Rest, "ServerlessRestApi"),
        (HTTP_API, ApiKind::Http, "ServerlessHttpApi"),
    ] {
        for resource in resources.of_kind(section) {
            let api = api(template, scope, kind, resource);
            apis.insert(scope.path(&resource.id), api);
        }
        // The API of events that name none.
        if let btree_map::Entry::Vacant(entry) = apis.entry(scope.path(id)) {
            let global = resources.global(section.trim_start_matches("AWS::Serverless::"));
            let mut api = Api::new(kind);
            api.set_binary_media_types(template, id, global.get("BinaryMediaTypes"));
            set_access(template, "Globals", &mut api, &global);
            if kind == ApiKind::Rest {
                api.stage = Some("Prod".to_owned());
            }
            entry.insert(api);
        }
    }
}

/// Reads the events of functions that are imported.
pub(super) fn read_events(template: &mut Template<'_>, stack: &Stack, apis: &Apis) {
    let Stack {
        scope, resources, ..
    } = stack;
    for resource in resources
        .all
        .iter()
        .filter(|resource| resource.is_function())
    {
        let Some(name) = scope.functions.get(&resource.id) else {
            continue;
        };
        if !template.has_function(name, resource.line) {
            continue;
        }
        let events = resource.properties.get("Events");
        warn_if_unknown(template, &format!("{name}: Events"), events);
        for event in events.into_iter().flat_map(Node::entries) {
            let reader = EventReader {
                apis,
                scope,
                function: name,
                event: event.value(),
                line: event.line,
                name: format!("{name}: Events.{}", event.name),
            };
            reader.read(template);
        }
        function_url(template, name, resource);
    }
}

/// Warns of a value that is known only once the template is deployed. Returns whether it is one.
fn warn_if_unknown(template: &mut Template<'_>, name: &str, value: Option<&Node>) -> bool {
    let unknown = value.and_then(|value| Some((value.line, value.unknown()?)));
    if let Some((line, unknown)) = unknown {
        template.warn(line, Omission::needs(name, unknown).to_string());
    }
    unknown.is_some()
}

fn api(template: &mut Template<'_>, scope: &Scope, kind: ApiKind, resource: &Resource) -> Api {
    let Resource {
        id,
        properties,
        node,
        ..
    } = resource;
    node.get("Condition");
    node.get("IgnoreGlobals");
    let mut api = Api::new(kind);
    if kind == ApiKind::Rest {
        api.stage = Some("Prod".to_owned());
    }
    api.set_stage(template, id, properties.get("StageName"));
    api.set_binary_media_types(template, id, properties.get("BinaryMediaTypes"));
    set_access(template, id, &mut api, properties);
    let merges = properties
        .get("MergeDefinitions")
        .is_some_and(|merges| merges.text() == Ok("true"));
    let definition = openapi::definition(
        template,
        scope,
        (id, properties.get("DefinitionBody")),
        properties.get("DefinitionUri"),
    );
    let Some(definition) = definition else {
        return api;
    };
    let routes = openapi::read(template, id, &mut api, &definition);
    if kind == ApiKind::Rest && merges {
        api.merged = routes;
        return api;
    }
    routes
        .iter()
        .for_each(|route| template.add_route(route.clone()));
    // SAM adds events to the definition of an HTTP API in any case.
    api.only = (kind == ApiKind::Rest).then_some(routes);
    api
}

/// Adds the routes of the definitions into which SAM merges events, once the events have theirs.
pub(super) fn add_merged(template: &mut Template<'_>, stack: &Stack, apis: &Apis) {
    for resource in stack.resources.of_kind(REST_API) {
        let api = apis.get(&stack.scope.path(&resource.id));
        for route in api.into_iter().flat_map(|api| &api.merged) {
            template.add_route(route.clone());
        }
    }
}

/// Takes the settings that an API and `Globals` have in common.
fn set_access(template: &mut Template<'_>, id: &str, api: &mut Api, properties: &Node) {
    api.cors = match api.kind {
        ApiKind::Rest => cors::of_rest_api(template, id, properties.get("Cors")),
        ApiKind::Http => cors::policy(template, id, properties.get("CorsConfiguration")),
    };
    if api.kind == ApiKind::Http {
        let auth = properties.entry("Auth").and_then(Entry::known);
        api.authorizers = Authorizers::of_sam(template, id, auth);
    }
}

/// Reads one event.
struct EventReader<'r> {
    apis: &'r Apis,
    scope: &'r Scope,
    function: &'r FunctionName,
    event: &'r Node,
    line: usize,
    /// The event in messages.
    name: String,
}

impl<'r> EventReader<'r> {
    fn read(&self, template: &mut Template<'_>) {
        let parts = [Some(self.event), self.event.get("Properties")];
        if parts
            .iter()
            .any(|part| warn_if_unknown(template, &self.name, *part))
        {
            self.event.discard();
            return;
        }
        let kind = self.event.get("Type").and_then(|kind| kind.text().ok());
        let route = match kind.unwrap_or_default() {
            "HttpApi" => self.route(ApiKind::Http, "ApiId", "ServerlessHttpApi"),
            "Api" => self.route(ApiKind::Rest, "RestApiId", "ServerlessRestApi"),
            kind => Err(Omission::Event(kind.to_owned())),
        };
        match route {
            Ok(Some(route)) => template.add_route(route),
            Ok(None) => {}
            Err(reason) => {
                template.warn(self.line, format!("{}: {reason}", self.name));
                self.event.discard();
            }
        }
    }

    /// Returns the route of the event, or `None` if the definition of the API has it already.
    fn route(&self, kind: ApiKind, key: &str, implicit: &str) -> Result<Option<Route>, Omission> {
        let id = match self.property(key) {
            None => self.scope.path(implicit),
            Some(node) => {
                let id = self.scope.resource(node);
                id.ok_or_else(|| Omission::NotKnown("its API".to_owned()))?
            }
        };
        let path = self.text("Path")?;
        let method = self.text("Method")?;
        let api = self.apis.get(&id).filter(|api| api.kind == kind);
        // An API of another template has the settings of that template.
        let outside = Api::new(kind);
        let api = api.unwrap_or(&outside);
        let request = Request {
            path: match (kind, path) {
                (ApiKind::Rest, path) => path.ok_or_else(|| Omission::missing("it", "Path"))?,
                (ApiKind::Http, path) => path.unwrap_or(DEFAULT_ROUTE),
            },
            method: method.unwrap_or("ANY"),
            function: self.function.clone(),
            version: self.text("PayloadFormatVersion")?,
            is_streamed: self.text("ResponseTransferMode")? == Some("STREAM"),
            line: self.line,
        };
        let mut route = api.route(request)?;
        if kind == ApiKind::Http {
            let properties = self.event.get("Properties");
            let auth = properties.and_then(|properties| properties.entry("Auth"));
            route.authorizer = api.authorizers.of_event(auth.and_then(Entry::known));
        }
        let properties = self.event.get("Properties");
        route.timeout = properties.and_then(|properties| timeout(properties, "TimeoutInMillis"));
        let Some(only) = &api.only else {
            return Ok(Some(route));
        };
        let is_same = |other: &Route| {
            other.path == route.path && (other.method.is_none() || other.method == route.method)
        };
        match only.iter().any(is_same) {
            true => Ok(None),
            false => Err(Omission::NotInDefinition {
                route: route.name(),
                api: id,
            }),
        }
    }

    fn property(&self, name: &str) -> Option<&'r Node> {
        self.event.get("Properties")?.get(name)
    }

    fn text(&self, name: &str) -> Result<Option<&'r str>, Omission> {
        let text = self.property(name).map(Node::text).transpose();
        text.map_err(|unknown| Omission::needs(&format!("its {name}"), &unknown))
    }
}

/// Reads `FunctionUrlConfig`: a host of the function's own.
fn function_url(template: &mut Template<'_>, name: &FunctionName, resource: &Resource) {
    let Some(url) = resource.properties.get("FunctionUrlConfig") else {
        return;
    };
    if warn_if_unknown(template, &format!("{name}: FunctionUrlConfig"), Some(url)) {
        return;
    }
    add_function_url(template, name, url);
}

/// Adds the route of a function URL, `NAME.localhost`. `url` has its settings.
pub(super) fn add_function_url(template: &mut Template<'_>, name: &FunctionName, url: &Node) {
    if let Some(auth) = url.entry("AuthType") {
        auth.take_if(|auth| auth.text() == Ok("NONE"));
    }
    let mut lambda = Map::from_iter([
        ("function".to_owned(), json!(name.as_str())),
        ("payload".to_owned(), json!("function-url")),
    ]);
    if url
        .get("InvokeMode")
        .is_some_and(|mode| mode.text() == Ok("RESPONSE_STREAM"))
    {
        lambda.insert("invocation".to_owned(), json!("response-stream"));
    }
    let cors = cors::policy(template, name.as_str(), url.get("Cors"));
    let host = format!("{name}.localhost").parse();
    match host {
        Ok(host) => template.add_route(Route {
            host,
            lambda,
            cors,
            ..Route::to(name.clone(), url.line)
        }),
        Err(_) => {
            let message = format!(
                "{name}: its URL has no host here, because {name} is no part of a host name; add a route"
            );
            template.warn(url.line, message);
        }
    }
}
