//! Fills the placeholders of a template.
//!
//! `${name}` stands for the value of a field within a string. `${name|form}` stands for another form of the
//! value, which some services send. A string that is nothing but the placeholder of JSON or of a number
//! becomes that value.

use std::io::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::model::Values;

/// The characters that S3 encodes in the key of an object. A space becomes `+`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// The data of a CloudWatch Logs event, before it is compressed.
const LOG_DATA: &str = include_str!("cloudwatch-logs-data.json");

/// Returns the event of a template with these values, as JSON.
pub(crate) fn fill(template: &str, values: &Values) -> String {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((placeholder, after)) = after.split_once('}') else {
            break;
        };
        let (name, form) = match placeholder.split_once('|') {
            Some((name, form)) => (name, Some(form)),
            None => (placeholder, None),
        };
        let is_bare = match form {
            Some(form) => form == "bytes",
            None => values
                .find(name)
                .is_some_and(|(field, _)| field.kind.is_bare()),
        };
        let value = transformed(form, values.get(name), values);
        match (before.strip_suffix('"'), after.strip_prefix('"')) {
            (Some(before), Some(after)) if is_bare => {
                filled.push_str(before);
                filled.push_str(&value);
                rest = after;
            }
            _ => {
                filled.push_str(before);
                filled.push_str(&escaped(&value));
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Returns a value in another form.
fn transformed(form: Option<&str>, value: &str, values: &Values) -> String {
    match form {
        Some("form") => utf8_percent_encode(value, ENCODED)
            .to_string()
            .replace(' ', "+"),
        Some("base64") => BASE64_STANDARD.encode(value),
        Some("bytes") => value.len().to_string(),
        Some("md5") => {
            let digest = Md5::digest(value);
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        Some("logs") => BASE64_STANDARD.encode(gzip(fill(LOG_DATA, values).as_bytes())),
        _ => value.to_owned(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = gzip.write_all(bytes);
    gzip.finish().unwrap_or_default()
}

/// Returns a text as it stands within a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}
