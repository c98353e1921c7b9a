//! The rules for web pages of other origins (CORS).
//!
//! Source: `CorsConfiguration` of `AWS::Serverless::Api` and of `AWS::Serverless::HttpApi` in the AWS SAM developer
//! guide, "Configure CORS for HTTP APIs" and "Enable CORS on a resource using the API Gateway import API" in the
//! Amazon API Gateway developer guides, `Cors` of `AWS::Lambda::Url` in the AWS CloudFormation template reference; for
//! the headers of a REST API also samtranslator 1.115.

use hyper::header::{HeaderName, HeaderValue};

use super::node::{Kind, Node};
use super::omission::Omission;
use super::template::{Imported, Mock, Template};
use crate::config::cors::{Cors, CorsPolicy, Preflight};

/// Reads the values of keys, and warns of those that are not known.
struct Reader<'t, 'i> {
    template: &'t mut Template<'i>,
    /// The resource, for messages.
    id: &'t str,
}

impl Reader<'_, '_> {
    /// Returns the valid texts of a list, or of a text alone.
    fn texts(&mut self, name: &str, node: Option<&Node>) -> Vec<String> {
        let Some(node) = node else { return Vec::new() };
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for item in items {
            match item.text() {
                Ok(text) if is_header(text) => texts.push(text.to_owned()),
                Ok(_) => self.warn(item, &format!("{name} has a text that no header can have")),
                Err(unknown) => self.warn(item, &Omission::needs(name, &unknown).to_string()),
            }
        }
        texts
    }

    fn text(&mut self, name: &str, node: Option<&Node>) -> Option<String> {
        self.texts(name, node).into_iter().next()
    }

    fn is_true(&mut self, name: &str, node: Option<&Node>) -> bool {
        self.text(name, node).is_some_and(|text| text == "true")
    }

    fn warn(&mut self, node: &Node, reason: &str) {
        let message = format!("{}: {reason}; it is left out", self.id);
        self.template.warn(node.line, message);
    }
}

/// Returns the rules of an HTTP API or of a function URL. The keys of an API's definition in OpenAPI begin with a
/// small letter.
pub(super) fn policy(template: &mut Template<'_>, id: &str, cors: Option<&Node>) -> Option<Cors> {
    let cors = cors?;
    let mut reader = Reader { template, id };
    let mut policy = CorsPolicy::default();
    match &cors.kind {
        Kind::Mapping(_) => {
            let get = |name: &str| {
                let small = name.get(..1).unwrap_or_default().to_ascii_lowercase()
                    + name.get(1..).unwrap_or_default();
                cors.get(name).or_else(|| cors.get(&small))
            };
            policy.origins = reader.texts("AllowOrigins", get("AllowOrigins"));
            policy.methods = reader.texts("AllowMethods", get("AllowMethods"));
            policy.headers = reader.texts("AllowHeaders", get("AllowHeaders"));
            policy.exposed_headers = reader.texts("ExposeHeaders", get("ExposeHeaders"));
            policy.allows_credentials = reader.is_true("AllowCredentials", get("AllowCredentials"));
            if let Some(text) = reader.text("MaxAge", get("MaxAge")) {
                policy.max_age = text.parse().ok();
                if policy.max_age.is_none() {
                    reader.warn(cors, "MaxAge is no number of seconds");
                }
            }
        }
        Kind::Text(text) if text == "false" => return None,
        // `CorsConfiguration: true` of AWS SAM.
        Kind::Text(text) if text == "true" => policy.origins.push("*".to_owned()),
        _ => {
            let reason = cors.text().map_or_else(
                |unknown| Omission::needs("CORS", &unknown).to_string(),
                |text| format!("CORS is \"{text}\", neither true nor its settings"),
            );
            reader.warn(cors, &reason);
            return None;
        }
    }
    if policy.origins.is_empty() {
        reader.warn(cors, "CORS has no AllowOrigins");
        return None;
    }
    Some(Cors::Policy(policy))
}

/// Returns the rules of a REST API of AWS SAM. Its texts stand in single quotes once more.
pub(super) fn of_rest_api(
    template: &mut Template<'_>,
    id: &str,
    cors: Option<&Node>,
) -> Option<Cors> {
    let cors = cors?;
    let mut reader = Reader { template, id };
    let mut headers = Vec::new();
    let mut add = |name: &str, value| headers.push((format!("access-control-{name}"), value));
    let origin = match &cors.kind {
        Kind::Mapping(_) => cors.get("AllowOrigin"),
        _ => Some(cors),
    };
    let mut lists_methods = true;
    let origin = match origin {
        None => "*".to_owned(),
        given => {
            let origin = reader.quoted("Cors.AllowOrigin", given);
            origin.or_else(|| {
                cors.discard();
                None
            })?
        }
    };
    add("allow-origin", origin);
    for (name, header) in [
        ("AllowHeaders", "allow-headers"),
        ("AllowMethods", "allow-methods"),
        ("MaxAge", "max-age"),
    ] {
        if let Some(value) = reader.quoted(&format!("Cors.{name}"), cors.get(name)) {
            lists_methods &= name != "AllowMethods";
            add(header, value);
        }
    }
    if reader.is_true("Cors.AllowCredentials", cors.get("AllowCredentials")) {
        add("allow-credentials", "true".to_owned());
    }
    Some(Cors::Preflight(Preflight {
        status: 200,
        headers,
        lists_methods,
    }))
}

impl Reader<'_, '_> {
    /// Returns a text without its single quotes.
    fn quoted(&mut self, name: &str, node: Option<&Node>) -> Option<String> {
        let text = self.text(name, node)?;
        let inner = unquoted(&text);
        if let (None, Some(node)) = (inner, node) {
            let message = format!(
                "{}: {name} needs single quotes of its own on AWS: \"'{text}'\"",
                self.id
            );
            self.template.warn(node.line, message);
        }
        Some(inner.unwrap_or(&text).to_owned())
    }
}

/// Returns the response of an integration of the type `mock`, whose headers stand under `parameters`: names such
/// as `method.response.header.Access-Control-Allow-Origin`. `None` if none is of CORS, or if one depends on the
/// request.
pub(super) fn mock(status: Option<&Node>, parameters: &Node) -> Option<Preflight> {
    let mut headers = Vec::new();
    for entry in parameters.entries() {
        let name = entry.name.strip_prefix("method.response.header.");
        let name = name.and_then(|name| name.parse::<HeaderName>().ok());
        let value = entry.value().text().ok().and_then(unquoted);
        let value = value.filter(|value| is_header(value));
        headers.push((name?.to_string(), value?.to_owned()));
    }
    let is_of_cors = |(name, _): &(String, String)| name.starts_with("access-control-");
    headers.iter().any(is_of_cors).then_some(Preflight {
        status: status
            .and_then(|status| status.text().ok()?.parse().ok())
            .filter(|status| (200..=599).contains(status))
            .unwrap_or(200),
        headers,
        lists_methods: false,
    })
}

/// Gives the routes of REST APIs the responses to OPTIONS that stand apart from them.
pub(super) fn take_mocks(imported: &mut Imported) {
    for Mock { path, preflight } in std::mem::take(&mut imported.mocks) {
        let routes = imported.routes.iter_mut().map(|found| &mut found.route);
        for route in routes.filter(|route| route.is_rest_api && route.path.is_same(&path)) {
            let preflight = Cors::Preflight(preflight.clone());
            route.cors.get_or_insert(preflight);
        }
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'')
}

fn is_header(text: &str) -> bool {
    let value = HeaderValue::from_str(text);
    !text.is_empty() && value.is_ok_and(|value| value.to_str().is_ok())
}
