//! The APIs of CloudFormation's own resources, as the AWS CDK writes them.
//!
//! Source: `AWS::ApiGateway::*`, `AWS::ApiGatewayV2::*` and `AWS::Lambda::Url` in the AWS CloudFormation
//! template reference.

use super::api::{Api, ApiKind, Apis, DEFAULT_ROUTE, Request, target, timeout};
use super::authorizer;
use super::cors;
use super::node::Node;
use super::omission::Omission;
use super::openapi;
use super::resource::Resource;
use super::sam;
use super::stack::{Stack, Stacks};
use super::template::{Mock, Template};
use crate::config::authorizer::JwtAuthorizer;
use crate::config::pattern::PathPattern;
use crate::config::routes::Route;

const API: &str = "AWS::ApiGatewayV2::Api";
const AUTHORIZER: &str = "AWS::ApiGatewayV2::Authorizer";

/// The longest way from a resource of a REST API to the root.
const MAX_SEGMENTS: usize = 100;

/// Reads the APIs of a stack.
pub(super) fn read_apis(
    template: &mut Template<'_>,
    stacks: &Stacks,
    stack: &Stack,
    apis: &mut Apis,
) {
    let scope = &stack.scope;
    leave_out_web_sockets(template, stacks, stack);
    read_authorizers(template, stacks, stack);
    for (kind, api_kind) in [
        ("AWS::ApiGateway::RestApi", ApiKind::Rest),
        (API, ApiKind::Http),
    ] {
        for resource in served(stacks, stack).filter(|api| api.kind == kind) {
            let Resource { id, properties, .. } = resource;
            let mut api = Api::new(api_kind);
            let path = scope.path(id);
            let stages = stages(stacks, &path, api_kind);
            let names: Vec<_> = stages.iter().filter_map(|name| name.text().ok()).collect();
            if let Some(first) = names.first()
                && names.iter().any(|name| name != first)
            {
                let message = format!("{id}: of its stages, only {first} is served");
                template.warn(resource.line, message);
            }
            api.set_stage(template, id, stages.first().copied());
            api.set_binary_media_types(template, id, properties.get("BinaryMediaTypes"));
            api.cors = cors::policy(template, id, properties.get("CorsConfiguration"));
            let body = (id.as_str(), properties.get("Body"));
            let file = asset(resource);
            if let Some(definition) = openapi::definition(template, scope, body, file) {
                for route in openapi::read(template, id, &mut api, &definition) {
                    template.add_route(route);
                }
            }
            properties.get("ProtocolType");
            apis.insert(path, api);
        }
    }
}

/// Returns the file that `cdk synth` names beside the object in S3 that it will become.
fn asset(api: &Resource) -> Option<&Node> {
    api.properties.entry("BodyS3Location")?;
    let metadata = api.node.get("Metadata")?;
    let asset = metadata.get("aws:asset:path")?;
    metadata.discard();
    api.properties.get("BodyS3Location")?.discard();
    Some(asset)
}

/// Returns whether a resource is a WebSocket API or a part of one. Its routes take messages, not requests.
fn is_of_web_socket(stacks: &Stacks, stack: &Stack, resource: &Resource) -> bool {
    let kind = match resource.kind.as_str() {
        API => resource.properties.entry("ProtocolType"),
        _ => {
            let api = refers(stack, resource, "ApiId").and_then(|path| stacks.get(&path));
            let api = api.filter(|(_, api)| api.kind == API);
            api.and_then(|(_, api)| api.properties.entry("ProtocolType"))
        }
    };
    kind.is_some_and(|kind| kind.value().text() == Ok("WEBSOCKET"))
}

/// Returns the resources that are not of WebSocket APIs.
fn served<'s>(stacks: &'s Stacks, stack: &'s Stack) -> impl Iterator<Item = &'s Resource> {
    let all = stack.resources.all.iter();
    all.filter(|resource| !is_of_web_socket(stacks, stack, resource))
}

