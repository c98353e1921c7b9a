//! JSON from elsewhere, borrowed from its text where it has no escapes.
//!
//! A single visitor reads every kind of value. Each further type that `serde` reads, above all a derived
//! one, would add a copy of the parser to the module.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::encoding::json::{self, JsonError};

/// A value with a limited number of levels, items and members. What is deeper or beyond is checked but not
/// kept: the memory of the module never shrinks, so no function may make the filter build a large tree.
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
    /// An array or an object with more than [`MAX_ITEMS`] items and members on all its levels.
    TooLarge,
}

/// The largest number of items and members of a value, on all its levels. No response has as many: its
/// headers are fewer.
pub(crate) const MAX_ITEMS: usize = 4_000;

impl<'a> ShallowJson<'a> {
    /// Reads a value with one level.
    ///
    /// # Errors
    /// Bytes that are not one JSON value in UTF-8.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
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
        let room = Cell::new(MAX_ITEMS);
        let reader = Reader::new(1, &room);
        reader.deserialize(deserializer).map(Self)
    }
}

/// A string, borrowed if it has no escapes.
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let room = Cell::new(0);
        match Reader::new(0, &room).deserialize(deserializer)? {
            ShallowJson::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("expected a string")),
        }
    }
}

/// A reader of [`ShallowJson`].
#[derive(Clone, Copy)]
pub(crate) struct Reader<'r> {
    levels: u8,
    /// The number of items and members that may still be kept.
    room: &'r Cell<usize>,
}

impl<'r> Reader<'r> {
    /// Returns a reader of a value with this many levels.
    pub(crate) fn new(levels: u8, room: &'r Cell<usize>) -> Self {
        Self { levels, room }
    }

    /// Returns the reader of items and members; `None` below the last level.
    fn below(self) -> Option<Self> {
        let levels = self.levels.checked_sub(1)?;
        Some(Self { levels, ..self })
    }

    /// Keeps an item if there is room, and else gives all of them up.
    fn keep<T>(self, items: &mut Vec<T>, item: T) -> bool {
        match self.room.get().checked_sub(1) {
            Some(room) => {
                self.room.set(room);
                items.push(item);
                true
            }
            None => {
                *items = Vec::new();
                false
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ShallowJson<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
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
        let Some(below) = self.below() else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(ShallowJson::Nested);
        };
        let mut items = Vec::new();
        let mut all_kept = true;
        while let Some(item) = seq.next_element_seed(below)? {
            all_kept &= self.keep(&mut items, item);
        }
        Ok(if all_kept {
            ShallowJson::List(items)
        } else {
            ShallowJson::TooLarge
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(below) = self.below() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(ShallowJson::Nested);
        };
        let mut members = Vec::new();
        let mut all_kept = true;
        while let Some(Text(key)) = map.next_key()? {
            all_kept &= self.keep(&mut members, (key, map.next_value_seed(below)?));
        }
        Ok(if all_kept {
            ShallowJson::Map(members)
        } else {
            ShallowJson::TooLarge
        })
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

    #[test]
    fn what_has_more_items_than_a_response_needs_is_not_kept() {
        fn read(text: &str) -> ShallowJson<'_> {
            let room = Cell::new(MAX_ITEMS);
            let mut parser = serde_json::Deserializer::from_str(text);
            Reader::new(2, &room).deserialize(&mut parser).unwrap()
        }
        let list = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
        assert!(
            matches!(read(&list(MAX_ITEMS)), ShallowJson::List(items) if items.len() == MAX_ITEMS)
        );
        assert_eq!(read(&list(MAX_ITEMS + 1)), ShallowJson::TooLarge);
        // On all levels together.
        let half = list(MAX_ITEMS / 2 - 1);
        let map = |more: &str| format!("{{\"a\":{half},\"b\":{half}{more}}}");
        assert!(matches!(read(&map("")), ShallowJson::Map(_)));
        assert_eq!(read(&map(",\"c\":1")), ShallowJson::TooLarge);
        assert_eq!(read(&map(",\"c\":[1]")), ShallowJson::TooLarge);
        let members = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(MAX_ITEMS));
        assert_eq!(
            ShallowJson::parse(members.as_bytes()).unwrap(),
            ShallowJson::TooLarge
        );
    }
}
