//! The route of a configuration file that takes a request.

use hyper::Method;
use hyper::http::uri::PathAndQuery;

use crate::config::{Config, Host, PathPattern, Route};
use lambda_api::FunctionName;

/// Returns the first route to `function` that takes a request. Without `host`, a route of any host does.
pub(crate) fn find<'c>(
    config: &'c Config,
    function: &FunctionName,
    (method, path): (&Method, &PathAndQuery),
    host: Option<&str>,
) -> Option<&'c Route> {
    let path: PathPattern = path.path().parse().ok()?;
    config.routes.iter().find(|route| {
        route.function == *function
            && route.method.as_ref().is_none_or(|own| own == method)
            && route.path.covers(&path)
            && host.is_none_or(|host| is_of(host, &route.host))
    })
}

/// Returns whether a request for `host`, which may have a port, is one for the hosts of a route.
fn is_of(host: &str, hosts: &Host) -> bool {
    let name = host
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match hosts.as_str().strip_prefix('*') {
        Some(end) => name.len() > end.len() && name.ends_with(end),
        None => name == hosts.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_first_route_to_the_function_that_matches_is_taken() {
        let text = "aws: {}
routes:
- { host: a.test, path: /pets, function: f }
- { host: a.test, path: '/pets/{id}', method: GET, function: f }
- { host: '*.b.test', path: /files/*, function: f }
- { path: /*, function: g }
";
        let config = Config::parse("invoker.yaml", text, Path::new("/")).unwrap();
        let find = |function: &str, method: &str, path: &str, host| {
            let function = function.parse().unwrap();
            let request = (&method.parse().unwrap(), &path.parse().unwrap());
            find(&config, &function, request, host).map(|route| route.line)
        };
        assert_eq!(find("f", "GET", "/pets?a=b", None), Some(3));
        assert_eq!(find("f", "GET", "/pets/7", Some("A.test:8080")), Some(4));
        assert_eq!(find("f", "POST", "/pets/7", None), None);
        assert_eq!(find("f", "GET", "/files/a/b", Some("c.b.test")), Some(5));
        assert_eq!(find("f", "GET", "/files/a/b", Some("b.test")), None);
        assert_eq!(find("g", "PUT", "/pets", Some("any.test")), Some(6));
        assert_eq!(find("h", "GET", "/pets", None), None);
    }
}
