//! The definition of an API in OpenAPI, and its integrations with functions.
//!
//! Source: "x-amazon-apigateway-integration object", "x-amazon-apigateway-integrations object" and
//! "x-amazon-apigateway-any-method object" in the Amazon API Gateway developer guides.

use std::fs;

use super::api::{Api, ApiKind, DEFAULT_ROUTE, Request, target, timeout};
use super::cors;
use super::intrinsic::Scope;
use super::node::{Kind, Node};
use super::omission::Omission;
use super::template::{Mock, Template};
use crate::config::pattern::PathPattern;
use crate::config::routes::Route;
use crate::config::yaml::tree;

/// The keys that describe an API or a method, and change nothing about a call.
const DESCRIPTIONS: [&str; 22] = [
    "components",
    "consumes",
    "definitions",
    "deprecated",
    "description",
    "externalDocs",
    "host",
    "info",
    "openapi",
    "operationId",
    "parameters",
    "produces",
    "requestBody",
    "responses",
    "schemes",
    "servers",
    "summary",
    "swagger",
    "tags",
    "basePath",
    "x-amazon-apigateway-documentation",
    "x-amazon-apigateway-gateway-responses",
];

/// The keys of an integration that change nothing, if it leads to a function.
const OF_INTEGRATION: [&str; 6] = [
    "connectionType",
    "contentHandling",
    "credentials",
    "httpMethod",
    "passthroughBehavior",
    "responses",
];

const INTEGRATION: &str = "x-amazon-apigateway-integration";

/// Returns the definition that stands in a template, or in a file that the template names.
pub(super) fn definition(
    template: &mut Template<'_>,
    scope: &Scope,
    (id, body): (&str, Option<&Node>),
    uri: Option<&Node>,
) -> Option<Node> {
    // SAM's way to take a file into a template.
    let include = body.and_then(|body| body.get("Fn::Transform"));
    let include = include.and_then(|include| {
        include.get("Name")?;
        include.get("Parameters")?.get("Location")
    });
    let file = match (include.or(uri), body) {
        (None, body) => return body.cloned(),
        (Some(file), _) => file,
    };
    let read = match file.text() {
        Ok(name) if !name.starts_with("s3://") => {
            let path = template.source.directory.join(name);
            let files = &mut template.imported.files;
            if !files.contains(&path) {
                files.push(path.clone());
            }
            let text =
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
            match text.map(|text| tree::parse_template(&text)) {
                Ok(Ok(definition)) => Ok(definition),
                // Without it, `up` would take routes away while the file is being edited.
                Ok(Err(error)) => {
                    let mistake = format!("{}:{}: {}", path.display(), error.line, error.message);
                    template.imported.mistakes.push(mistake);
                    file.discard();
                    return None;
                }
                Err(reason) => Err(reason),
            }
        }
        _ => Err("it is not a file on this machine".to_owned()),
    };
    match read {
        Ok(read) => {
            let mut definition = scope.evaluate(&read);
            // Its lines are not those of the template.
            at_line(&mut definition, file.line);
            Some(definition)
        }
        Err(reason) => {
            file.discard();
            template.warn(
                file.line,
                format!("{id}: its definition cannot be read: {reason}"),
            );
            None
        }
    }
}

fn at_line(node: &mut Node, line: usize) {
    node.line = line;
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| at_line(item, line)),
        Kind::Mapping(entries) => entries
            .iter_mut()
            .for_each(|entry| entry.change(|value| at_line(value, line), line)),
        Kind::Absent | Kind::Null | Kind::Text(_) | Kind::Unknown(_) => {}
    }
}

