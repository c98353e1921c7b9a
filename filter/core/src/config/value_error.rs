//! The reasons why a value is not accepted.

use std::borrow::Cow;
use std::fmt;

use lambda_api::NameError;

/// A value that a key, or a part of a configuration, does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueError {
    /// The value has another form.
    Unexpected {
        /// The form that a value has.
        expected: Cow<'static, str>,
        /// The value, as it is shown in a message.
        found: String,
    },
    /// The value is a secret of another form, which no message shows.
    Secret,
    /// The value is no name of a function, an alias or a version.
    Name(NameError),
    /// A placeholder has no closing brace in this text.
    OpenPlaceholder(String),
    /// There is no placeholder of this name.
    UnknownPlaceholder {
        /// The name, without its braces.
        name: String,
        /// The placeholders that there are.
        known: &'static str,
    },
}

impl ValueError {
    /// Returns the error of a text that has another form than `expected`.
    #[must_use]
    pub fn of_text(expected: &'static str, found: &str) -> Self {
        Self::Unexpected {
            expected: Cow::Borrowed(expected),
            found: format!("\"{}\"", found.escape_debug()),
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Secret => f.write_str("expected a secret of 32 to 256 visible ASCII characters"),
            Self::Name(error) => error.fmt(f),
            Self::OpenPlaceholder(text) => write!(f, "a placeholder is not closed in \"{text}\""),
            Self::UnknownPlaceholder { name, known } => {
                write!(f, "unknown placeholder ${{{name}}}; there are {known}")
            }
        }
    }
}

impl std::error::Error for ValueError {}

impl From<NameError> for ValueError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}
