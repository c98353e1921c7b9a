//! The conditions of routes, as Envoy takes them.

use serde_json::{Value, json};

use crate::config::{Condition, Route};

/// The name under which Envoy's filter state has the caller's address.
const ADDRESS: &str = "lambda.source";

/// The filter that has routes see the caller's address.
const ADDRESS_FILTER: &str = "      # The caller's address, by which routes are chosen.
      - name: lambda.source
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config
          on_new_connection:
          - object_key: ${key}
            factory_key: envoy.network.ip
            format_string: { text_format_source: { inline_string: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\" } }
";

/// Returns the filter in front of the connection manager that routes with conditions on the caller's address
/// need.
pub(super) fn network_filters(routes: &[Route]) -> String {
    let mut conditions = routes.iter().flat_map(|route| &route.conditions);
    if conditions.any(|condition| source(condition).is_some()) {
        ADDRESS_FILTER.replace("${key}", ADDRESS)
    } else {
        String::new()
    }
}

/// Returns the condition on the caller's address, which stands in the filter state.
pub(super) fn source(condition: &Condition) -> Option<Value> {
    let Condition::Source(ranges) = condition else {
        return None;
    };
    let ranges = ranges.iter().map(
        |range| json!({ "address_prefix": range.address.to_string(), "prefix_len": range.bits }),
    );
    let ranges: Vec<_> = ranges.collect();
    Some(json!({ "key": ADDRESS, "address_match": { "ranges": ranges } }))
}

/// Returns the condition on a header, or on the path, which is the header `:path` with the query.
pub(super) fn header(condition: &Condition) -> Option<Value> {
    match condition {
        Condition::Path(values) => {
            let regex = format!("{}(\\?.*)?", regex(values));
            Some(matching(":path", &regex))
        }
        Condition::Header(name, values) => Some(matching(name, &regardless_of_case(values))),
        Condition::Query(..) | Condition::Source(_) => None,
    }
}

/// Returns the condition on a parameter of the query.
pub(super) fn query(condition: &Condition) -> Option<Value> {
    match condition {
        Condition::Query(name, values) => Some(matching(name, &regardless_of_case(values))),
        Condition::Path(_) | Condition::Header(..) | Condition::Source(_) => None,
    }
}

fn matching(name: &str, regex: &str) -> Value {
    json!({ "name": name, "string_match": { "safe_regex": { "regex": regex } } })
}

fn regardless_of_case(values: &[String]) -> String {
    format!("(?i){}", regex(values))
}

/// Returns the regular expression (RE2) of texts in which `*` stands for any text and `?` for one character.
fn regex(values: &[String]) -> String {
    let mut regex = String::from("(");
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            regex.push('|');
        }
        for letter in value.chars() {
            match letter {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                letter => {
                    if letter.is_ascii_punctuation() {
                        regex.push('\\');
                    }
                    regex.push(letter);
                }
            }
        }
    }
    regex.push(')');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_regular_expressions_and_all_else_stands_for_itself() {
        let texts = ["/a.b/*", "c?d(|"].map(str::to_owned);
        assert_eq!(regex(&texts), r"(\/a\.b\/.*|c.d\(\|)");
        let path = header(&Condition::Path(texts.to_vec())).unwrap();
        let expected = r"(\/a\.b\/.*|c.d\(\|)(\?.*)?";
        assert_eq!(path["string_match"]["safe_regex"]["regex"], expected);
    }
}
