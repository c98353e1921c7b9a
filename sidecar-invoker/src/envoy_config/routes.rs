//! The virtual hosts of a configuration.

use std::fmt::Write;
use std::time::Duration;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::conditions;
use super::cors::{self, Before};
use super::filter::Filter;
use super::jwt::{self, Authorizers};
use super::yaml;
use crate::config::{BackendConfig, Form, FunctionConfig, Host, PathPattern, Route};

/// The longest timeout of a Lambda function.
const MAX_FUNCTION_TIMEOUT: Duration = Duration::from_secs(900);
/// The time that Envoy waits beyond the timeout of a function, for the queue and for the invoker's
/// response. With it, the client gets the error of the function instead of Envoy's.
const MARGIN: Duration = Duration::from_secs(10);
/// Envoy's default for the longest silence of a stream. A longer invocation needs a longer idle timeout.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The health endpoints. Envoy itself responds to GET and HEAD: with `pong` to `PREFIX/ping`, and with an
/// empty 200 to `PREFIX/healthz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The prefix of the two paths: empty, or a path such as `/internal`.
    pub prefix: String,
    /// Puts the endpoints before the routes of each host, and not only of `*`.
    pub every_host: bool,
}

impl Health {
    /// Returns the names of the endpoints whose requests a route of `*` takes: a route of the same path,
    /// for the methods that the endpoints have.
    pub(super) fn taken<'r>(&'r self, routes: &'r [Route]) -> impl Iterator<Item = &'static str> {
        let takes = |route: &Route, path: &str| {
            let methods = [None, Some(Method::GET), Some(Method::HEAD)];
            route.host == Host::any()
                && route.conditions.is_empty()
                && route.path.form() == Form::Exact
                && matched(route).as_str() == path
                && methods.contains(&route.method)
        };
        ENDPOINTS.into_iter().filter(move |name| {
            let path = format!("{}/{name}", self.prefix);
            routes.iter().any(|route| takes(route, &path))
        })
    }
}

/// The names of the health endpoints.
const ENDPOINTS: [&str; 2] = ["ping", "healthz"];

/// Returns the timeout of a route that sets none.
pub(super) fn default_timeout(function: Option<&FunctionConfig>) -> Duration {
    let timeout = match function.map(|function| &function.backend) {
        Some(BackendConfig::Local(local)) => local.init_timeout + local.timeout,
        Some(BackendConfig::Rie(rie)) => rie.timeout,
        Some(BackendConfig::Aws(aws)) => aws.call.timeout,
        None => MAX_FUNCTION_TIMEOUT,
    };
    timeout + MARGIN
}

/// Returns the list under `virtual_hosts`: first `*` with the health endpoints, then the hosts in the
/// order of their first routes. Envoy selects the most specific host, whatever the order.
pub(super) fn virtual_hosts(routes: &[Route], health: &Health, filter: &Filter) -> String {
    let mut out = String::new();
    let any = Host::any();
    let mut names = Vec::new();
    let authorizers = Authorizers::of(routes);
    let mut virtual_host = |host: &Host, first: &str| {
        let name = unique_name(host, &names);
        let routes: Vec<_> = routes.iter().filter(|route| route.host == *host).collect();
        write_virtual_host(
            &mut out,
            (host, &name),
            (&routes, filter, &authorizers),
            first,
        );
        names.push(name);
    };
    virtual_host(&any, &endpoints(health, routes));
    let again = if health.every_host {
        "              - *ping\n              - *healthz\n"
    } else {
        ""
    };
    let mut seen = vec![&any];
    for Route { host, .. } in routes {
        if !seen.contains(&host) {
            seen.push(host);
            virtual_host(host, again);
        }
    }
    out
}

