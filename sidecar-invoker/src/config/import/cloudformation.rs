//! The APIs of CloudFormation's own resources, as the AWS CDK writes them.
//!
//! Source: `AWS::ApiGateway::*`, `AWS::ApiGatewayV2::*` and `AWS::Lambda::Url` in the AWS CloudFormation
//! template reference.

use std::collections::BTreeMap;

use super::api::{Api, ApiKind, Request, target};
use super::intrinsic::Scope;
use super::node::Node;
use super::openapi;
use super::resource::{Resource, Resources};
use super::sam;
use super::template::Template;
use crate::config::routes::Route;

/// The longest way from a resource of a REST API to the root.
const MAX_SEGMENTS: usize = 100;

/// Reads all of them.
pub(super) fn read(template: &mut Template<'_>, scope: &Scope, resources: &Resources) {
    let mut apis = BTreeMap::new();
    for (kind, api_kind) in [
        ("AWS::ApiGateway::RestApi", ApiKind::Rest),
        ("AWS::ApiGatewayV2::Api", ApiKind::Http),
    ] {
        for resource in resources.of_kind(kind) {
            let Resource { id, properties, .. } = resource;
            let mut api = Api::new(api_kind);
            api.set_stage(template, id, stage(resources, resource, api_kind));
            api.set_binary_media_types(template, id, properties.get("BinaryMediaTypes"));
            let body = (id.as_str(), properties.get("Body"));
            if let Some(definition) = openapi::definition(template, scope, body, None) {
                for route in openapi::read(template, id, &mut api, &definition) {
                    template.add_route(route);
                }
            }
            properties.get("ProtocolType");
            apis.insert(id.as_str(), api);
        }
    }
    for resource in &resources.all {
        let route = match resource.kind.as_str() {
            "AWS::ApiGateway::Method" => method(resources, &apis, resource),
            "AWS::ApiGatewayV2::Route" => http_route(resources, &apis, resource),
            "AWS::ApiGatewayV2::Api" => match quick_create(&apis, resource) {
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
    for resource in resources
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

/// Returns the name of an API's stage.
fn stage<'r>(resources: &'r Resources, api: &Resource, kind: ApiKind) -> Option<&'r Node> {
    let (kinds, key) = match kind {
        ApiKind::Rest => (
            &["AWS::ApiGateway::Stage", "AWS::ApiGateway::Deployment"][..],
            "RestApiId",
        ),
        ApiKind::Http => (&["AWS::ApiGatewayV2::Stage"][..], "ApiId"),
    };
    let stages = kinds.iter().flat_map(|kind| resources.of_kind(kind));
    let mut stages = stages.filter(|stage| refers(stage, key) == Some(api.id.as_str()));
    stages.find_map(|stage| stage.properties.get("StageName"))
}

/// Returns the logical id of the resource to which a property refers.
fn refers<'r>(resource: &'r Resource, property: &str) -> Option<&'r str> {
    resource.properties.get(property)?.resource()
}

fn method(
    resources: &Resources,
    apis: &BTreeMap<&str, Api>,
    resource: &Resource,
) -> Result<Route, String> {
    let properties = &resource.properties;
    none(properties, "AuthorizationType");
    let outside = Api::new(ApiKind::Rest);
    let api = refers(resource, "RestApiId").and_then(|id| apis.get(id));
    let integration = properties
        .get("Integration")
        .ok_or("it has no Integration")?;
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
    let target = target(integration.get("Uri").ok_or("it has no Uri")?)?;
    let is_streamed = integration
        .get("ResponseTransferMode")
        .is_some_and(|mode| mode.text() == Ok("STREAM"));
    let path = path(resources, resource)?;
    let method = properties.get("HttpMethod").ok_or("it has no HttpMethod")?;
    api.unwrap_or(&outside).route(Request {
        path: &path,
        method: method
            .text()
            .map_err(|unknown| format!("its HttpMethod needs {}", unknown.needs))?,
        function: target.function,
        version: None,
        is_streamed: is_streamed || target.is_streamed,
        line: resource.line,
    })
}

