//! A writer for values in YAML's flow style. Texts are quoted unless YAML reads them as strings anyway.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

/// Returns a text as a scalar.
pub(crate) fn text(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    let first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'/';
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.bytes().all(is_plain)
        && (text.as_bytes().first().is_some_and(first)
            || text.parse::<Ipv4Addr>().is_ok()
            || is_duration(text))
        && !reserved.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        text.to_owned()
    } else {
        // A JSON string is also a double-quoted scalar of YAML.
        Value::from(text).to_string()
    }
}

/// Returns whether the text is a duration such as `30s`.
fn is_duration(text: &str) -> bool {
    text.strip_suffix('s')
        .is_some_and(|number| number.parse::<f64>().is_ok())
}

/// Returns a JSON value on one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => format!("[{}]", join(items.iter().map(flow))),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            // Sorted whatever the order of the map, so that the same value gives the same bytes.
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields
                .into_iter()
                .map(|(key, value)| format!("{}: {}", text(key), flow(value)));
            format!("{{ {} }}", join(fields))
        }
        other => other.to_string(),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_yaml_could_read_as_another_type_are_quoted() {
        for plain in [
            "orders",
            "/pets/a-b_c.d",
            "127.0.0.1",
            "apigateway-v2",
            "1.050s",
        ] {
            assert_eq!(text(plain), plain);
        }
        for quoted in [
            "", "*", "yes", "True", "null", "~", "1", "1.5", "0x1f", ".inf", "-", "a: b", "a#b",
            "{a}", "$default", "::1", "1e3",
        ] {
            assert_eq!(text(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(text("a\"\n- x: \\"), r#""a\"\n- x: \\""#);
    }

    #[test]
    fn a_value_is_written_on_one_line() {
        let value = serde_json::json!({ "a": ["image/*", 1, true, null], "b c": {} });
        assert_eq!(
            flow(&value),
            r#"{ a: ["image/*", 1, true, null], "b c": {} }"#
        );
    }
}
