//! A function's payload: the members that any HTTP contract knows, borrowed from the JSON where they
//! have no escapes.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use lambda_api::function_error;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::encoding::json::{self, JsonError};
use crate::encoding::shallow_json::{MAX_ITEMS, Reader, ShallowJson, Text};

/// The levels of `multiValueHeaders`, the deepest member: lists in a map.
const LEVELS: u8 = 2;

/// A function's payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FunctionPayload<'a> {
    /// An object, which may be an HTTP response.
    Object(Box<ResponseMembers<'a>>),
    /// A string without its escapes.
    Text(Cow<'a, str>),
    /// Any other JSON.
    Other,
}

/// The members that a contract may read. The last of two with one name counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ResponseMembers<'a> {
    pub status_code: Option<ShallowJson<'a>>,
    pub status_code_snake: Option<ShallowJson<'a>>,
    pub status_description: Option<ShallowJson<'a>>,
    pub headers: Option<ShallowJson<'a>>,
    pub multi_value_headers: Option<ShallowJson<'a>>,
    pub cookies: Option<ShallowJson<'a>>,
    /// JSON that is read later: the body is most of the payload, and its form depends on the contract.
    pub body: Option<&'a str>,
    pub is_base64_encoded: Option<ShallowJson<'a>>,
    pub is_base64_encoded_snake: Option<ShallowJson<'a>>,
    /// The name that Java's serialisers make of `isBase64Encoded`.
    pub base64_encoded: Option<ShallowJson<'a>>,
    /// The first member that no contract knows.
    pub unknown: Option<String>,
    function_error: function_error::Members,
}

impl<'a> ResponseMembers<'a> {
    fn named(&mut self, name: &str) -> Option<&mut Option<ShallowJson<'a>>> {
        Some(match name {
            "statusCode" => &mut self.status_code,
            "status_code" => &mut self.status_code_snake,
            "statusDescription" => &mut self.status_description,
            "headers" => &mut self.headers,
            "multiValueHeaders" => &mut self.multi_value_headers,
            "cookies" => &mut self.cookies,
            "isBase64Encoded" => &mut self.is_base64_encoded,
            "is_base64_encoded" => &mut self.is_base64_encoded_snake,
            "base64Encoded" => &mut self.base64_encoded,
            _ => return None,
        })
    }
}

impl<'a> FunctionPayload<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// Bytes that are not one JSON value in UTF-8.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, JsonError> {
        json::read(payload)
    }

    /// Returns whether the payload has the form of a function error.
    pub(super) fn is_function_error(&self) -> bool {
        match self {
            Self::Object(members) => members.function_error.is_error(),
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for FunctionPayload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = FunctionPayload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(FunctionPayload::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FunctionPayload::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Box::<ResponseMembers<'_>>::default();
        // For all members together.
        let room = Cell::new(MAX_ITEMS);
        while let Some(Text(key)) = map.next_key()? {
            members.function_error.add(&key);
            if key == "body" {
                members.body = Some(map.next_value::<&RawValue>()?.get());
                continue;
            }
            if let Some(member) = members.named(&key) {
                *member = Some(map.next_value_seed(Reader::new(LEVELS, &room))?);
                continue;
            }
            map.next_value::<IgnoredAny>()?;
            members.unknown.get_or_insert_with(|| key.into_owned());
        }
        Ok(FunctionPayload::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_left_as_json() {
        let payload = br#"{"body": "a\n" ,"cookies":["a\n","b"],"body": [1, "x"]}"#;
        let Ok(FunctionPayload::Object(members)) = FunctionPayload::parse(payload) else {
            panic!("an object");
        };
        assert_eq!(members.body, Some("[1, \"x\"]"));
        let cookies = ["a\n", "b"].map(|cookie| ShallowJson::Text(cookie.into()));
        assert_eq!(members.cookies, Some(ShallowJson::List(cookies.to_vec())));
    }

    #[test]
    fn any_nesting_is_read_or_refused() {
        let is_read = |before: &str, after: &str| {
            let text = [before, &"[".repeat(100_000), &"]".repeat(100_000), after].concat();
            FunctionPayload::parse(text.as_bytes()).is_ok()
        };
        assert!(is_read("", ""));
        assert!(is_read("{\"body\":", "}"));
        assert!(is_read("{\"headers\":", "}"));
        assert!(FunctionPayload::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn numbers_stay_as_they_are() {
        let payload = br#"{"headers":{"a":18446744073709551615,"b":1.0,"c":-1}}"#;
        let Ok(FunctionPayload::Object(members)) = FunctionPayload::parse(payload) else {
            panic!("an object");
        };
        let expected = [
            (
                "a".into(),
                ShallowJson::Number("18446744073709551615".to_owned()),
            ),
            ("b".into(), ShallowJson::Number("1.0".to_owned())),
            ("c".into(), ShallowJson::Integer(-1)),
        ];
        assert_eq!(members.headers, Some(ShallowJson::Map(expected.to_vec())));
    }

    #[test]
    fn an_answer_is_utf8() {
        assert!(FunctionPayload::parse(b"[\"\xff\"]").is_err());
    }

    #[test]
    fn an_error_has_a_type_and_a_message_and_no_status() {
        for (payload, is_error) in [
            (
                r#"{"errorType":"E","errorMessage":"m","stackTrace":[]}"#,
                true,
            ),
            (r#"{"errorType":"E"}"#, false),
            (
                r#"{"errorType":"E","errorMessage":"m","statusCode":200}"#,
                false,
            ),
            ("null", false),
        ] {
            assert_eq!(
                FunctionPayload::parse(payload.as_bytes())
                    .unwrap()
                    .is_function_error(),
                is_error
            );
        }
    }
}