/// Returns the path of a method, from the root of its API.
fn path(resources: &Resources, method: &Resource) -> Result<String, String> {
    let mut segments = Vec::new();
    let mut next = refers(method, "ResourceId");
    while let Some(resource) = next.and_then(|id| resources.get(id))
        && resource.kind == "AWS::ApiGateway::Resource"
    {
        let part = resource.properties.get("PathPart").map(Node::text);
        match part {
            Some(Ok(part)) if segments.len() < MAX_SEGMENTS => segments.push(part),
            _ => return Err(format!("the path of {} is not known here", resource.id)),
        }
        next = refers(resource, "ParentId");
    }
    segments.reverse();
    Ok(format!("/{}", segments.join("/")))
}

fn http_route(
    resources: &Resources,
    apis: &BTreeMap<&str, Api>,
    resource: &Resource,
) -> Result<Route, String> {
    let properties = &resource.properties;
    none(properties, "AuthorizationType");
    properties.get("OperationName");
    let outside = Api::new(ApiKind::Http);
    let api = refers(resource, "ApiId").and_then(|id| apis.get(id));
    let integration = properties.get("Target").ok_or("it has no Target")?;
    let integration = integration.text().map_err(|unknown| {
        format!(
            "its Target needs {}, which is not known here",
            unknown.needs
        )
    })?;
    let integration = integration.trim_start_matches("integrations/");
    let integration = resources
        .get(integration)
        .filter(|resource| resource.kind == "AWS::ApiGatewayV2::Integration")
        .ok_or_else(|| format!("there is no integration {integration}"))?;
    let settings = &integration.properties;
    is_proxy(settings.get("IntegrationType"))?;
    for key in ["IntegrationMethod", "ConnectionType", "CredentialsArn"] {
        settings.get(key).into_iter().for_each(Node::discard);
    }
    let target = target(
        settings
            .get("IntegrationUri")
            .ok_or("its integration has no IntegrationUri")?,
    )?;
    let version = settings.get("PayloadFormatVersion").map(Node::text);
    let version = version
        .transpose()
        .map_err(|unknown| format!("its payload format needs {}", unknown.needs))?;
    let key = properties.get("RouteKey").ok_or("it has no RouteKey")?;
    let key = key.text().map_err(|unknown| {
        format!(
            "its RouteKey needs {}, which is not known here",
            unknown.needs
        )
    })?;
    let (method, path) = route_key(key)?;
    api.unwrap_or(&outside).route(Request {
        path,
        method,
        function: target.function,
        version: version.or(Some("1.0")),
        is_streamed: target.is_streamed,
        line: resource.line,
    })
}

/// Returns the route of an API that names its only function itself.
fn quick_create(apis: &BTreeMap<&str, Api>, resource: &Resource) -> Option<Result<Route, String>> {
    let uri = resource.properties.get("Target")?;
    let key = resource.properties.get("RouteKey").map(Node::text);
    let route = |(method, path)| {
        let target = target(uri)?;
        let api = apis.get(resource.id.as_str()).ok_or("it is no API")?;
        api.route(Request {
            path,
            method,
            function: target.function,
            version: Some("2.0"),
            is_streamed: target.is_streamed,
            line: resource.line,
        })
    };
    let key = match key {
        Some(Err(unknown)) => Err(format!("its RouteKey needs {}", unknown.needs)),
        Some(Ok(key)) => route_key(key),
        None => route_key("$default"),
    };
    Some(key.and_then(route))
}

/// Reads `GET /orders`, or `$default`.
fn route_key(key: &str) -> Result<(&str, &str), String> {
    match key.split_once(' ') {
        Some((method, path)) => Ok((method, path.trim())),
        None if key == "$default" => Ok(("ANY", key)),
        None => Err(format!(
            "its RouteKey is \"{}\", which is not served here",
            key.escape_debug()
        )),
    }
}

fn is_proxy(kind: Option<&Node>) -> Result<(), String> {
    match kind.and_then(|kind| kind.text().ok()) {
        Some("AWS_PROXY") => Ok(()),
        kind => Err(format!(
            "integrations of the type {} are not served here",
            kind.unwrap_or("unknown")
        )),
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
    let function = function.ok_or_else(|| "it has no TargetFunctionArn".to_owned());
    match function.and_then(target) {
        Ok(target) => sam::add_function_url(template, &target.function, &resource.properties),
        Err(reason) => {
            let message = format!("{}: {reason}; it is left out", resource.id);
            template.warn(resource.line, message);
            resource.node.discard();
        }
    }
}