fn write_virtual_host(
    out: &mut String,
    (host, name): (&Host, &str),
    (routes, filter, authorizers): (&[&Route], &Filter, &Authorizers<'_>),
    first: &str,
) {
    let domain = yaml::text(host.as_str());
    // Writing to a String never fails.
    let _ = write!(
        out,
        "            - name: {}\n              domains: [{domain}]\n              routes:\n{first}",
        yaml::text(name)
    );
    for (index, route) in routes.iter().enumerate() {
        if let Some(before) = cors::before(routes, index) {
            write_options(out, (routes, route), &before);
        }
        let cors = cors::of_route(route).map(|config| (cors::FILTER, config));
        let jwt = authorizers.of_route(route);
        let jwt = jwt.map(|config| (jwt::FILTER, config));
        let others: Vec<_> = cors.into_iter().chain(jwt).collect();
        let _ = write!(
            out,
            "              - match: {}\n                stat_prefix: {}\n                \
             route: {}\n{}",
            yaml::flow(&matching(route)),
            yaml::text(route.function.as_str()),
            yaml::flow(&action(route)),
            filter.in_route(keys(route), &others),
        );
    }
}

/// Writes the route for OPTIONS in front of `route`.
fn write_options(out: &mut String, (routes, route): (&[&Route], &Route), before: &Before<'_>) {
    let present = |name: &str| json!({ "name": name, "present_match": true });
    let mut headers = vec![method_is(&Method::OPTIONS)];
    let action = match before {
        Before::Preflight => {
            headers.push(present("origin"));
            headers.push(present("access-control-request-method"));
            let config = cors::of_route(route).unwrap_or_default();
            format!(
                "                route: {{ cluster: invoker }}\n                \
                 typed_per_filter_config:\n                  {}: {}\n",
                cors::FILTER,
                yaml::flow(&config)
            )
        }
        Before::Response(preflight) => format!(
            "                direct_response: {{ status: {} }}\n                \
             response_headers_to_add: {}\n",
            preflight.status,
            yaml::flow(&cors::headers(routes, route, preflight))
        ),
    };
    let options = Route {
        method: None,
        ..route.clone()
    };
    let mut matching = matching(&options);
    if let Value::Object(fields) = &mut matching {
        fields.insert("headers".to_owned(), json!(headers));
    }
    let _ = write!(
        out,
        "              - match: {}\n{action}",
        yaml::flow(&matching)
    );
}

fn method_is(method: &Method) -> Value {
    json!({ "name": ":method", "string_match": { "exact": method.as_str() } })
}

/// Returns the name of a virtual host. It is a part of the names of statistics, whose parts are separated
/// by dots.
fn unique_name(host: &Host, taken: &[String]) -> String {
    let name = host.as_str().replace('*', "any").replace('.', "_");
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(name)
}

/// Returns the routes of the health endpoints, but for those whose requests another route takes.
fn endpoints(health: &Health, routes: &[Route]) -> String {
    let method =
        json!([{ "name": ":method", "string_match": { "safe_regex": { "regex": "GET|HEAD" } } }]);
    let path =
        |name: &str| json!({ "path": format!("{}/{name}", health.prefix), "headers": method });
    let content_type = json!([{
        "header": { "key": "content-type", "value": "text/plain; charset=utf-8" },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }]);
    let taken: Vec<_> = match health.every_host {
        true => Vec::new(),
        false => health.taken(routes).collect(),
    };
    // Anchors, by which the other hosts repeat the routes.
    let anchor = |name: &str| match health.every_host {
        true => format!("&{name}\n                "),
        false => String::new(),
    };
    let answers = ["body: { inline_string: pong } ", ""];
    let mut out = String::new();
    for (name, body) in ENDPOINTS.into_iter().zip(answers) {
        if taken.contains(&name) {
            continue;
        }
        if out.is_empty() {
            let which = if taken.is_empty() {
                "these two"
            } else {
                "this one"
            };
            out = format!("              # Envoy itself responds to {which}.\n");
        }
        let separator = if body.is_empty() { " " } else { ", " };
        // Writing to a String never fails.
        let _ = write!(
            out,
            "              - {}match: {}\n                direct_response: {{ status: 200{separator}{body}}}\n",
            anchor(name),
            yaml::flow(&path(name)),
        );
        if !body.is_empty() {
            let headers = yaml::flow(&content_type);
            let _ = writeln!(out, "                response_headers_to_add: {headers}");
        }
    }
    out
}

fn matching(route: &Route) -> Value {
    let path = route.path.as_str();
    let (key, value) = match route.path.form() {
        // A REST API takes a path with and without a slash at its end for the same resource.
        Form::Exact | Form::Template if route.is_rest_api && path != "/" => (
            "safe_regex",
            json!({ "regex": route.path.regex_with_slash() }),
        ),
        Form::Exact => ("path", json!(path)),
        Form::Prefix if route.path.prefix().is_empty() => ("prefix", json!("/")),
        Form::Prefix => ("path_separated_prefix", json!(route.path.prefix())),
        Form::Template => ("safe_regex", json!({ "regex": route.path.regex() })),
    };
    let method = route.method.as_ref().map(method_is);
    let headers = route.conditions.iter().filter_map(conditions::header);
    let headers: Vec<_> = method.into_iter().chain(headers).collect();
    let query: Vec<_> = route
        .conditions
        .iter()
        .filter_map(conditions::query)
        .collect();
    let source = route.conditions.iter().filter_map(conditions::source);
    let list = |list: Vec<Value>| (!list.is_empty()).then_some(Value::Array(list));
    object([
        (key, Some(value)),
        ("headers", list(headers)),
        ("query_parameters", list(query)),
        ("filter_state", list(source.collect())),
    ])
}

fn action(route: &Route) -> Value {
    let timeout = route.timeout.unwrap_or_else(|| default_timeout(None));
    let timeout_text = json!(seconds(timeout));
    let idle = (timeout > DEFAULT_IDLE_TIMEOUT).then(|| timeout_text.clone());
    object([
        ("cluster", Some(json!("invoker"))),
        ("timeout", Some(timeout_text)),
        ("idle_timeout", idle),
    ])
}

/// Returns an object of the fields that have a value.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter();
    let fields = fields.filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect())
}

