//! `routes`: the requests that reach each function. The invoker does not route. It writes a
//! configuration of Envoy from this list.

use std::time::Duration;

use hyper::Method;
use lambda_api::{FunctionName, FunctionReference};
use lambda_filter_core::config::Settings;
use lambda_filter_core::config::reference::{self, Key, Values};
use serde_json::{Map, Value as Json, json};

use super::authorizer::JwtAuthorizer;
use super::conditions::{AddressRange, Condition, HEADERS, SOURCE};
use super::cors::Cors;
use super::filter_keys;
use super::keys::keys;
use super::keys::kind::{Custom, DURATION, Types};
use super::pattern::{Host, PathPattern};
use super::yaml::decode::{Value, nearest};

keys! {
    /// The keys of a route, but for those of the filter.
    struct RouteKeys;

    /// Host of the request. A host with routes of its own does not use those of a wildcard.
    host: Host = HOST, "`*`";
    /// Path of the request.
    path: PathPattern = PATH, "`/*`";
    /// Method of the request.
    method: Option<Method> = METHOD, "`ANY`";
    /// Headers of the request with their values. `*` stands for any text, `?` for one character.
    headers: Vec<Condition> = HEADERS, "none", see "headers-and-source";
    /// Addresses of callers.
    source: Vec<AddressRange> = SOURCE, "every address", see "headers-and-source";
    /// The function to call. With `aws`, any name or ARN.
    function = function_values(), "required";
    /// Longest wait of Envoy for the answer.
    timeout: Duration = DURATION, "10 s longer than the function's own limits";
}

const HOST: Custom<Host> = Custom {
    read: |value| value.read("a host name"),
    values: || Values {
        text: "`orders.example.com`, `*.example.com`, `*`".to_owned(),
        schema: Types::Any.matching(Host::PATTERN),
    },
};

const PATH: Custom<PathPattern> = Custom {
    read: |value| value.read("a path"),
    values: || Values {
        text: "`/pets`, `/pets/*`, `/pets/{id}`, `/files/{path+}`".to_owned(),
        schema: Types::Text.matching("^/[^?#]*$"),
    },
};

const METHOD: Custom<Option<Method>> = Custom {
    read: method,
    values: || Values {
        text: "a method such as `GET`, or `ANY`".to_owned(),
        schema: Types::Text.matching("^[A-Z]+$"),
    },
};

fn function_values() -> Values {
    Values {
        text: "name of a listed function, with or without `:qualifier`".to_owned(),
        schema: Types::Any.matching(FunctionReference::PATTERN),
    }
}

/// Returns the keys of a route as a reference describes them: its own, then those of the filter.
pub(super) fn reference() -> Vec<Key> {
    let mut keys = RouteKeys::reference();
    let own: Vec<_> = keys.iter().map(|key| key.name).collect();
    let filter = Settings::reference().into_iter();
    keys.extend(
        filter
            .filter(|key| !own.contains(&key.name))
            .map(|key| Key {
                values: filter_keys::values(key.name, key.values),
                ..key
            }),
    );
    keys
}

/// Returns the table of a route's keys. The keys of the filter have a table elsewhere.
pub(super) fn table() -> String {
    let own = reference::table(&RouteKeys::reference());
    format!(
        "{own}| any key of the [filter](filter.md#keys) | as there | as there | `template` is JSON as \
         text. `resource` is set from `path`. |\n"
    )
}

/// An entry of `routes`. The first route of a host that matches is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// `host`, default every host.
    pub host: Host,
    /// `path`, default every path.
    pub path: PathPattern,
    /// `method`; `None` (`ANY`, the default) is every method.
    pub method: Option<Method>,
    /// Further conditions. A request matches all of them.
    pub conditions: Vec<Condition>,
    /// The bare name in `function`.
    pub function: FunctionName,
    /// The keys of the filter, at least `function`, as its metadata under `lambda` takes them.
    pub lambda: Map<String, Json>,
    /// `timeout`: the time limit of the answer in Envoy; by default longer than the function's own.
    pub timeout: Option<Duration>,
    /// The tokens without which Envoy answers with 401.
    pub authorizer: Option<JwtAuthorizer>,
    /// The rules for web pages of other origins.
    pub cors: Option<Cors>,
    /// The route takes requests as a REST API does, which takes a slash at the end for none.
    pub is_rest_api: bool,
    /// The position among the rules of load balancers; `None` for all other routes.
    pub priority: Option<u32>,
    /// Line in the file, counted from 1.
    pub line: usize,
}

