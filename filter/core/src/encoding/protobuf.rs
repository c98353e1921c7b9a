//! Envoy's metadata and `google.protobuf.Struct`, as JSON.
//!
//! The properties `xds.route_metadata`, `xds.virtual_host_metadata` and `xds.cluster_metadata` are a
//! serialised `envoy.config.core.v3.Metadata`. The property `...filter_metadata.lambda` is a map of byte
//! strings, in which a number, a boolean and a text of the same bytes look alike. So the whole message is
//! read.
//!
//! The decoder is our own, for these two messages. A general decoder would keep a second tree of the
//! values, and would be as large as all event formats together.

use std::fmt;

use serde_json::{Map, Value};

/// The deepest nesting of lists and structures. Protobuf's own limit is 100 messages, and each level
/// takes two or three.
const MAX_DEPTH: usize = 50;

/// Bytes that are not the message that Envoy sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// They end within a field.
    Truncated,
    /// A field of this number is of another type.
    WrongType(u64),
    /// A text is not UTF-8.
    NotUtf8,
    /// Values nest too deep.
    TooDeep,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends within a field"),
            Self::WrongType(number) => write!(f, "field {number} is of an unknown type"),
            Self::NotUtf8 => f.write_str("a text is not UTF-8"),
            Self::TooDeep => write!(f, "values nest deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Returns the fields of a namespace, and none if the namespace is absent.
///
/// # Errors
/// Bytes that are not a `Metadata` message.
pub(crate) fn namespace(bytes: &[u8], name: &str) -> Result<Map<String, Value>, DecodeError> {
    let mut fields = Map::new();
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        // `map<string, Struct> filter_metadata = 1`
        if number == 1 {
            let (key, value) = entry(field.bytes(number)?)?;
            if key == name {
                fields = structure(value)?;
            }
        }
    }
    Ok(fields)
}

/// Returns the fields of a serialised `google.protobuf.Struct`.
///
/// # Errors
/// Bytes that are none.
pub(crate) fn structure(bytes: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    object(bytes, MAX_DEPTH)
}

fn object(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, DecodeError> {
    let mut fields = Map::new();
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        // `map<string, Value> fields = 1`
        if number == 1 {
            let (key, value) = entry(field.bytes(number)?)?;
            fields.insert(key.to_owned(), json(value, depth)?);
        }
    }
    Ok(fields)
}

/// Reads a `google.protobuf.Value`.
fn json(bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut value = Value::Null;
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        let deeper = || depth.checked_sub(1).ok_or(DecodeError::TooDeep);
        value = match number {
            1 => Value::Null,
            2 => number_value(f64::from_le_bytes(field.fixed64(number)?)),
            3 => field.text(number)?.into(),
            4 => (field.varint(number)? != 0).into(),
            5 => object(field.bytes(number)?, deeper()?)?.into(),
            6 => list(field.bytes(number)?, deeper()?)?.into(),
            _ => continue,
        };
    }
    Ok(value)
}

/// Reads a `google.protobuf.ListValue`.
fn list(bytes: &[u8], depth: usize) -> Result<Vec<Value>, DecodeError> {
    let mut items = Vec::new();
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        // `repeated Value values = 1`
        if number == 1 {
            items.push(json(field.bytes(number)?, depth)?);
        }
    }
    Ok(items)
}

/// Returns a number, as an integer if it is whole: a Struct has only floating point.
fn number_value(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within what a double holds exactly"
    )]
    if number.fract() == 0.0 && number.abs() <= EXACT {
        (number as i64).into()
    } else {
        number.into()
    }
}

/// Returns the key and the value of a map's entry. Each is empty if it is left out.
fn entry(bytes: &[u8]) -> Result<(&str, &[u8]), DecodeError> {
    let (mut key, mut value) = ("", &[][..]);
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => key = field.text(number)?,
            2 => value = field.bytes(number)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The fields of a message that have not been read yet.
///
/// Source: *Encoding* in the Protocol Buffers documentation.
struct Message<'a>(&'a [u8]);

/// The value of a field, by its wire type.
enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Message<'a> {
    /// Reads the next field and its number. Groups, which proto3 does not have, are of an unknown
    /// type.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.chunk()?),
            2 => {
                let length = usize::try_from(self.varint()?);
                let length = length.map_err(|_| DecodeError::Truncated)?;
                let split = self.0.split_at_checked(length);
                let (bytes, rest) = split.ok_or(DecodeError::Truncated)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            5 => {
                self.chunk::<4>()?;
                Field::Fixed32
            }
            _ => return Err(DecodeError::WrongType(number)),
        };
        Ok(Some((number, field)))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.chunk()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Truncated)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*chunk)
    }
}

