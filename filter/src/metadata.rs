//! Envoy's metadata: the settings that stand under the namespace `lambda`.
//!
//! The properties `xds.route_metadata`, `xds.virtual_host_metadata` and `xds.cluster_metadata`
//! are a serialised `envoy.config.core.v3.Metadata`. The whole message is read, not
//! `...filter_metadata.lambda`: that path gives a map of byte strings, in which a number, a flag
//! and a text of the same bytes cannot be told apart.

use prost::Message;
use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::{Map, Value};

/// The namespace of the filter's keys.
const NAMESPACE: &str = "lambda";

/// `envoy.config.core.v3.Metadata`, as much as is read of it.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    filter_metadata: std::collections::BTreeMap<String, Struct>,
}

/// The fields of the filter itself, empty if there are none.
///
/// # Errors
/// Bytes that are not a `Metadata` message.
pub fn fields(bytes: &[u8]) -> Result<Map<String, Value>, prost::DecodeError> {
    namespace(bytes, NAMESPACE)
}

/// The fields of one namespace, empty if there are none.
///
/// # Errors
/// Bytes that are not a `Metadata` message.
pub fn namespace(bytes: &[u8], name: &str) -> Result<Map<String, Value>, prost::DecodeError> {
    let mut metadata = Metadata::decode(bytes)?;
    let fields = metadata.filter_metadata.remove(name);
    Ok(fields.map(object).unwrap_or_default())
}

/// The fields of a serialised `google.protobuf.Struct`.
///
/// # Errors
/// Bytes that are not one.
pub fn structure(bytes: &[u8]) -> Result<Map<String, Value>, prost::DecodeError> {
    Struct::decode(bytes).map(object)
}

fn object(fields: Struct) -> Map<String, Value> {
    let pair = |(key, value): (String, ProtoValue)| (key, json(value));
    fields.fields.into_iter().map(pair).collect()
}

fn json(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => whole(number).map_or_else(|| number.into(), Into::into),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StructValue(fields)) => object(fields).into(),
        Some(Kind::ListValue(ListValue { values })) => values.into_iter().map(json).collect(),
    }
}

/// The number as an integer, if it is one: a Struct knows only floating point.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within what a double holds exactly"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json as expected;

    /// What Envoy gives for one namespace with these fields.
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
}