/// Warns of the WebSocket APIs, and counts the keys of their parts as read.
fn leave_out_web_sockets(template: &mut Template<'_>, stacks: &Stacks, stack: &Stack) {
    let all = stack.resources.all.iter();
    let of_cloudformation = all.filter(|resource| resource.is_of_cloudformation());
    for resource in of_cloudformation.filter(|one| is_of_web_socket(stacks, stack, one)) {
        if resource.kind == API {
            let reason = Omission::of_type("APIs", Some("WEBSOCKET"));
            template.warn(
                resource.line,
                format!("{}: {reason}; it is left out", resource.id),
            );
        }
        resource.node.discard();
    }
}

/// Warns of the authorizers that are not kept here.
fn read_authorizers(template: &mut Template<'_>, stacks: &Stacks, stack: &Stack) {
    for resource in served(stacks, stack).filter(|one| one.kind == AUTHORIZER) {
        if let Err(reason) = authorizer(resource) {
            let message = authorizer::open(&resource.id, &reason);
            template.warn(resource.line, message);
            resource.node.discard();
        }
    }
}

fn authorizer(resource: &Resource) -> Result<JwtAuthorizer, Omission> {
    let properties = &resource.properties;
    let kind = properties.get("AuthorizerType").map(Node::text);
    match (kind, properties.get("JwtConfiguration")) {
        (Some(Ok("JWT")), Some(jwt)) => authorizer::jwt(jwt, properties.get("IdentitySource")),
        _ => Err(Omission::Authorizer),
    }
}

/// Reads the routes of a stack.
pub(super) fn read_routes(
    template: &mut Template<'_>,
    stacks: &Stacks,
    stack: &Stack,
    apis: &Apis,
) {
    for resource in served(stacks, stack) {
        let reader = Reader {
            stacks,
            stack,
            apis,
            resource,
        };
        let route = match resource.kind.as_str() {
            "AWS::ApiGateway::Method" => match reader.mock() {
                Some(mock) => {
                    template.imported.mocks.push(mock);
                    continue;
                }
                None => reader.method(),
            },
            "AWS::ApiGatewayV2::Route" => reader.http_route(),
            "AWS::ApiGatewayV2::Api" => match reader.quick_create() {
                Some(route) => route,
                None => continue,
            },
            "AWS::Lambda::Url" => {
                url(template, resource);
                continue;
            }
            _ => continue,
        };
        match route {
            Ok(route) => template.add_route(route),
            Err(reason) => {
                let message = format!("{}: {reason}; it is left out", resource.id);
                template.warn(resource.line, message);
                resource.node.discard();
            }
        }
    }
    for resource in stack
        .resources
        .all
        .iter()
        .filter(|resource| resource.is_of_cloudformation())
    {
        for key in [
            "ApiId",
            "RestApiId",
            "ParentId",
            "PathPart",
            "StageName",
            "DeploymentId",
            "AutoDeploy",
        ] {
            resource
                .properties
                .get(key)
                .into_iter()
                .for_each(Node::discard);
        }
        resource.node.get("Condition");
    }
}

/// Returns the names of the stages of the API with this path.
fn stages<'s>(stacks: &'s Stacks, api: &str, kind: ApiKind) -> Vec<&'s Node> {
    let (kinds, key) = match kind {
        ApiKind::Rest => (
            &["AWS::ApiGateway::Stage", "AWS::ApiGateway::Deployment"][..],
            "RestApiId",
        ),
        ApiKind::Http => (&["AWS::ApiGatewayV2::Stage"][..], "ApiId"),
    };
    let stages = kinds.iter().flat_map(|kind| stacks.of_kind(kind));
    let own = stages.filter(|(stack, stage)| refers(stack, stage, key).as_deref() == Some(api));
    own.filter_map(|(_, stage)| stage.properties.get("StageName"))
        .collect()
}

/// Returns the path of the resource to which a property refers.
fn refers(stack: &Stack, resource: &Resource, property: &str) -> Option<String> {
    stack.scope.resource(resource.properties.get(property)?)
}

/// Reads a resource that is a route.
struct Reader<'r> {
    stacks: &'r Stacks,
    stack: &'r Stack,
    apis: &'r Apis,
    resource: &'r Resource,
}

