//! Reads the value of one key, or says what was expected.

use std::str::FromStr;

use lambda_api::NameError;
use serde_json::Value;

use super::values::MediaRange;
use crate::encoding::json_writer;

/// Every key, as suggested when one is misspelt.
pub(super) const KEYS: [&str; 16] = [
    "function",
    "qualifier",
    "payload",
    "invocation",
    "stage",
    "account_id",
    "api_id",
    "resource",
    "strip_prefix",
    "binary_media_types",
    "header_case",
    "template",
    "response",
    "max_request_bytes",
    "bodyless_event",
    "expose_errors",
];

fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {}", json_writer::to_text(found))
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(expected("text (in quotes if it is a number)", value)),
    }
}

/// A name that the Invoke API knows.
pub(super) fn parsed<T: FromStr<Err = NameError>>(value: &Value) -> Result<T, String> {
    text(value)?
        .parse()
        .map_err(|error: NameError| error.to_string())
}

pub(super) fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| expected("true or false", value))
}

/// Numbers in Envoy's metadata are always floating point.
pub(super) fn size(value: &Value) -> Result<usize, String> {
    let bytes = value
        .as_f64()
        .filter(|n| n.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within 1 and u32::MAX"
    )]
    bytes
        .map(|n| n as usize)
        .ok_or_else(|| expected("a whole number of bytes, at least 1", value))
}

pub(super) fn stage(value: &Value) -> Result<String, String> {
    let stage = text(value)?;
    if stage.contains('/') {
        return Err(expected("one path segment such as `prod`", value));
    }
    Ok(stage.to_owned())
}

pub(super) fn path_prefix(value: &Value) -> Result<String, String> {
    let prefix = text(value)?;
    if prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains('?') {
        Ok(prefix.to_owned())
    } else {
        Err(expected("a path such as `/shop`", value))
    }
}

pub(super) fn media_ranges(value: &Value) -> Result<Vec<MediaRange>, String> {
    let ranges = value.as_array().and_then(|items| {
        let ranges = items.iter().map(|item| MediaRange::parse(item.as_str()?));
        ranges.collect()
    });
    ranges.ok_or_else(|| expected("a list of media types such as [\"image/*\"]", value))
}

pub(super) fn choice<T: Copy>(value: &Value, names: &[(&str, T)]) -> Result<T, String> {
    let found = value
        .as_str()
        .and_then(|text| names.iter().find(|(name, _)| *name == text));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        expected(&format!("one of {}", names.join(", ")), value)
    })
}

pub(super) fn unknown(key: &str) -> String {
    let nearest = KEYS
        .iter()
        .map(|known| (strsim::osa_distance(key, known), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 3 => {
            format!("unknown key; did you mean `{known}`?")
        }
        _ => format!("unknown key; the keys are {}", KEYS.join(", ")),
    }
}
