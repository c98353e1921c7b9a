//! Samples, their fields, and the values of the fields.

use std::str::FromStr;

use crate::config::yaml::scalar;
use lambda_api::ACCOUNT_ID;

/// A sample event.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The name by which a user asks for the event.
    pub(crate) name: &'static str,
    /// The occasion of the event.
    pub(crate) about: &'static str,
    /// The source of the event.
    pub(crate) origin: Origin,
    /// The fields that a user can set.
    pub(crate) fields: &'static [Field],
}

/// The source of a sample event.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A JSON text with placeholders such as `${bucket}`.
    Template(&'static str),
    /// A request, encoded by the filter in this format.
    Request(&'static str),
}

/// A field of a sample event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(super) kind: Kind,
}

/// The fields of all events that have a template.
pub(super) const COMMON: [Field; 2] = [
    Field::new("region", "us-east-1", Kind::Region),
    Field::new("account", ACCOUNT_ID, Kind::Account),
];

impl Field {
    pub(super) const fn new(name: &'static str, default: &'static str, kind: Kind) -> Self {
        Self {
            name,
            default,
            kind,
        }
    }
}

/// The form of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Any JSON.
    Json,
    /// A whole number.
    Number,
    /// Twelve digits.
    Account,
    Region,
}

impl Kind {
    /// Returns whether the value stands in the event as it is, instead of in a string.
    pub(super) fn is_bare(self) -> bool {
        matches!(self, Self::Json | Self::Number)
    }

    /// Returns the expected form if `value` has another.
    fn mismatch(self, value: &str) -> Option<&'static str> {
        let (is_valid, expected) = match self {
            Self::Text => (true, "text"),
            Self::Json => (
                serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok(),
                "JSON",
            ),
            Self::Number => (value.parse::<u64>().is_ok(), "a whole number"),
            Self::Account => (
                value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit()),
                "twelve digits",
            ),
            Self::Region => (
                scalar::region(value).is_some(),
                "a region such as eu-west-1",
            ),
        };
        (!is_valid).then_some(expected)
    }
}

/// A field with its value, as a user sets it: `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The name of the field.
    pub(crate) name: String,
    /// The value.
    pub(crate) value: String,
}

/// The error for a setting that is not `NAME=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=VALUE")]
pub(crate) struct NotSetting;

impl FromStr for Setting {
    type Err = NotSetting;

    fn from_str(text: &str) -> Result<Self, NotSetting> {
        let (name, value) = text.split_once('=').ok_or(NotSetting)?;
        if name.is_empty() {
            return Err(NotSetting);
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// The error for a sample that cannot be made. The text is one sentence with the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SampleError {
    /// No sample has the name.
    #[error("there is no sample `{name}`; {}--list-samples lists them all", did_you_mean(.nearest))]
    UnknownSample {
        /// The name.
        name: String,
        /// The sample that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The sample has no such field.
    #[error(
        "--set {field}: the sample `{sample}` has no such field; its fields are {}",
        .known.join(", ")
    )]
    UnknownField {
        /// The name of the sample.
        sample: &'static str,
        /// The name of the field.
        field: String,
        /// The fields that the sample has.
        known: Vec<&'static str>,
    },
    /// The value has another form than the field needs.
    #[error("--set {field}: expected {expected}, found \"{}\"", .found.escape_debug())]
    Value {
        /// The name of the field.
        field: &'static str,
        /// The form that the field needs.
        expected: &'static str,
        /// The value.
        found: String,
    },
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("did you mean `{name}`? "))
}

/// The fields of a sample with their values.
#[derive(Debug)]
pub(crate) struct Values(Vec<(Field, String)>);

impl Values {
    /// Returns the value of a field, and nothing if there is no such field.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |(_, value)| value)
    }

    pub(super) fn find(&self, name: &str) -> Option<(Field, &str)> {
        let mut values = self.0.iter();
        let (field, value) = values.find(|(field, _)| field.name == name)?;
        Some((*field, value))
    }
}

impl Sample {
    /// Returns all fields, those of every event among them.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = Field> {
        let common: &[Field] = match self.origin {
            Origin::Template(_) => &COMMON,
            Origin::Request(_) => &[],
        };
        self.fields.iter().chain(common).copied()
    }

    /// Returns the values of all fields. If a field is set twice, the last value counts.
    ///
    /// # Errors
    /// [`SampleError::UnknownField`] and [`SampleError::Value`].
    pub(crate) fn values(&self, settings: &[Setting]) -> Result<Values, SampleError> {
        let default = |field: Field| (field, field.default.to_owned());
        let mut values: Vec<_> = self.all_fields().map(default).collect();
        for Setting { name, value } in settings {
            let entry = values.iter_mut().find(|(field, _)| field.name == name);
            let Some((field, current)) = entry else {
                return Err(SampleError::UnknownField {
                    sample: self.name,
                    field: name.clone(),
                    known: self.all_fields().map(|field| field.name).collect(),
                });
            };
            if let Some(expected) = field.kind.mismatch(value) {
                return Err(SampleError::Value {
                    field: field.name,
                    expected,
                    found: value.clone(),
                });
            }
            current.clone_from(value);
        }
        Ok(Values(values))
    }
}
