//! The tokens that routes ask for, by Envoy's filter `jwt_authn`.

use serde_json::{Map, Value, json};

use super::remote::Remote;
use crate::config::{JwksUrl, JwtAuthorizer, Route, TokenSource};

/// The name of Envoy's filter.
pub(super) const FILTER: &str = "envoy.filters.http.jwt_authn";

/// The different authorizers of routes, in the order of their first routes.
pub(super) struct Authorizers<'r>(Vec<&'r JwtAuthorizer>);

impl<'r> Authorizers<'r> {
    /// Returns those of these routes.
    pub(super) fn of(routes: &'r [Route]) -> Self {
        let mut all: Vec<&JwtAuthorizer> = Vec::new();
        for authorizer in routes.iter().filter_map(|route| route.authorizer.as_ref()) {
            if !all.contains(&authorizer) {
                all.push(authorizer);
            }
        }
        Self(all)
    }

    /// Returns whether no route asks for a token.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the configuration of the filter for a route.
    pub(super) fn of_route(&self, route: &Route) -> Option<Value> {
        let authorizer = route.authorizer.as_ref()?;
        let index = self.0.iter().position(|other| *other == authorizer)?;
        Some(json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
            "requirement_name": name(index),
        }))
    }

    /// Returns the providers of the filter.
    pub(super) fn providers(&self) -> Value {
        let provider = |(index, authorizer): (usize, &&JwtAuthorizer)| {
            let (place, source) = match &authorizer.source {
                TokenSource::Header(name) => (
                    "from_headers",
                    json!([{ "name": name, "value_prefix": "Bearer " }]),
                ),
                TokenSource::Query(name) => ("from_params", json!([name])),
            };
            let provider = json!({
                "issuer": authorizer.issuer,
                "audiences": authorizer.audiences,
                "remote_jwks": {
                    "http_uri": {
                        "uri": authorizer.jwks.text,
                        "cluster": cluster(&authorizer.jwks),
                        "timeout": "5s",
                    },
                    "cache_duration": "600s",
                },
                place: source,
                // The function gets the token too.
                "forward": true,
                "payload_in_metadata": "claims",
            });
            (name(index), provider)
        };
        Value::Object(self.0.iter().enumerate().map(provider).collect())
    }

    /// Returns the requirements that routes name.
    pub(super) fn requirements(&self) -> Value {
        let requirement = |index| (name(index), json!({ "provider_name": name(index) }));
        Value::Object((0..self.0.len()).map(requirement).collect::<Map<_, _>>())
    }

    /// Returns the clusters of the issuers' keys, each with its name and the text below it.
    pub(super) fn clusters(&self) -> Vec<(String, String)> {
        let mut clusters: Vec<(String, String)> = Vec::new();
        for JwtAuthorizer { jwks, .. } in &self.0 {
            let name = cluster(jwks);
            if clusters.iter().any(|(other, _)| *other == name) {
                continue;
            }
            let remote = Remote {
                name: &name,
                comment: "The keys of an issuer of tokens.",
                host: &jwks.host,
                port: jwks.port,
                is_encrypted: jwks.is_encrypted,
            };
            let text = remote.cluster();
            clusters.push((name, text));
        }
        clusters
    }
}

/// Returns the name of a provider and of its requirement.
fn name(index: usize) -> String {
    format!("tokens_{}", index + 1)
}

/// Returns the name of the cluster with the keys. It is a part of the names of statistics, whose parts are separated
/// by dots.
fn cluster(jwks: &JwksUrl) -> String {
    let scheme = if jwks.is_encrypted { "https" } else { "http" };
    let host = jwks.host.replace(['.', ':'], "_");
    format!("keys_{scheme}_{host}_{}", jwks.port)
}
