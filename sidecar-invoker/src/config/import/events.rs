//! A function's events: which requests it gets.
//!
//! Source: "HttpApi" and "Api" among the event sources of `AWS::Serverless::Function` in the AWS SAM
//! developer guide.

use hyper::Method;
use serde_json::Map;

use super::intrinsic::Scope;
use super::template::{Template, child, entries, scalar};
use crate::config::pattern::{Host, PathPattern};
use crate::config::routes::Route;
use crate::config::yaml::tree::YamlNode;
use lambda_api::FunctionName;

/// Reads `Events` of the function `id`.
pub(super) fn read(
    template: &mut Template<'_>,
    scope: &Scope<'_>,
    function: &FunctionName,
    events: &YamlNode,
) {
    for (key, event) in entries(events) {
        let kind = child(event, "Type").and_then(scalar).unwrap_or_default();
        let route = match kind {
            "HttpApi" => http_api(scope, event),
            "Api" => rest_api(scope, event),
            kind => Err(format!(
                "events of the type {kind} are not delivered here; HttpApi and Api are"
            )),
        };
        let at = format!("{function}: Events.{}", key.text);
        match route {
            Ok((path, method, payload)) => template.imported.routes.push(Route {
                host: Host::any(),
                path,
                method,
                function: function.clone(),
                lambda: Map::from_iter([
                    ("function".to_owned(), function.to_string().into()),
                    ("payload".to_owned(), payload.into()),
                ]),
                timeout: None,
                line: key.line,
            }),
            Err(reason) => template.warn(key.line, format!("{at}: {reason}")),
        }
        let properties = child(event, "Properties");
        if let Some(auth) = properties.and_then(|properties| child(properties, "Auth")) {
            template.warn(auth.line, format!("{at}.Auth: nothing is authorised here"));
        }
    }
}

/// The requests that an event matches, and the filter's `payload` for them.
type Match = (PathPattern, Option<Method>, &'static str);

/// Reads an event of the type `HttpApi`. An event without a path is the API's default route.
fn http_api(scope: &Scope<'_>, event: &YamlNode) -> Result<Match, String> {
    let payload = match property(scope, event, "PayloadFormatVersion")?.as_deref() {
        None | Some("2.0") => "apigateway-v2",
        Some("1.0") => "apigateway-v1",
        Some(other) => return Err(format!("there is no payload format {other}")),
    };
    let path = property(scope, event, "Path")?.filter(|path| path != "$default");
    let path = path.map_or(Ok(PathPattern::any()), |path| path.parse())?;
    Ok((path, method(scope, event)?, payload))
}

fn rest_api(scope: &Scope<'_>, event: &YamlNode) -> Result<Match, String> {
    let path = property(scope, event, "Path")?.ok_or("it has no Path")?;
    Ok((path.parse()?, method(scope, event)?, "apigateway-v1"))
}

/// `ANY` and `x-amazon-apigateway-any-method` are every method.
fn method(scope: &Scope<'_>, event: &YamlNode) -> Result<Option<Method>, String> {
    let Some(text) = property(scope, event, "Method")? else {
        return Ok(None);
    };
    match text.to_ascii_uppercase().as_str() {
        "ANY" | "X-AMAZON-APIGATEWAY-ANY-METHOD" => Ok(None),
        upper => match Method::from_bytes(upper.as_bytes()) {
            Ok(method) => Ok(Some(method)),
            Err(_) => Err(format!("{text} is no method")),
        },
    }
}

fn property(scope: &Scope<'_>, event: &YamlNode, name: &str) -> Result<Option<String>, String> {
    let value = child(event, "Properties").and_then(|properties| child(properties, name));
    let Some(value) = value else { return Ok(None) };
    scope
        .text(value)
        .map_err(|unknown| format!("its {name} needs {unknown}, which is not known here"))
}
