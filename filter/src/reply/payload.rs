//! A function's answer, read once: the members that any HTTP contract knows, borrowed from the
//! payload where they can be.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A small JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// The payload of a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<'a> {
    /// An object, which may be a response.
    Members(Box<Members<'a>>),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// Any other JSON.
    Other,
}

/// The members of an answer that a contract may read; of one given twice the last counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members<'a> {
    pub status_code: Option<Node<'a>>,
    pub status_code_snake: Option<Node<'a>>,
    pub status_description: Option<Node<'a>>,
    pub headers: Option<Node<'a>>,
    pub multi_value_headers: Option<Node<'a>>,
    pub cookies: Option<Node<'a>>,
    pub body: Option<Node<'a>>,
    pub is_base64_encoded: Option<Node<'a>>,
    pub is_base64_encoded_snake: Option<Node<'a>>,
    /// The first member that no contract knows.
    pub unknown: Option<String>,
    error_type: bool,
    error_message: bool,
}

impl<'a> Members<'a> {
    fn named(&mut self, name: &str) -> Option<&mut Option<Node<'a>>> {
        Some(match name {
            "statusCode" => &mut self.status_code,
            "status_code" => &mut self.status_code_snake,
            "statusDescription" => &mut self.status_description,
            "headers" => &mut self.headers,
            "multiValueHeaders" => &mut self.multi_value_headers,
            "cookies" => &mut self.cookies,
            "body" => &mut self.body,
            "isBase64Encoded" => &mut self.is_base64_encoded,
            "is_base64_encoded" => &mut self.is_base64_encoded_snake,
            _ => return None,
        })
    }
}

/// The bytes of the member `body`, where it is JSON that is to be passed on.
pub fn body_of(payload: &[u8]) -> &[u8] {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        body: &'a RawValue,
    }
    let answer = serde_json::from_slice::<Answer<'_>>(payload);
    answer.map_or(&[], |answer| answer.body.get().as_bytes())
}

impl<'a> Answer<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// Bytes that are not one JSON value in UTF-8.
    pub fn parse(payload: &'a [u8]) -> serde_json::Result<Self> {
        // Only an object or a string has members or text of its own to read. Other values may be
        // nested without limit, which `IgnoredAny` checks without recursion.
        match payload.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(payload).map(|m| Self::Members(Box::new(m))),
            Some(b'"') => serde_json::from_slice::<Text<'_>>(payload).map(|t| Self::Text(t.0)),
            _ => serde_json::from_slice::<IgnoredAny>(payload).map(|_| Self::Other),
        }
    }

    /// Whether this has the form in which runtimes report a function's error.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Members(members) => {
                members.error_type && members.error_message && members.status_code.is_none()
            }
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(Text(key)) = map.next_key()? {
                    if let Some(member) = members.named(&key) {
                        *member = Some(map.next_value()?);
                        continue;
                    }
                    map.next_value::<IgnoredAny>()?;
                    members.error_type |= key == "errorType";
                    members.error_message |= key == "errorMessage";
                    members.unknown.get_or_insert_with(|| key.into_owned());
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// A string, borrowed from the payload if it holds no escape.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("expected a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Node<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Node::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Node::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Node::Float(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Owned(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Node::Object(members))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_escapes_is_borrowed() {
        let payload = br#"{"body":"plain","cookies":["a\n"]}"#;
        let Ok(Answer::Members(members)) = Answer::parse(payload) else {
            panic!("an object");
        };
        assert!(matches!(
            members.body,
            Some(Node::Text(Cow::Borrowed("plain")))
        ));
        assert_eq!(
            members.cookies,
            Some(Node::Array(vec![Node::Text("a\n".into())]))
        );
    }

    #[test]
    fn any_nesting_is_read_or_refused() {
        let deep = |open: &str, close: &str| {
            let text = [open.repeat(100_000), close.repeat(100_000)].concat();
            Answer::parse(text.as_bytes()).map(|_| ())
        };
        assert!(deep("[", "").is_err());
        assert!(deep("[", "]").is_ok());
        let member = format!("{{\"body\":{}", "[".repeat(100_000));
        assert!(Answer::parse(member.as_bytes()).is_err());
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
                Answer::parse(payload.as_bytes()).unwrap().is_error(),
                is_error
            );
        }
    }
}
