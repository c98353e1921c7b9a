//! The mistakes in a configuration.

use std::fmt;

use crate::encoding::protobuf::DecodeError;

/// The reason for which a route has no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// The operator's: keys or their values are wrong.
    Keys(Problems),
    /// Envoy's: the metadata is not the expected protobuf message.
    Metadata(DecodeError),
    /// The operator's: the keys are where the host cannot read them. The text says what to do.
    Unreadable(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(problems) => write!(f, "the configuration is wrong: {problems}"),
            Self::Metadata(error) => write!(f, "Envoy's metadata cannot be read: {error}"),
            Self::Unreadable(cure) => write!(f, "the configuration cannot be read: {cure}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<Problems> for ConfigError {
    fn from(problems: Problems) -> Self {
        Self::Keys(problems)
    }
}

impl From<DecodeError> for ConfigError {
    fn from(error: DecodeError) -> Self {
        Self::Metadata(error)
    }
}

/// All mistakes in a configuration, in one sentence per key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

/// A mistake in one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) key: String,
    pub(super) what: String,
}

impl Problems {
    /// A single mistake.
    pub(super) fn one(key: &str, what: impl Into<String>) -> Self {
        Self(vec![Problem {
            key: key.to_owned(),
            what: what.into(),
        }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { key, what }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}`{key}`: {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
