//! Kinds of values: how each is read, and how a reference describes it.
//!
//! Every scalar of the file is text. A JSON Schema sees the types that YAML gives to scalars, so it
//! has to allow a number where the text may look like one.

use std::ops::RangeInclusive;
use std::time::Duration;

use lambda_api::FunctionName;
use lambda_filter_core::config::reference::{self, Key, Values};
use serde_json::{Value as Json, json};

use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar;

/// A kind of values.
pub(in crate::config) trait Kind {
    /// The type of a value once it is read.
    type Read;

    /// Reads a value, or reports its mistake.
    fn read(&self, value: &Value<'_>) -> Option<Self::Read>;

    /// Returns the values as a reference describes them.
    fn values(&self) -> Values;
}

/// Text of a certain form.
pub(in crate::config) struct Form<T> {
    /// The form in an error.
    pub(in crate::config) expected: &'static str,
    /// Reads the text; `None` if it is not of the form.
    pub(in crate::config) parse: fn(&str) -> Option<T>,
    /// The form in a table.
    pub(in crate::config) text: &'static str,
    /// The types that such a text can have in YAML.
    pub(in crate::config) types: Types,
    /// The form as a regular expression (ECMA 262).
    pub(in crate::config) pattern: &'static str,
}

/// The types that YAML gives to a scalar.
#[derive(Clone, Copy)]
pub(in crate::config) enum Types {
    /// A text that cannot look like anything else.
    Text,
    /// A text that can look like a whole number.
    Integer,
    /// A text that can look like a number or a boolean.
    Any,
}

impl Types {
    /// Returns the JSON Schema of a text.
    pub(in crate::config) fn schema(self) -> Json {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Integer => json!({ "type": ["string", "integer"] }),
            Self::Any => json!({ "type": ["string", "number", "boolean"] }),
        }
    }

    /// Returns the JSON Schema of a text that matches `pattern`.
    pub(in crate::config) fn matching(self, pattern: &str) -> Json {
        let mut schema = self.schema();
        if let Json::Object(schema) = &mut schema {
            schema.insert("pattern".to_owned(), pattern.into());
        }
        schema
    }
}

impl<T> Kind for Form<T> {
    type Read = T;

    fn read(&self, value: &Value<'_>) -> Option<T> {
        value.parse(self.expected, self.parse)
    }

    fn values(&self) -> Values {
        Values {
            text: self.text.to_owned(),
            schema: self.types.matching(self.pattern),
        }
    }
}

/// A duration of at most 15 minutes.
pub(in crate::config) const DURATION: Form<Duration> = Form {
    expected: "a duration from 1ms to 15m such as 30s",
    parse: scalar::duration,
    text: "duration",
    types: Types::Integer,
    pattern: "^[0-9]+(ms|s|m)?$",
};

/// A whole number in a range.
pub(in crate::config) struct Integer {
    of: &'static str,
    unit: &'static str,
    range: RangeInclusive<u32>,
}

impl Integer {
    /// A number of `of`, such as waiting events.
    pub(in crate::config) const fn of(of: &'static str, range: RangeInclusive<u32>) -> Self {
        Self {
            of,
            unit: "",
            range,
        }
    }

    /// The number with its unit in the table.
    pub(in crate::config) const fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

impl Kind for Integer {
    type Read = u32;

    fn read(&self, value: &Value<'_>) -> Option<u32> {
        value.integer(&format!("a number of {}", self.of), self.range.clone())
    }

    fn values(&self) -> Values {
        Values::integer(self.unit, self.range.clone())
    }
}

/// A list of texts of one form.
pub(in crate::config) struct List<T> {
    /// The list in an error.
    pub(in crate::config) expected: &'static str,
    /// The list in a table.
    pub(in crate::config) text: &'static str,
    pub(in crate::config) item: Form<T>,
}

impl<T> Kind for List<T> {
    type Read = Vec<T>;

    fn read(&self, value: &Value<'_>) -> Option<Vec<T>> {
        let items = value.list(self.expected)?;
        let items: Vec<_> = items.iter().map(|item| self.item.read(item)).collect();
        items.into_iter().collect()
    }

    fn values(&self) -> Values {
        Values {
            text: self.text.to_owned(),
            schema: json!({ "type": "array", "items": self.item.values().schema }),
        }
    }
}

/// Values with a reader of their own.
pub(in crate::config) struct Custom<T> {
    pub(in crate::config) read: fn(&Value<'_>) -> Option<T>,
    pub(in crate::config) values: fn() -> Values,
}

impl<T> Kind for Custom<T> {
    type Read = T;

    fn read(&self, value: &Value<'_>) -> Option<T> {
        (self.read)(value)
    }

    fn values(&self) -> Values {
        (self.values)()
    }
}

/// Returns the JSON Schema of an object with these keys, and keys of the user's own.
pub(in crate::config) fn object(keys: &[Key]) -> Json {
    let mut schema = reference::object(keys);
    if let Json::Object(schema) = &mut schema {
        schema.insert("patternProperties".to_owned(), json!({ "^x-": {} }));
    }
    schema
}

/// Returns the values of a key that has keys of its own. The table of these is below the heading
/// `title`.
pub(in crate::config) fn mapping(title: &str, keys: &[Key]) -> Values {
    let mut schema = object(keys);
    let required = keys.iter().filter(|key| key.default == "required");
    let required: Vec<_> = required.map(|key| key.name).collect();
    if let Json::Object(schema) = &mut schema
        && !required.is_empty()
    {
        schema.insert("required".to_owned(), required.into());
    }
    Values {
        text: format!("[keys](#{})", anchor(title)),
        schema,
    }
}

/// Returns the values of a key that has a block for each function, with keys of its own.
pub(in crate::config) fn mappings(title: &str, keys: &[Key]) -> Values {
    let Values { text, schema } = mapping(title, keys);
    Values {
        text: format!("{text} by name"),
        schema: json!({
            "type": "object",
            "propertyNames": { "pattern": FunctionName::PATTERN },
            "additionalProperties": schema,
        }),
    }
}

/// Returns the values of a key that has a list of blocks, each with keys of its own.
pub(in crate::config) fn list(title: &str, keys: &[Key]) -> Values {
    let Values { text, schema } = mapping(title, keys);
    Values {
        text: format!("list of {text}"),
        schema: json!({ "type": "array", "items": schema }),
    }
}

/// Returns the values of a key that names a file.
pub(in crate::config) fn path(text: &str) -> Values {
    Values {
        text: text.to_owned(),
        schema: Types::Any.schema(),
    }
}

/// Returns the anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let letters = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || *letter == '_');
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}