impl Reader<'_> {
    /// Returns the API to which a property refers. An API of another template has the settings of that
    /// template.
    fn api(&self, property: &str, kind: ApiKind) -> Api {
        let path = refers(self.stack, self.resource, property);
        let api = path.and_then(|path| self.apis.get(&path));
        let api = api.filter(|api| api.kind == kind);
        api.cloned().unwrap_or_else(|| Api::new(kind))
    }

    fn method(&self) -> Result<Route, Omission> {
        let properties = &self.resource.properties;
        none(properties, "AuthorizationType");
        let integration = properties
            .get("Integration")
            .ok_or_else(|| Omission::missing("it", "Integration"))?;
        is_proxy(integration.get("Type"))?;
        for key in [
            "IntegrationHttpMethod",
            "PassthroughBehavior",
            "ContentHandling",
            "Credentials",
            "IntegrationResponses",
        ] {
            integration.get(key).into_iter().for_each(Node::discard);
        }
        for key in ["MethodResponses", "OperationName", "RequestModels"] {
            properties.get(key).into_iter().for_each(Node::discard);
        }
        let target = target(
            integration
                .get("Uri")
                .ok_or_else(|| Omission::missing("it", "Uri"))?,
        )?;
        let is_streamed = integration
            .get("ResponseTransferMode")
            .is_some_and(|mode| mode.text() == Ok("STREAM"));
        let path = self.path()?;
        let method = properties
            .get("HttpMethod")
            .ok_or_else(|| Omission::missing("it", "HttpMethod"))?;
        let route = self.api("RestApiId", ApiKind::Rest).route(Request {
            path: &path,
            method: method
                .text()
                .map_err(|unknown| Omission::needs("its HttpMethod", &unknown))?,
            function: target.function,
            version: None,
            is_streamed: is_streamed || target.is_streamed,
            line: self.resource.line,
        })?;
        Ok(Route {
            timeout: timeout(integration, "TimeoutInMillis"),
            ..route
        })
    }

    /// Returns the response of a method OPTIONS that leads to no function, but to the headers of CORS.
    fn mock(&self) -> Option<Mock> {
        let properties = &self.resource.properties;
        let integration = properties.get("Integration")?;
        let is = |node: Option<&Node>, text| node.is_some_and(|node| node.text() == Ok(text));
        if !is(properties.get("HttpMethod"), "OPTIONS") || !is(integration.get("Type"), "MOCK") {
            return None;
        }
        let response = integration.get("IntegrationResponses")?.items().first()?;
        let status = response.get("StatusCode");
        let preflight = cors::mock(status, response.get("ResponseParameters")?)?;
        let path = self.path().ok()?.parse::<PathPattern>().ok()?;
        for key in ["AuthorizationType", "ApiKeyRequired", "MethodResponses"] {
            properties.get(key).into_iter().for_each(Node::discard);
        }
        integration.discard();
        Some(Mock {
            path: path.without_trailing_slash(),
            preflight,
        })
    }

    /// Returns the path of a method, from the root of its API.
    fn path(&self) -> Result<String, Omission> {
        let mut segments = Vec::new();
        let mut next = refers(self.stack, self.resource, "ResourceId");
        while let Some((stack, resource)) = next.and_then(|path| self.stacks.get(&path))
            && resource.kind == "AWS::ApiGateway::Resource"
        {
            let part = resource.properties.get("PathPart").map(Node::text);
            match part {
                Some(Ok(part)) if segments.len() < MAX_SEGMENTS => segments.push(part),
                _ => return Err(Omission::NotKnown(format!("the path of {}", resource.id))),
            }
            next = refers(stack, resource, "ParentId");
        }
        segments.reverse();
        Ok(format!("/{}", segments.join("/")))
    }

    fn http_route(&self) -> Result<Route, Omission> {
        let properties = &self.resource.properties;
        none(properties, "AuthorizationType");
        properties.get("OperationName");
        let integration = properties
            .get("Target")
            .ok_or_else(|| Omission::missing("it", "Target"))?;
        let integration = integration
            .text()
            .map_err(|unknown| Omission::needs("its Target", &unknown))?;
        let integration = integration.trim_start_matches("integrations/");
        let (_, integration) = self
            .stacks
            .get(&self.stack.scope.path(integration))
            .filter(|(_, found)| found.kind == "AWS::ApiGatewayV2::Integration")
            .ok_or_else(|| Omission::NoIntegration(integration.to_owned()))?;
        let settings = &integration.properties;
        is_proxy(settings.get("IntegrationType"))?;
        for key in ["IntegrationMethod", "ConnectionType", "CredentialsArn"] {
            settings.get(key).into_iter().for_each(Node::discard);
        }
        let target = target(
            settings
                .get("IntegrationUri")
                .ok_or_else(|| Omission::missing("its integration", "IntegrationUri"))?,
        )?;
        let version = settings.get("PayloadFormatVersion").map(Node::text);
        let version = version
            .transpose()
            .map_err(|unknown| Omission::needs("its payload format", &unknown))?;
        let key = properties
            .get("RouteKey")
            .ok_or_else(|| Omission::missing("it", "RouteKey"))?;
        let key = key
            .text()
            .map_err(|unknown| Omission::needs("its RouteKey", &unknown))?;
        let (method, path) = route_key(key)?;
        let route = self.api("ApiId", ApiKind::Http).route(Request {
            path,
            method,
            function: target.function,
            version: version.or(Some("1.0")),
            is_streamed: target.is_streamed,
            line: self.resource.line,
        })?;
        Ok(Route {
            authorizer: self.authorizer(),
            timeout: timeout(settings, "TimeoutInMillis"),
            ..route
        })
    }

    /// Returns the authorizer of a route, if it is one of tokens.
    fn authorizer(&self) -> Option<JwtAuthorizer> {
        let properties = &self.resource.properties;
        let kind = properties.entry("AuthorizationType")?;
        let is_jwt = |kind: &Node| kind.text() == Ok("JWT");
        kind.text_if(is_jwt)?;
        let path = refers(self.stack, self.resource, "AuthorizerId");
        let found = path.and_then(|path| self.stacks.get(&path));
        let (_, found) = found.filter(|(_, found)| found.kind == AUTHORIZER)?;
        // Its own warning says that it is not kept.
        kind.take_if(is_jwt);
        authorizer(found).ok()
    }

    /// Returns the route of an API that names its only function itself.
    fn quick_create(&self) -> Option<Result<Route, Omission>> {
        let properties = &self.resource.properties;
        let uri = properties.get("Target")?;
        let key = properties.get("RouteKey").map(Node::text);
        let api = self.apis.get(&self.stack.scope.path(&self.resource.id));
        let route = |(method, path)| {
            let target = target(uri)?;
            api.ok_or(Omission::NoApi)?.route(Request {
                path,
                method,
                function: target.function,
                version: Some("2.0"),
                is_streamed: target.is_streamed,
                line: self.resource.line,
            })
        };
        let key = match key {
            Some(Err(unknown)) => Err(Omission::needs("its RouteKey", &unknown)),
            Some(Ok(key)) => route_key(key),
            None => route_key(DEFAULT_ROUTE),
        };
        Some(key.and_then(route))
    }
}

