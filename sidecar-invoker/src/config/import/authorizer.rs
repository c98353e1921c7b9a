//! The authorizers of HTTP APIs that Envoy can be: those of JSON Web Tokens.
//!
//! Source: "Control access to HTTP APIs with JWT authorizers" in the Amazon API Gateway developer guide,
//! `HttpApiAuth` in the AWS SAM developer guide, `AWS::ApiGatewayV2::Authorizer` in the AWS CloudFormation template
//! reference.

use std::collections::BTreeMap;

use super::node::Node;
use super::omission::Omission;
use super::template::Template;
use crate::config::authorizer::{JwksUrl, JwtAuthorizer, TokenSource};

/// The authorizers of an API, by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorizers {
    /// `None` is an authorizer that is not kept here.
    all: BTreeMap<String, Option<JwtAuthorizer>>,
    default: Option<String>,
}

impl Authorizers {
    /// Reads `Auth` of an HTTP API of AWS SAM.
    pub(super) fn of_sam(template: &mut Template<'_>, id: &str, auth: Option<&Node>) -> Self {
        let mut authorizers = Self::default();
        let Some(auth) = auth else {
            return authorizers;
        };
        let all = auth.get("Authorizers").into_iter().flat_map(Node::entries);
        for entry in all {
            let name = &entry.name;
            let node = entry.value();
            let jwt = match node.get("JwtConfiguration") {
                Some(configuration) => jwt(configuration, node.get("IdentitySource")),
                None => Err(Omission::Authorizer),
            };
            if let Err(reason) = &jwt {
                template.warn(
                    entry.line,
                    open(&format!("{id}: the authorizer {name}"), reason),
                );
                node.discard();
            }
            authorizers.all.insert(name.clone(), jwt.ok());
        }
        if let Some(default) = auth.entry("DefaultAuthorizer") {
            let is_known = |node: &Node| {
                node.text()
                    .is_ok_and(|name| authorizers.all.contains_key(name))
            };
            default.take_if(is_known);
            authorizers.default = default.text_if(is_known);
        }
        authorizers
    }

    /// Returns the authorizer of an event, whose `Auth` is a parameter.
    pub(super) fn of_event(&self, auth: Option<&Node>) -> Option<JwtAuthorizer> {
        let named = auth.and_then(|auth| auth.entry("Authorizer"));
        let is_known = |node: &Node| {
            node.text()
                .is_ok_and(|name| name == "NONE" || self.all.contains_key(name))
        };
        let name = match named {
            Some(named) => {
                named.take_if(is_known);
                named.text_if(is_known)
            }
            None => self.default.clone(),
        };
        self.all.get(&name?).cloned().flatten()
    }
}

/// Returns the message that the routes of an authorizer are open.
pub(super) fn open(authorizer: &str, reason: &Omission) -> String {
    format!("{authorizer} has no effect here: {reason}; its routes are open to every caller")
}

/// Reads `JwtConfiguration`, whose keys begin with small letters in AWS SAM, and `IdentitySource`.
///
/// # Errors
/// Says why the tokens cannot be checked.
pub(super) fn jwt(configuration: &Node, source: Option<&Node>) -> Result<JwtAuthorizer, Omission> {
    let get =
        |name: &str, small: &str| configuration.get(name).or_else(|| configuration.get(small));
    let issuer = get("Issuer", "issuer").ok_or_else(|| Omission::missing("it", "issuer"))?;
    let issuer = issuer
        .text()
        .map_err(|unknown| Omission::needs("its issuer", &unknown))?;
    let jwks = JwksUrl::of_issuer(issuer).ok_or_else(|| Omission::Issuer(issuer.to_owned()))?;
    let audience =
        get("Audience", "audience").ok_or_else(|| Omission::missing("it", "audience"))?;
    let audiences = match audience.items() {
        [] => std::slice::from_ref(audience),
        items => items,
    };
    let audiences = audiences.iter().map(|one| one.text().map(str::to_owned));
    let audiences: Result<Vec<_>, _> = audiences.collect();
    let source = match source {
        Some(source) => token_source(source)?,
        None => TokenSource::Header("authorization".to_owned()),
    };
    Ok(JwtAuthorizer {
        issuer: issuer.to_owned(),
        audiences: audiences.map_err(|unknown| Omission::needs("its audience", &unknown))?,
        source,
        jwks,
    })
}

fn token_source(source: &Node) -> Result<TokenSource, Omission> {
    let source = source.items().first().unwrap_or(source);
    let text = source
        .text()
        .map_err(|unknown| Omission::needs("its IdentitySource", &unknown))?;
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let header = text.strip_prefix("$request.header.").and_then(named);
    let query = text.strip_prefix("$request.querystring.").and_then(named);
    let query = query.map(TokenSource::Query);
    header
        .map(|name| TokenSource::Header(name.to_ascii_lowercase()))
        .or(query)
        .ok_or_else(|| Omission::IdentitySource(text.to_owned()))
}