impl<'a> Field<'a> {
    fn varint(self, number: u64) -> Result<u64, DecodeError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(DecodeError::WrongType(number)),
        }
    }

    fn fixed64(self, number: u64) -> Result<[u8; 8], DecodeError> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(DecodeError::WrongType(number)),
        }
    }

    fn bytes(self, number: u64) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::WrongType(number)),
        }
    }

    fn text(self, number: u64) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| DecodeError::NotUtf8)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;
    use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
    use serde_json::json as expected;

    /// The part of `envoy.config.core.v3.Metadata` that is read.
    #[derive(Clone, PartialEq, Message)]
    struct Metadata {
        #[prost(btree_map = "string, message", tag = "1")]
        filter_metadata: std::collections::BTreeMap<String, Struct>,
    }

    /// Returns Envoy's metadata with these fields in a namespace.
    pub(crate) fn message(namespace: &str, fields: &Value) -> Vec<u8> {
        let Some(Kind::StructValue(fields)) = proto(fields).kind else {
            panic!("a test gives an object");
        };
        let filter_metadata = [(namespace.to_owned(), fields)].into();
        Metadata { filter_metadata }.encode_to_vec()
    }

    fn proto(value: &Value) -> ProtoValue {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(items) => Kind::ListValue(ListValue {
                values: items.iter().map(proto).collect(),
            }),
            Value::Object(fields) => Kind::StructValue(Struct {
                fields: fields
                    .iter()
                    .map(|(key, value)| (key.clone(), proto(value)))
                    .collect(),
            }),
        };
        ProtoValue { kind: Some(kind) }
    }

    fn fields(bytes: &[u8]) -> Result<Map<String, Value>, DecodeError> {
        namespace(bytes, "lambda")
    }

    #[test]
    fn reads_a_message_that_envoy_sent() {
        // `{lambda: {function: hello, max_request_bytes: 1000, expose_errors: true,
        // binary_media_types: [a/b, c/d]}, other: {x: 1}}`, as Envoy 1.40 serialised it.
        let bytes = b"\n\x7a\n\x06lambda\x12\x70\
            \n\x13\n\x08function\x12\x07\x1a\x05hello\
            \n&\n\x12binary_media_types\x12\x102\x0e\n\x05\x1a\x03a/b\n\x05\x1a\x03c/d\
            \n\x1e\n\x11max_request_bytes\x12\x09\x11\0\0\0\0\0\x40\x8f\x40\
            \n\x11\n\x0dexpose_errors\x12\0\
            \n\x19\n\x05other\x12\x10\n\x0e\n\x01x\x12\x09\x11\0\0\0\0\0\0\xf0\x3f";
        let fields = fields(bytes).unwrap();
        assert_eq!(
            Value::Object(fields),
            expected!({
                "function": "hello",
                "binary_media_types": ["a/b", "c/d"],
                "max_request_bytes": 1000,
                "expose_errors": null,
            })
        );
    }

    #[test]
    fn other_namespaces_and_no_metadata_are_no_settings() {
        assert!(fields(b"").unwrap().is_empty());
        assert!(
            fields(b"\n\x19\n\x05other\x12\x10\n\x0e\n\x01x\x12\x09\x11\0\0\0\0\0\0\xf0\x3f")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        assert!(fields(b"\x0a\xff\xff\xff\xff\xff").is_err());
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        for (value, expected) in [
            (&b"\x10\x01"[..], DecodeError::WrongType(2)),
            (b"\x1a\x01\xff", DecodeError::NotUtf8),
            (b"\x1a\x02a", DecodeError::Truncated),
            (b"\x13\x14", DecodeError::WrongType(2)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                DecodeError::Truncated,
            ),
        ] {
            assert_eq!(json(value, MAX_DEPTH), Err(expected), "{value:?}");
        }
        // Unknown fields, as of later versions, are skipped.
        assert_eq!(json(b"\x38\x01\x45abcd\x1a\x01a", 0), Ok("a".into()));
    }

    #[test]
    fn values_nest_to_a_limit() {
        let nested = |depth| {
            let value = (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
            namespace(&message("n", &expected!({ "v": value })), "n")
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert_eq!(nested(MAX_DEPTH + 1), Err(DecodeError::TooDeep));
        assert_eq!(nested(500), Err(DecodeError::TooDeep));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e9..1e9).prop_map(|n: f64| number_value(n)),
            ".{0,5}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_a_general_encoder_writes(value in values()) {
            let fields = expected!({ "v": value });
            let read = namespace(&message("n", &fields), "n").map(Value::Object);
            prop_assert_eq!(read, Ok(fields));
        }

        #[test]
        fn no_bytes_make_it_panic(
            value in values(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = message("n", &expected!({ "v": value }));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = namespace(&bytes, "n");
            let _ = structure(&bytes[at..]);
        }
    }
}