impl Route {
    /// Returns the route of every request to a function, from line `line`.
    pub(crate) fn to(function: FunctionName, line: usize) -> Self {
        let name = json!(function.as_str());
        Self {
            host: Host::any(),
            path: PathPattern::any(),
            method: None,
            conditions: Vec::new(),
            function,
            lambda: Map::from_iter([("function".to_owned(), name)]),
            timeout: None,
            authorizer: None,
            cors: None,
            is_rest_api: false,
            priority: None,
            line,
        }
    }

    /// Returns method and path for messages: `GET /orders`.
    pub(super) fn name(&self) -> String {
        let method = self.method.as_ref().map_or("ANY", Method::as_str);
        format!("{method} {}", self.path)
    }

    /// Returns whether this route takes every request that `other` matches.
    fn shadows(&self, other: &Self) -> bool {
        self.host == other.host
            && self.conditions.is_empty()
            && (self.method.is_none() || self.method == other.method)
            && self.path.covers(&other.path)
    }
}

/// Reads the list. `functions` has the names that a route may use; `None` allows any name.
pub(super) fn routes(value: &Value<'_>, functions: Option<&[&str]>) -> Option<Vec<Route>> {
    let items = value.list("a list of routes such as { path: /orders/*, function: orders }")?;
    let read: Vec<_> = items.iter().map(|item| route(item, functions)).collect();
    for (index, (item, later)) in items.iter().zip(&read).enumerate() {
        let Some(later) = later else { continue };
        let mut earlier = read.iter().take(index).flatten();
        if let Some(earlier) = earlier.find(|earlier| earlier.shadows(later)) {
            item.problem(format!(
                "matches nothing: the route in line {} (`{}`) takes all its requests; put this one \
                 first, or remove it",
                earlier.line, earlier.path
            ));
        }
    }
    read.into_iter().collect()
}

/// Returns the file's own routes, followed by those of templates: those of APIs, the more specific ones first as in
/// API Gateway, then the rules of load balancers by their priority. A route of a template that would match nothing is
/// left out.
pub(super) fn with_imported(own: Vec<Route>, mut imported: Vec<Route>) -> Vec<Route> {
    imported.sort_by_key(|route| match route.priority {
        None => (None, route.path.generality(), route.method.is_none()),
        priority => (priority, Vec::new(), false),
    });
    imported.into_iter().fold(own, |mut routes, route| {
        if !routes.iter().any(|earlier| earlier.shadows(&route)) {
            routes.push(route);
        }
        routes
    })
}

fn route(value: &Value<'_>, functions: Option<&[&str]>) -> Option<Route> {
    let mut mapping = value.mapping("a route, at least with `function`")?;
    let keys = RouteKeys::of(&mut mapping);
    let host = keys.host.or_else(Host::any);
    let path = keys.path.or_else(PathPattern::any);
    let method = keys.method.or(None);
    let timeout = keys.timeout.optional();
    let headers = keys.headers.or_else(Vec::new);
    let source = keys.source.optional();
    let function = match &keys.function {
        Some(value) => function_name(value, functions),
        None => {
            mapping.missing("function");
            None
        }
    };
    let mut lambda = Some(Map::new());
    for key in Settings::KEYS {
        let Some(value) = mapping.optional(key) else {
            continue;
        };
        if key == "function" && function.is_none() {
            continue;
        }
        let set = filter_keys::read(key, &value);
        lambda = lambda.zip(set).map(|(mut lambda, set)| {
            lambda.insert(key.to_owned(), set);
            lambda
        });
    }
    mapping.finish();
    let lambda = lambda?;
    let prefix = lambda.get("strip_prefix").and_then(Json::as_str);
    if let (Some(path), Some(prefix)) = (&path, prefix)
        && !path.may_begin_with(prefix)
    {
        value.problem(format!(
            "`strip_prefix`: no path of `{path}` begins with `{prefix}`; correct one of them"
        ));
    }
    // The filter's own check of keys that need or exclude each other.
    if function.is_some()
        && let Err(problems) = Settings::parse(&lambda).and_then(Settings::into_config)
    {
        value.problem(problems.to_string());
    }
    let is_rest_api = lambda.get("payload").and_then(Json::as_str) == Some("apigateway-v1");
    Some(Route {
        host: host?,
        path: path?,
        method: method?,
        conditions: conditions(headers?, source?),
        lambda,
        timeout: timeout?,
        is_rest_api,
        ..Route::to(function?, value.line())
    })
}

