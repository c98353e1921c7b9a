//! The resource of an API: the path of its requests, and perhaps their method.

use super::path_template::{Parameters, PathTemplate, TrailingSlash};
use super::value_error::ValueError;

/// A route of an HTTP API or a method of a REST API's resource: `GET /pets/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// `None` is every method.
    method: Option<String>,
    path: PathTemplate,
    route_key: String,
}

/// The method of a resource that takes every one, as API Gateway names it.
const ANY: &str = "ANY";

impl Resource {
    /// Reads `METHOD PATH`, or `PATH` for every method.
    ///
    /// # Errors
    /// The expected form.
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (method, path),
            None => (ANY, text),
        };
        let is_letter =
            |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_lowercase() && byte != b'/';
        if method.is_empty() || !method.bytes().all(is_letter) {
            return Err(ValueError::of_text(
                "a method in capital letters or ANY in front of the path, as in `GET /pets/{id}`",
                text,
            ));
        }
        Ok(Self {
            method: (method != ANY).then(|| method.to_owned()),
            path: PathTemplate::parse(path)?,
            route_key: format!("{method} {path}"),
        })
    }

    /// Returns the path template as it was given.
    pub(crate) fn path(&self) -> &str {
        self.path.as_str()
    }

    /// Returns the method, or `ANY`, and the path template: `GET /pets/{id}`.
    pub(crate) fn route_key(&self) -> &str {
        &self.route_key
    }

    /// Returns the parameters that a request's path fills; `None` if the request is not one of the
    /// resource.
    pub(crate) fn matches<'a>(
        &'a self,
        method: &str,
        path: &'a [u8],
        slash: TrailingSlash,
    ) -> Option<Parameters<'a>> {
        let is_own = self.method.as_ref().is_none_or(|own| own == method);
        is_own.then(|| self.path.matches(path, slash))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_a_method_or_takes_every_one() {
        let get = Resource::parse("GET /pets/{id}").unwrap();
        assert_eq!(
            (get.route_key(), get.path()),
            ("GET /pets/{id}", "/pets/{id}")
        );
        let matched = |resource: &Resource, method| {
            let found = resource.matches(method, b"/pets/7", TrailingSlash::Significant);
            found.is_some()
        };
        assert!(matched(&get, "GET"));
        assert!(!matched(&get, "HEAD") && !matched(&get, "get") && !matched(&get, "ANY"));
        for text in ["/pets/{id}", "ANY /pets/{id}"] {
            let any = Resource::parse(text).unwrap();
            assert_eq!(
                (any.route_key(), any.path()),
                ("ANY /pets/{id}", "/pets/{id}")
            );
            assert!(matched(&any, "GET") && matched(&any, "ANY") && matched(&any, "X"));
        }
    }

    #[test]
    fn a_wrong_resource_is_refused() {
        for text in [
            "", "GET", "GET ", "GET  /a", "get /a", "/a /b", " /a", "GET /a/{", "GET\t/a",
            "$default",
        ] {
            let error = Resource::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("expected "), "{text}: {error}");
        }
    }
}
