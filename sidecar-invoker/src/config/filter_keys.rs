//! The keys of the filter as they stand in `invoker.yaml`, whose scalars have no types.

use lambda_filter_core::config::Settings;
use lambda_filter_core::config::reference::Values;
use serde_json::{Map, Value as Json, json};

use super::keys::kind::Types;
use super::yaml::decode::Value;

/// Returns the values of one of the filter's keys as they stand in the file, see [`read`].
pub(super) fn values(key: &str, values: Values) -> Values {
    let schema = match values.schema.get("type").and_then(Json::as_str) {
        _ if key == "template" => json!({ "type": "string" }),
        Some("string") => match values.schema.get("pattern").and_then(Json::as_str) {
            Some(pattern) => Types::Any.matching(pattern),
            None => values.schema,
        },
        _ => values.schema,
    };
    Values { schema, ..values }
}

/// Reads the value of one of the filter's keys, which the filter itself checks.
pub(super) fn read(key: &str, value: &Value<'_>) -> Option<Json> {
    let candidates = match key {
        "binary_media_types" => {
            let items = value.list("a list of media types such as [image/*]")?;
            let texts = items.iter().map(|item| item.text("a media type"));
            vec![Json::from(texts.collect::<Option<Vec<_>>>()?)]
        }
        // Its values have types that a scalar of this file has not.
        "template" => vec![
            value.parse("JSON as text such as '{\"path\": \"${path}\"}'", |text| {
                serde_json::from_str(text).ok()
            })?,
        ],
        _ => {
            let text = value.text("text, a number, true or false")?;
            let typed = serde_json::from_str(text).ok();
            let typed = typed.filter(|typed: &Json| typed.is_number() || typed.is_boolean());
            [Some(Json::from(text)), typed]
                .into_iter()
                .flatten()
                .collect()
        }
    };
    let mut problem = None;
    for candidate in candidates {
        let one = Map::from_iter([(key.to_owned(), candidate.clone())]);
        match Settings::parse(&one) {
            Ok(_) => return Some(candidate),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    let problem = problem?.to_string();
    // The line and the path of the key stand in front already.
    let named = format!("`{key}`: ");
    value.problem(problem.strip_prefix(&named).unwrap_or(&problem));
    None
}
