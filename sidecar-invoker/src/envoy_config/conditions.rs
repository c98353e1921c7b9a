//! The conditions of a load balancer, as Envoy takes them.

use serde_json::{Value, json};

use crate::config::Condition;

/// Returns the condition on a header, or on the path, which is the header `:path` with the query.
pub(super) fn header(condition: &Condition) -> Option<Value> {
    match condition {
        Condition::Path(values) => {
            let regex = format!("{}(\\?.*)?", regex(values));
            Some(matching(":path", &regex))
        }
        Condition::Header(name, values) => Some(matching(name, &regardless_of_case(values))),
        Condition::Query(..) => None,
    }
}

/// Returns the condition on a parameter of the query.
pub(super) fn query(condition: &Condition) -> Option<Value> {
    match condition {
        Condition::Query(name, values) => Some(matching(name, &regardless_of_case(values))),
        Condition::Path(_) | Condition::Header(..) => None,
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
