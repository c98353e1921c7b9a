//! HTTP messages and bodies as JSON.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

use super::masking::Secrets;

/// The largest part of a body that is shown.
const MAX_SHOWN_BYTES: usize = 256 << 10;

/// Returns a body as JSON. `size` is that of the whole body, of which the bytes may be a part.
pub(super) fn body(bytes: &[u8], size: usize, limit: Limit, secrets: &Secrets<'_>) -> Value {
    let limit = match limit {
        Limit::Shown => MAX_SHOWN_BYTES,
        Limit::None => usize::MAX,
    };
    let mut is_truncated = bytes.len() < size;
    let mut body = Map::new();
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let mut text = secrets.text(text);
            if text.len() > limit {
                let ends = (0..=limit).rev();
                let end = ends.into_iter().find(|end| text.is_char_boundary(*end));
                text.truncate(end.unwrap_or_default());
                is_truncated = true;
            }
            body.insert("text".to_owned(), text.into());
        }
        Err(_) => {
            let shown = bytes.get(..limit).unwrap_or(bytes);
            is_truncated |= shown.len() < bytes.len();
            body.insert("base64".to_owned(), BASE64_STANDARD.encode(shown).into());
        }
    }
    body.insert("size".to_owned(), size.into());
    body.insert("is_truncated".to_owned(), is_truncated.into());
    Value::Object(body)
}

/// The largest body that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// As much as a page can show.
    Shown,
    /// The whole body, to be saved.
    None,
}

/// Returns headers as JSON, with secrets masked.
pub(super) fn headers<'h>(
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    secrets: &Secrets<'_>,
) -> Value {
    let headers = headers.map(|(name, value)| json!([name, secrets.header(name, value)]));
    Value::Array(headers.collect())
}