/// Returns the path of the route's API: that of a REST API does not end in a slash.
fn matched(route: &Route) -> PathPattern {
    match route.is_rest_api {
        true => route.path.without_trailing_slash(),
        false => route.path.clone(),
    }
}

/// Returns the route's keys for the filter, with `resource` if the path has one form and the route does
/// not set it: the method, if the route has one, and the path template.
pub(crate) fn keys(route: &Route) -> Map<String, Value> {
    let mut keys = route.lambda.clone();
    let strip_prefix = keys.get("strip_prefix").and_then(Value::as_str);
    if let Some(path) = matched(route).resource(strip_prefix.unwrap_or_default())
        && !keys.contains_key("resource")
    {
        let resource = match &route.method {
            Some(method) => format!("{method} {path}"),
            None => path.to_owned(),
        };
        keys.insert("resource".to_owned(), json!(resource));
    }
    keys
}

/// Returns a duration in the JSON form of Protocol Buffers.
fn seconds(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, milliseconds) => format!("{seconds}.{milliseconds:03}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_virtual_hosts_have_no_dots_and_are_unique() {
        let mut names = Vec::new();
        for (host, expected) in [
            ("*", "any"),
            ("orders.example.com", "orders_example_com"),
            ("*.example.com", "any_example_com"),
            ("orders_example.com", "orders_example_com_2"),
            ("orders.example_com", "orders_example_com_3"),
            ("any", "any_2"),
        ] {
            let name = unique_name(&host.parse().unwrap(), &names);
            assert_eq!(name, expected);
            names.push(name);
        }
    }

    #[test]
    fn durations_have_the_json_form_of_protocol_buffers() {
        assert_eq!(seconds(Duration::from_secs(910)), "910s");
        assert_eq!(seconds(Duration::from_millis(1_050)), "1.050s");
    }
}