fn conditions(headers: Vec<Condition>, source: Option<Vec<AddressRange>>) -> Vec<Condition> {
    let source = source.map(Condition::Source);
    headers.into_iter().chain(source).collect()
}

fn method(value: &Value<'_>) -> Option<Option<Method>> {
    value.parse("a method such as GET, or ANY", |text| {
        let upper = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
        match text {
            "ANY" => Some(None),
            _ if upper => Method::from_bytes(text.as_bytes()).ok().map(Some),
            _ => None,
        }
    })
}

fn function_name(value: &Value<'_>, functions: Option<&[&str]>) -> Option<FunctionName> {
    let text = value.text("a function's name")?;
    let name = match text.parse::<FunctionReference>() {
        Ok(function) => function.name().clone(),
        Err(error) => {
            value.problem(error.to_string());
            return None;
        }
    };
    if let Some(functions) = functions
        && !functions.contains(&name.as_str())
    {
        value.problem(match nearest(name.as_str(), functions) {
            Some(known) => format!("no such function in `functions`; did you mean `{known}`?"),
            None => "no such function in `functions`; add it there".to_owned(),
        });
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::Condition;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("invoker.yaml", text, Path::new("/")).map_err(|error| error.to_string())
    }

    const FUNCTIONS: &str = "functions: { orders: { rie: http://o }, py: { rie: http://p } }\n";

    #[test]
    fn a_route_has_the_filter_s_keys_with_their_types() {
        let text = r#"routes:
- { function: orders:live, headers: { X-Account: [orders, "o-*"], x-n: 1 }, source: [10.1.0.0/16, 127.0.0.1] }
- host: Shop.example.com
  path: /pets/{id}
  method: GET
  function: py
  payload: template
  template: '{"id": "${path}", "n": 1}'
  timeout: 1m
  account_id: 123456789012
  expose_errors: true
  max_request_bytes: 1000
  binary_media_types: [image/*]
"#;
        let config = parse(&format!("{FUNCTIONS}{text}")).unwrap();
        let [first, second] = &config.routes[..] else {
            panic!("two routes");
        };
        assert_eq!((first.host.as_str(), first.path.as_str()), ("*", "/*"));
        assert_eq!(first.function.to_string(), "orders");
        assert_eq!(first.lambda["function"], "orders:live");
        let header = |name: &str, values: &[&str]| {
            let values = values.iter().map(|&value| value.to_owned());
            Condition::Header(name.to_owned(), values.collect())
        };
        let source = ["10.1.0.0/16", "127.0.0.1/32"].map(|range| range.parse().unwrap());
        assert_eq!(
            first.conditions,
            [
                header("x-account", &["orders", "o-*"]),
                header("x-n", &["1"]),
                Condition::Source(source.to_vec()),
            ]
        );
        assert_eq!(second.host.as_str(), "shop.example.com");
        assert_eq!(
            serde_json::Value::from(second.lambda.clone()),
            serde_json::json!({
                "function": "py",
                "payload": "template",
                "template": { "id": "${path}", "n": 1 },
                "account_id": "123456789012",
                "expose_errors": true,
                "max_request_bytes": 1000,
                "binary_media_types": ["image/*"],
            })
        );
    }

    #[test]
    fn with_aws_a_function_need_not_be_listed() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:stock:live";
        let config = parse(&format!("aws: {{}}\nroutes: [{{ function: '{arn}' }}]")).unwrap();
        assert_eq!(config.routes[0].function.to_string(), "stock");
        assert_eq!(config.routes[0].lambda["function"], arn);
    }

    #[test]
    fn an_unknown_key_is_answered_with_each_key_once() {
        let error = parse(&format!(
            "{FUNCTIONS}routes: [{{ function: py, colour: red }}]"
        ));
        let error = error.unwrap_err();
        let (_, keys) = error.split_once("the keys here are ").unwrap();
        let mut keys: Vec<_> = keys.trim().split(", ").collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{error}");
        assert!(keys.contains(&"function"), "{error}");
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_line_and_key() {
        let text = r#"routes:
- { function: order }
- { path: x, host: "a:80", method: get, function: a/b, timeout: 1h }
- { paht: /, function: py, payload: albb, max_request_bytes: x, template: [] }
- { host: h, function: py, payload: template }
- path: /
- { host: s, path: /a/*, function: py }
- { host: s, path: "/a/{id}", method: GET, function: orders }
- { host: s, path: /b, method: GET, function: orders }
- { host: s, path: /b, function: orders }
- { host: s, path: /b, function: orderz }
- { host: t, path: /billing/*, strip_prefix: /biling, function: py }
- { host: u, function: py, headers: { "a b": c, x-none: [] }, source: [10.0.0.0/33] }
- { host: u, function: py, headers: [x-account], source: 10.0.0.0/8 }
"#;
        let expected = r#"invoker.yaml:3: routes[0].function: no such function in `functions`; did you mean `orders`?
invoker.yaml:4: routes[1].host: expected a host name without a port such as orders.example.com, *.example.com or *, found "a:80"
invoker.yaml:4: routes[1].path: expected a path such as /pets, /pets/*, /pets/{id} or /{proxy+}, percent-encoded and without a query, found "x"
invoker.yaml:4: routes[1].method: expected a method such as GET, or ANY, found "get"
invoker.yaml:4: routes[1].timeout: expected a duration from 1ms to 15m such as 30s, found "1h"
invoker.yaml:4: routes[1].function: expected a function's name of 1 to 64 letters, digits, - and _, found "a/b"
invoker.yaml:5: routes[2].payload: expected one of apigateway-v2, apigateway-v1, alb, alb-multi-value, vpc-lattice-v1, vpc-lattice-v2, function-url, envoy, raw, template, found "albb"
invoker.yaml:5: routes[2].template: expected JSON as text such as '{"path": "${path}"}', found a list
invoker.yaml:5: routes[2].max_request_bytes: expected a whole number of bytes, at least 1, found "x"
invoker.yaml:5: routes[2].paht: unknown key; did you mean `path`?
invoker.yaml:6: routes[3]: `template`: required by `payload: template`
invoker.yaml:7: routes[4]: the key `function` is missing
invoker.yaml:9: routes[6]: matches nothing: the route in line 8 (`/a/*`) takes all its requests; put this one first, or remove it
invoker.yaml:12: routes[9].function: no such function in `functions`; did you mean `orders`?
invoker.yaml:12: routes[9]: matches nothing: the route in line 11 (`/b`) takes all its requests; put this one first, or remove it
invoker.yaml:13: routes[10]: `strip_prefix`: no path of `/billing/*` begins with `/biling`; correct one of them
invoker.yaml:14: routes[11].headers.a b: is not the name of a header
invoker.yaml:14: routes[11].headers.x-none: expected a value, or a list of values such as [orders, "billing-*"], found none
invoker.yaml:14: routes[11].source[0]: expected an address, or a range such as 10.1.0.0/16, found "10.0.0.0/33"
invoker.yaml:15: routes[12].headers: expected headers such as { x-account: orders }, found a list
invoker.yaml:15: routes[12].source: expected a list of addresses such as [10.1.0.0/16], found "10.0.0.0/8""#;
        let problems = parse(&format!("{FUNCTIONS}{text}")).unwrap_err();
        for (found, expected) in problems.lines().zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(problems.lines().count(), expected.lines().count());
    }
}