/// Reads `GET /orders`, or `$default`.
fn route_key(key: &str) -> Result<(&str, &str), Omission> {
    match key.split_once(' ') {
        Some((method, path)) => Ok((method, path.trim())),
        None if key == DEFAULT_ROUTE => Ok(("ANY", key)),
        None => Err(Omission::RouteKey(key.to_owned())),
    }
}

fn is_proxy(kind: Option<&Node>) -> Result<(), Omission> {
    match kind.and_then(|kind| kind.text().ok()) {
        Some("AWS_PROXY") => Ok(()),
        kind => Err(Omission::of_type("integrations", kind)),
    }
}

/// Takes a property that says `NONE`, which is the case here anyway.
fn none(properties: &Node, name: &str) {
    if let Some(entry) = properties.entry(name) {
        entry.take_if(|value| value.text() == Ok("NONE"));
    }
}

fn url(template: &mut Template<'_>, resource: &Resource) {
    let function = resource.properties.get("TargetFunctionArn");
    let function = function.ok_or_else(|| Omission::missing("it", "TargetFunctionArn"));
    match function.and_then(target) {
        Ok(target) => sam::add_function_url(template, &target.function, &resource.properties),
        Err(reason) => {
            let message = format!("{}: {reason}; it is left out", resource.id);
            template.warn(resource.line, message);
            resource.node.discard();
        }
    }
}
