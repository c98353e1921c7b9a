//! The reference of a configuration, made from its keys: tables for the documentation, and a JSON
//! Schema.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// A key of a configuration.
#[derive(Debug, Clone)]
pub struct Key {
    /// The name of the key.
    pub name: &'static str,
    /// The anchor of the section that explains the key, in the document of the table.
    pub section: Option<&'static str>,
    /// The values that the key may have.
    pub values: Values,
    /// The default, in Markdown: `required`, `none`, a value (which a comma and a remark may
    /// follow), or a phrase.
    pub default: &'static str,
    /// A sentence or two in Markdown.
    pub description: &'static str,
}

/// The values that a key may have.
#[derive(Debug, Clone)]
pub struct Values {
    /// The values as a cell of a table names them, in Markdown.
    pub text: String,
    /// The values as a JSON Schema.
    pub schema: Value,
}

impl Values {
    /// A choice of texts.
    #[must_use]
    pub fn choice(names: &[&str]) -> Self {
        Self {
            text: format!("`{}`", names.join("`, `")),
            schema: json!({ "type": "string", "enum": names }),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag() -> Self {
        Self {
            text: "`true`, `false`".to_owned(),
            schema: json!({ "type": "boolean" }),
        }
    }

    /// A whole number, counted in `unit`, which may be empty.
    #[must_use]
    pub fn integer(unit: &str, range: RangeInclusive<u32>) -> Self {
        let (least, most) = (*range.start(), *range.end());
        let separator = if unit.is_empty() { "" } else { ", " };
        let range = match most {
            u32::MAX => format!("at least {least}"),
            _ => format!("{} to {}", grouped(least), grouped(most)),
        };
        Self {
            text: format!("{unit}{separator}{range}"),
            schema: json!({ "type": "integer", "minimum": least, "maximum": most }),
        }
    }

    /// Text that matches a regular expression (ECMA 262), and `form` for a reader.
    #[must_use]
    pub fn text(form: &str, pattern: &str) -> Self {
        Self {
            text: form.to_owned(),
            schema: json!({ "type": "string", "pattern": pattern }),
        }
    }

    /// A list of texts that match a regular expression (ECMA 262), and `form` for a reader.
    #[must_use]
    pub fn list(form: &str, pattern: &str) -> Self {
        Self {
            text: form.to_owned(),
            schema: json!({ "type": "array", "items": { "type": "string", "pattern": pattern } }),
        }
    }

    /// Any JSON.
    #[must_use]
    pub fn json() -> Self {
        Self {
            text: "JSON".to_owned(),
            schema: json!({}),
        }
    }
}

/// Returns a number with a comma between each three digits.
fn grouped(number: u32) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), number % 1_000),
    }
}

/// Returns a table of Markdown with a row for each key.
#[must_use]
pub fn table(keys: &[Key]) -> String {
    let mut table = "| key | values | default | description |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        let name = match key.section {
            Some(section) => format!("[`{}`](#{section})", key.name),
            None => format!("`{}`", key.name),
        };
        let Key {
            values, default, ..
        } = key;
        let text = &values.text;
        let description = key.description.trim();
        table.push_str(&format!(
            "| {name} | {text} | {default} | {description} |\n"
        ));
    }
    table
}

/// Returns the JSON Schema of a mapping with these keys and no others.
#[must_use]
pub fn object(keys: &[Key]) -> Value {
    let property = |key: &Key| (key.name.to_owned(), property(key));
    let properties: Map<String, Value> = keys.iter().map(property).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(key: &Key) -> Value {
    let mut schema = key.values.schema.clone();
    let mut description = key.description.trim().to_owned();
    let default = literal(key);
    if default.is_none() && !["none", "required"].contains(&key.default) {
        description.push_str(&format!(" Default: {}.", key.default));
    }
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), description.into());
        schema.extend(default.map(|default| ("default".to_owned(), default)));
    }
    schema
}

/// Returns the default of a key, unless it is a phrase: `` `10s`, as on AWS `` is `"10s"`.
fn literal(key: &Key) -> Option<Value> {
    let (first, _) = key.default.split_once(", ").unwrap_or((key.default, ""));
    let code = first
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    let text = code.unwrap_or(first);
    let is_text = match key.values.schema.get("type") {
        Some(Value::Array(types)) => types.contains(&"string".into()),
        Some(one) => one == "string",
        None => false,
    };
    match code {
        Some(code) if is_text => (!code.contains('`')).then(|| code.into()),
        _ => serde_json::from_str(text).ok(),
    }
}

/// Returns a JSON Schema (draft 7) as the document that editors load.
#[must_use]
pub fn document(title: &str, mut schema: Value) -> String {
    if let Value::Object(schema) = &mut schema {
        let draft = "http://json-schema.org/draft-07/schema#";
        schema.insert("$schema".to_owned(), draft.into());
        schema.insert("title".to_owned(), title.into());
    }
    format!("{schema:#}\n")
}

/// Returns `page`, a document in Markdown, with `table` between the comments `generated: NAME` and
/// `/generated`; `None` if the page lacks them.
#[must_use]
pub fn with_table(page: &str, name: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(&format!("<!-- generated: {name} -->\n"))?;
    let (_, after) = rest.split_once("<!-- /generated -->\n")?;
    Some(format!(
        "{before}<!-- generated: {name} -->\n{table}<!-- /generated -->\n{after}"
    ))
}
