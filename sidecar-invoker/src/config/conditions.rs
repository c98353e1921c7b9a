//! Conditions of a route besides host, path and method.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::HeaderName;
use lambda_filter_core::config::ValueError;
use lambda_filter_core::config::reference::Values;
use serde_json::json;

use super::keys::kind::{Custom, Form, List, Types};
use super::yaml::decode::Value;

/// A condition. In texts, `*` stands for any text and `?` for one character, as in the rules of a load
/// balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The path has one of these values.
    Path(Vec<String>),
    /// The header of this name has one of these values, in whatever case.
    Header(String, Vec<String>),
    /// The parameter of this name in the query has one of these values, in whatever case.
    Query(String, Vec<String>),
    /// The caller's address is in one of these ranges.
    Source(Vec<AddressRange>),
}

/// A range of addresses, such as `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// The address.
    pub address: IpAddr,
    /// The number of its bits that count.
    pub bits: u8,
}

impl FromStr for AddressRange {
    type Err = ValueError;

    /// Reads a range, or a single address.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let range = || {
            let address: IpAddr = address.parse().ok()?;
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
            (bits <= all).then_some(Self { address, bits })
        };
        range().ok_or_else(|| ValueError::of_text("addresses such as 10.1.0.0/16", text))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

pub(super) const HEADERS: Custom<Vec<Condition>> = Custom {
    read: |value| {
        let headers = value.mapping("headers such as { x-account: orders }")?;
        let headers: Vec<_> = headers.entries().map(header).collect();
        headers.into_iter().collect()
    },
    values: || {
        let text = Types::Any.schema();
        Values {
            text: "mapping of texts, or of lists of texts".to_owned(),
            schema: json!({
                "type": "object",
                "additionalProperties": { "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] },
            }),
        }
    },
};

fn header((name, value): (&str, Value<'_>)) -> Option<Condition> {
    let Ok(name) = name.parse::<HeaderName>() else {
        value.problem("is not the name of a header");
        return None;
    };
    let expected = "a value, or a list of values such as [orders, \"billing-*\"]";
    let values = if value.is_list() {
        let items = value.list(expected)?;
        if items.is_empty() {
            value.problem(format!("expected {expected}, found none"));
            return None;
        }
        let texts = items.iter().map(|item| item.text("a value"));
        texts.map(|text| text.map(str::to_owned)).collect()
    } else {
        value.text(expected).map(|text| vec![text.to_owned()])
    };
    Some(Condition::Header(name.to_string(), values?))
}

pub(super) const SOURCE: List<AddressRange> = List {
    expected: "a list of addresses such as [10.1.0.0/16]",
    text: "list of addresses such as `10.1.0.0/16`",
    item: Form {
        expected: "an address, or a range such as 10.1.0.0/16",
        parse: |text| text.parse().ok(),
        text: "address range",
        types: Types::Text,
        pattern: "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_address_with_the_number_of_its_bits() {
        for (text, expected) in [
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
        ] {
            let range: AddressRange = text.parse().unwrap();
            assert_eq!(range.to_string(), expected);
        }
        for text in ["", "10.1", "10.1.0.0/33", "10.1.0.0/", "::/129", "a/8"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
