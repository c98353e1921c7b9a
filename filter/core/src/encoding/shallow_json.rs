//! JSON from elsewhere, borrowed from its text where it has no escapes.
//!
//! A single visitor reads every kind of value. Each further type that `serde` reads, above all a derived
//! one, would add a copy of the parser to the module.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::encoding::json;

/// A value with a limited number of levels. Deeper arrays and objects are checked but not kept, so that
/// no function can make the filter build a large tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ShallowJson<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no `i64`, as text.
    Number(String),
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<ShallowJson<'a>>),
    /// An object.
    Map(Vec<(Cow<'a, str>, ShallowJson<'a>)>),
    /// An array or an object below the last level.
    Nested,
}

impl<'a> ShallowJson<'a> {
    /// Reads a value with one level.
    ///
    /// # Errors
    /// Bytes that are not one JSON value in UTF-8.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        json::read(bytes).map(|Shallow(node)| node)
    }

    /// Returns a member of an object. The last of two with one name counts.
    #[must_use]
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Map(members) = self else {
            return None;
        };
        let member = members.iter().rev().find(|(key, _)| key == name);
        member.map(|(_, value)| value)
    }
}

struct Shallow<'a>(ShallowJson<'a>);

impl<'de> Deserialize<'de> for Shallow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Depth(1).deserialize(deserializer).map(Self)
    }
}

/// A string, borrowed if it has no escapes.
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Depth(0).deserialize(deserializer)? {
            ShallowJson::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("expected a string")),
        }
    }
}

/// A reader of [`ShallowJson`] with this many levels.
#[derive(Clone, Copy)]
pub(crate) struct Depth(pub u8);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = ShallowJson<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = ShallowJson<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(ShallowJson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(ShallowJson::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(ShallowJson::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let integer = i64::try_from(value).map(ShallowJson::Integer);
        Ok(integer.unwrap_or_else(|_| ShallowJson::Number(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        let number = serde_json::Number::from_f64(value);
        Ok(number.map_or(ShallowJson::Null, |number| {
            ShallowJson::Number(number.to_string())
        }))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(ShallowJson::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(ShallowJson::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some(depth) = self.0.checked_sub(1) else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(ShallowJson::Nested);
        };
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Self(depth))? {
            items.push(item);
        }
        Ok(ShallowJson::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(depth) = self.0.checked_sub(1) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(ShallowJson::Nested);
        };
        let mut members = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            members.push((key, map.next_value_seed(Self(depth))?));
        }
        Ok(ShallowJson::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_the_last_of_its_name_and_nothing_below_is_kept() {
        let node = ShallowJson::parse(br#"{"a":1,"b":{"c":[]},"a":"\n"}"#).unwrap();
        assert_eq!(node.member("a"), Some(&ShallowJson::Text("\n".into())));
        assert_eq!(node.member("b"), Some(&ShallowJson::Nested));
        assert_eq!(node.member("c"), None);
        assert_eq!(ShallowJson::parse(b"1").unwrap().member("a"), None);
        assert!(ShallowJson::parse(b"{} {}").is_err());
    }
}
