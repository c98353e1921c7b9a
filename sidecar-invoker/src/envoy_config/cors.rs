//! The rules for web pages of other origins (CORS), as Envoy takes them.
//!
//! Envoy's filter `cors` answers a preflight request only if a route takes it, with another action than a direct
//! response. So a path without a route for OPTIONS gets one.

use hyper::Method;
use serde_json::{Map, Value, json};

use crate::config::{Cors, CorsPolicy, Preflight, Route};

/// The name of Envoy's filter.
pub(super) const FILTER: &str = "envoy.filters.http.cors";

/// The methods of a REST API's `ANY`.
const ALL_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Returns whether a route needs the filter.
pub(super) fn is_needed(routes: &[Route]) -> bool {
    let mut rules = routes.iter().map(|route| &route.cors);
    rules.any(|cors| matches!(cors, Some(Cors::Policy(_))))
}

/// Returns the configuration of the filter for a route.
pub(super) fn of_route(route: &Route) -> Option<Value> {
    match &route.cors {
        Some(Cors::Policy(policy)) => Some(of_policy(policy)),
        _ => None,
    }
}

fn of_policy(policy: &CorsPolicy) -> Value {
    let origin = |origin: &String| match origin.strip_suffix("://*") {
        Some(scheme) => json!({ "prefix": format!("{scheme}://") }),
        None => json!({ "exact": origin }),
    };
    let origins: Vec<_> = policy.origins.iter().map(origin).collect();
    let mut fields = Map::from_iter([
        (
            "@type".to_owned(),
            json!("type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"),
        ),
        ("allow_origin_string_match".to_owned(), json!(origins)),
        // A preflight request never reaches the function.
        ("forward_not_matching_preflights".to_owned(), json!(false)),
    ]);
    for (name, list) in [
        ("allow_methods", &policy.methods),
        ("allow_headers", &policy.headers),
        ("expose_headers", &policy.exposed_headers),
    ] {
        if !list.is_empty() {
            fields.insert(name.to_owned(), json!(list.join(",")));
        }
    }
    if let Some(seconds) = policy.max_age {
        fields.insert("max_age".to_owned(), json!(seconds.to_string()));
    }
    if policy.allows_credentials {
        fields.insert("allow_credentials".to_owned(), json!(true));
    }
    Value::Object(fields)
}

/// A route in front of another one that takes its requests with OPTIONS.
pub(super) enum Before<'r> {
    /// Takes preflight requests alone, which the filter answers.
    Preflight,
    /// Has a response of its own.
    Response(&'r Preflight),
}

/// Returns the route for OPTIONS that the route at `index` needs in front of itself. `routes` are those of its
/// host. The first route of a path has it, unless the path has a route for OPTIONS.
pub(super) fn before<'r>(routes: &[&'r Route], index: usize) -> Option<Before<'r>> {
    let route = routes.get(index)?;
    let cors = route.cors.as_ref()?;
    let has_rules = |other: &&Route| other.path.is_same(&route.path) && other.cors.is_some();
    let mut earlier = routes.iter().take(index);
    let is_first = !earlier.any(has_rules);
    let takes_options = |method: &Option<Method>| match cors {
        Cors::Policy(_) => method.is_none() || *method == Some(Method::OPTIONS),
        Cors::Preflight(_) => *method == Some(Method::OPTIONS),
    };
    let mut same = routes
        .iter()
        .filter(|other| other.path.is_same(&route.path));
    if !is_first || same.any(|other| takes_options(&other.method)) {
        return None;
    }
    Some(match cors {
        Cors::Policy(_) => Before::Preflight,
        Cors::Preflight(preflight) => Before::Response(preflight),
    })
}

/// Returns the headers of the response to OPTIONS of a path, see [`before`].
pub(super) fn headers(routes: &[&Route], route: &Route, preflight: &Preflight) -> Value {
    let mut headers = preflight.headers.clone();
    if preflight.lists_methods {
        headers.push((
            "access-control-allow-methods".to_owned(),
            methods(routes, route),
        ));
    }
    let header = |(name, value): (String, String)| {
        // Envoy reads the value as a format string.
        json!({ "header": { "key": name, "value": value.replace('%', "%%") } })
    };
    headers.into_iter().map(header).collect()
}

/// Returns the methods of a path.
fn methods(routes: &[&Route], route: &Route) -> String {
    let same = routes
        .iter()
        .filter(|other| other.path.is_same(&route.path));
    let methods: Option<Vec<&str>> = same
        .map(|route| route.method.as_ref().map(Method::as_str))
        .collect();
    let mut methods = match methods {
        Some(methods) => methods,
        None => ALL_METHODS.to_vec(),
    };
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.dedup();
    methods.join(",")
}
