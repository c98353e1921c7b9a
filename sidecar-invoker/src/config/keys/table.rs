//! The table of a mapping's keys.

use crate::config::yaml::decode::Value;

/// Makes a struct of the keys of a mapping. A key has a line of its own: its name, type, kind,
/// default, and the section of docs/invoker.md that explains it. The comment above the line is its
/// description.
///
/// A key without a type stays a [`Value`], for a reader that needs more than the value. In the place
/// of a kind it has [`Values`](lambda_filter_core::config::reference::Values).
macro_rules! keys {
    (
        $(#[$about:meta])*
        $visibility:vis struct $Keys:ident;
        $(
            $(#[doc = $description:literal])+
            $key:ident $(: $type:ty)? = $kind:expr, $default:literal $(, see $section:literal)?;
        )+
    ) => {
        $(#[$about])*
        $visibility struct $Keys<'t> {
            $($(#[doc = $description])+ $key: $crate::config::keys::keys!(@type 't $($type)?),)+
        }

        impl<'t> $Keys<'t> {
            /// Takes the values of the keys from a mapping.
            $visibility fn of(mapping: &mut $crate::config::yaml::decode::Mapping<'_, 't>) -> Self {
                Self {
                    $($key: {
                        let value = mapping.optional(stringify!($key));
                        $crate::config::keys::keys!(@field value $kind $(, $type)?)
                    },)+
                }
            }
        }

        impl $Keys<'_> {
            /// Returns the keys as a reference describes them.
            $visibility fn reference() -> Vec<lambda_filter_core::config::reference::Key> {
                vec![$(lambda_filter_core::config::reference::Key {
                    name: stringify!($key),
                    section: [$($section)?].first().copied(),
                    values: $crate::config::keys::keys!(@values $kind $(, $type)?),
                    default: $default,
                    description: concat!($($description),+).trim_ascii(),
                }),+]
            }
        }
    };
    (@type $t:lifetime) => { Option<$crate::config::yaml::decode::Value<$t>> };
    (@type $t:lifetime $type:ty) => { $crate::config::keys::Field<$t, $type> };
    (@field $value:ident $kind:expr) => { $value };
    (@field $value:ident $kind:expr, $type:ty) => {
        $crate::config::keys::Field::new($value, |value| {
            $crate::config::keys::kind::Kind::read(&$kind, value)
        })
    };
    (@values $kind:expr) => { $kind };
    (@values $kind:expr, $type:ty) => { $crate::config::keys::kind::Kind::values(&$kind) };
}

pub(in crate::config) use keys;

/// The value of a key, if it is there, and the way to read it.
pub(in crate::config) struct Field<'t, T> {
    /// The value as it stands in the file.
    pub(in crate::config) value: Option<Value<'t>>,
    read: fn(&Value<'_>) -> Option<T>,
}

impl<'t, T> Field<'t, T> {
    /// A field of a table.
    pub(in crate::config) fn new(
        value: Option<Value<'t>>,
        read: fn(&Value<'_>) -> Option<T>,
    ) -> Self {
        Self { value, read }
    }

    /// Reads the value, if there is one.
    pub(in crate::config) fn optional(&self) -> Option<Option<T>> {
        match &self.value {
            Some(value) => (self.read)(value).map(Some),
            None => Some(None),
        }
    }

    /// Reads the value, or returns the default.
    pub(in crate::config) fn or(&self, default: T) -> Option<T> {
        Some(self.optional()?.unwrap_or(default))
    }

    /// Reads the value, or calls for the default.
    pub(in crate::config) fn or_else(&self, default: impl FnOnce() -> T) -> Option<T> {
        Some(self.optional()?.unwrap_or_else(default))
    }
}