/// Returns the routes of a definition, and adds its media types to the API.
pub(super) fn read(
    template: &mut Template<'_>,
    id: &str,
    api: &mut Api,
    definition: &Node,
) -> Vec<Route> {
    for key in DESCRIPTIONS {
        definition.get(key).into_iter().for_each(Node::discard);
    }
    let types = definition.get("x-amazon-apigateway-binary-media-types");
    api.set_binary_media_types(template, id, types);
    if let (ApiKind::Http, None) = (api.kind, &api.cors) {
        api.cors = cors::policy(template, id, definition.get("x-amazon-apigateway-cors"));
    }
    let mut routes = Vec::new();
    let paths = definition.get("paths");
    for path in paths.into_iter().flat_map(Node::entries) {
        for key in DESCRIPTIONS {
            path.value().get(key).into_iter().for_each(Node::discard);
        }
        let methods = path.value().entries();
        for method in methods.filter(|entry| !DESCRIPTIONS.contains(&entry.name.as_str())) {
            let operation = method.value();
            for key in DESCRIPTIONS {
                operation.get(key).into_iter().for_each(Node::discard);
            }
            let name = match method.name.as_str() {
                "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                method => method.to_ascii_uppercase(),
            };
            if let ("OPTIONS", ApiKind::Rest) = (name.as_str(), api.kind)
                && let Some(mock) = mock(&path.name, operation)
            {
                operation.discard();
                template.imported.mocks.push(mock);
                continue;
            }
            let name = format!("{name} {}", path.name);
            let is_default = operation.get("isDefaultRoute");
            let path = match is_default.is_some_and(|is| is.text() == Ok("true")) {
                true => DEFAULT_ROUTE,
                false => path.name.as_str(),
            };
            let route = integration(definition, operation)
                .and_then(|integration| route(api, (&method.name, path), integration, method.line));
            match route {
                Ok(route) => routes.push(route),
                Err(reason) => {
                    template.warn(
                        method.line,
                        format!("{id}: {name}: {reason}; it is left out"),
                    );
                    operation.discard();
                }
            }
        }
    }
    if paths.is_none() {
        template.warn(
            definition.line,
            format!("{id}: its definition has no paths that are known here"),
        );
    }
    warn_of_unread(template, id, definition);
    routes
}

/// Returns the response of a method OPTIONS that leads to no function, but to the headers of CORS.
fn mock(path: &str, operation: &Node) -> Option<Mock> {
    let integration = operation.get(INTEGRATION)?;
    let kind = integration.get("type")?.text().ok()?;
    if !kind.eq_ignore_ascii_case("mock") {
        return None;
    }
    let response = integration.get("responses")?.entries().next()?.value();
    let parameters = response.get("responseParameters")?;
    let path = path.parse::<PathPattern>().ok()?;
    Some(Mock {
        path: path.without_trailing_slash(),
        preflight: cors::mock(response.get("statusCode"), parameters)?,
    })
}

/// Returns the integration of an operation, which an HTTP API may describe in its `components`.
fn integration<'d>(definition: &'d Node, operation: &'d Node) -> Result<&'d Node, Omission> {
    let own = operation
        .get(INTEGRATION)
        .ok_or_else(|| Omission::missing("it", INTEGRATION))?;
    let Some(reference) = own.get("$ref") else {
        return Ok(own);
    };
    let reference = reference
        .text()
        .map_err(|unknown| Omission::needs("its integration", &unknown))?;
    let mut keys = reference.split('/');
    let found = match keys.next() {
        Some("#") => keys.try_fold(definition, |node, key| node.get(key)),
        _ => None,
    };
    found.ok_or_else(|| Omission::NoIntegration(reference.to_owned()))
}

fn route(
    api: &Api,
    (method, path): (&str, &str),
    integration: &Node,
    line: usize,
) -> Result<Route, Omission> {
    for key in OF_INTEGRATION {
        integration.get(key).into_iter().for_each(Node::discard);
    }
    let kind = integration.get("type").and_then(|kind| kind.text().ok());
    if !kind.unwrap_or_default().eq_ignore_ascii_case("aws_proxy") {
        return Err(Omission::of_type("integrations", kind));
    }
    let uri = integration.get("uri");
    let target = target(uri.ok_or_else(|| Omission::missing("its integration", "uri"))?)?;
    let timeout = timeout(integration, "timeoutInMillis");
    let version = integration.get("payloadFormatVersion");
    let is_streamed = integration
        .get("responseTransferMode")
        .is_some_and(|mode| mode.text() == Ok("STREAM"));
    let route = api.route(Request {
        path,
        method,
        function: target.function,
        version: version
            .and_then(|version| version.text().ok())
            .or(Some("1.0")),
        is_streamed: is_streamed || target.is_streamed,
        line,
    })?;
    Ok(Route { timeout, ..route })
}

/// Warns of the keys that have no effect, each once.
fn warn_of_unread(template: &mut Template<'_>, id: &str, definition: &Node) {
    let mut seen = Vec::new();
    for key in definition.unread() {
        let last = key.path.rsplit('.').next().unwrap_or_default().to_owned();
        if !seen.contains(&last) {
            let reason = match last.as_str() {
                "security" | "securityDefinitions" => {
                    "has no effect here: the routes are open to every caller"
                }
                _ => "is not understood and has no effect here",
            };
            let message = format!("{id}: {last} in its definition {reason}");
            template.warn(key.line, message);
            seen.push(last);
        }
    }
    definition.discard();
}
