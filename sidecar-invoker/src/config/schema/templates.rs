//! The keys that say how templates are read, and what comes of the templates.

use std::collections::BTreeMap;

use lambda_api::FunctionName;
use lambda_filter_core::config::reference::Values;
use serde_json::json;

use crate::config::authorizer::JwksUrl;
use crate::config::import::{Imported, ImportedRoute, Warning};
use crate::config::keys::kind::{Custom, Form, Types};
use crate::config::model::FunctionConfig;
use crate::config::routes::Route;
use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar::StackName;

pub(super) const STACK_NAME: Form<StackName> = Form {
    expected: "a letter, then up to 127 letters, digits and -",
    parse: |text| text.parse().ok(),
    text: "name such as `orders-dev`",
    types: Types::Text,
    pattern: "^[A-Za-z][A-Za-z0-9-]{0,127}$",
};

pub(super) const PARAMETERS: Custom<BTreeMap<String, String>> = Custom {
    read: |value| {
        let parameters = value.mapping("parameters such as { Stage: prod }")?;
        let parameter = |(name, value): (&str, Value<'_>)| {
            let text = value.text("text (\"\" for an empty parameter)")?;
            Some((name.to_owned(), text.to_owned()))
        };
        let parameters: Vec<_> = parameters.entries().map(parameter).collect();
        parameters.into_iter().collect()
    },
    values: || Values {
        text: "mapping of texts".to_owned(),
        schema: json!({ "type": "object", "additionalProperties": Types::Any.schema() }),
    },
};

pub(super) const JWKS: Custom<BTreeMap<String, JwksUrl>> = Custom {
    read: |value| {
        let issuers = value.mapping("issuers such as { https://id.example.com: URL }")?;
        let issuer = |(name, value): (&str, Value<'_>)| {
            let url = value.parse("a URL such as https://id.example.com/keys", JwksUrl::parse)?;
            Some((name.to_owned(), url))
        };
        let issuers: Vec<_> = issuers.entries().map(issuer).collect();
        issuers.into_iter().collect()
    },
    values: || Values {
        text: "mapping of issuers to URLs".to_owned(),
        schema: json!({ "type": "object", "additionalProperties": Types::Text.matching(JwksUrl::PATTERN) }),
    },
};

pub(super) fn templates() -> Values {
    Values {
        text: "path, or list of paths".to_owned(),
        schema: json!({ "type": ["string", "array"], "items": { "type": "string" } }),
    }
}

/// Reports the issuers to which no route of a template refers.
pub(super) fn check_issuers(issuers: &Value<'_>, imported: &Imported) {
    for name in issuers.names() {
        let mut routes = imported.routes.iter();
        let has_issuer = |imported: &ImportedRoute| {
            let authorizer = imported.route.authorizer.as_ref();
            authorizer.is_some_and(|authorizer| authorizer.issuer == name)
        };
        if let (false, Some(issuer)) = (routes.any(has_issuer), issuers.child(name)) {
            issuer.problem("no route of a template asks for tokens of this issuer");
        }
    }
}

/// Returns the routes of templates that lead to a function.
pub(super) fn served_routes(
    imported: &mut Imported,
    functions: Option<&BTreeMap<FunctionName, FunctionConfig>>,
    is_on_aws: bool,
) -> Vec<Route> {
    let mut served = Vec::new();
    for ImportedRoute { place, route } in std::mem::take(&mut imported.routes) {
        let function = &route.function;
        if is_on_aws || functions.is_some_and(|functions| functions.contains_key(function)) {
            served.push(route);
        } else if !imported.functions.contains_key(function)
            && !imported.left_out.contains_key(function)
        {
            imported.warnings.push(Warning {
                place,
                message: format!(
                    "the route {} leads to {function}, which is no function here; it is left out",
                    route.name()
                ),
                cured_by: None,
            });
        }
    }
    served
}
