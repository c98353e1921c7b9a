//! Writes JSON straight into one buffer: no tree is built, no text is copied twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::json_string;

/// A value as JSON. The library's own writer comes once for each form of its, and is not needed
/// beside [`JsonWriter`].
#[must_use]
pub(crate) fn to_text(value: &Value) -> String {
    let mut json = JsonWriter::with_capacity(0);
    json.value(value);
    String::from_utf8(json.into_bytes()).unwrap_or_default()
}

/// A JSON text in the making. The caller opens and closes objects and arrays in pairs; commas
/// come by themselves.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    out: Vec<u8>,
    /// Whether the next value is preceded by a comma.
    comma: bool,
}

impl JsonWriter {
    /// An empty text, with room for `capacity` bytes.
    #[must_use]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self::after(Vec::with_capacity(capacity))
    }

    /// A text that stands behind other bytes.
    #[must_use]
    pub(crate) fn after(out: Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    /// The text.
    #[must_use]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// `{` … `}` around what `members` writes.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested(b'{', b'}', members);
    }

    /// `[` … `]` around what `items` writes.
    pub(crate) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.nested(b'[', b']', items);
    }

    fn nested(&mut self, open: u8, close: u8, content: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(open);
        self.comma = false;
        content(self);
        self.out.push(close);
        self.comma = true;
    }

    /// A member's name in which nothing is to be escaped; its value must follow.
    pub(crate) fn key(&mut self, key: &'static str) -> &mut Self {
        debug_assert!(json_string::is_plain(key));
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// A member's name that somebody else has chosen; its value must follow.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// A string.
    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        json_string::escape(&mut self.out, text);
        self.out.push(b'"');
        self.comma = true;
    }

    /// One string made of several pieces.
    pub(crate) fn pieces(&mut self, pieces: impl IntoIterator<Item: AsRef<str>>) {
        self.joined(pieces, "");
    }

    /// A string of several texts with a separator between them, in which nothing is to be escaped.
    pub(crate) fn joined(
        &mut self,
        texts: impl IntoIterator<Item: AsRef<str>>,
        separator: &'static str,
    ) {
        self.separate();
        self.out.push(b'"');
        for (i, text) in texts.into_iter().enumerate() {
            if i > 0 {
                self.out.extend_from_slice(separator.as_bytes());
            }
            json_string::escape(&mut self.out, text.as_ref());
        }
        self.out.push(b'"');
        self.comma = true;
    }

    /// An array of strings.
    pub(crate) fn strings(&mut self, texts: impl IntoIterator<Item: AsRef<str>>) {
        self.array(|json| {
            for text in texts {
                json.string(text.as_ref());
            }
        });
    }

    /// A string holding the base64 form of `bytes`.
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.push(b'"');
        let start = self.out.len();
        let length = base64::encoded_len(bytes.len(), true).unwrap_or_default();
        self.out.resize(start + length, 0);
        if let Some(space) = self.out.get_mut(start..) {
            // The length is that of the encoding, so this cannot be too small.
            let written = STANDARD.encode_slice(bytes, space).unwrap_or_default();
            self.out.truncate(start + written);
        }
        self.out.push(b'"');
        self.comma = true;
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub(crate) fn null(&mut self) {
        self.raw(b"null");
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
        self.comma = true;
    }

    /// An integer.
    pub(crate) fn integer(&mut self, value: i64) {
        self.raw(value.to_string().as_bytes());
    }

    /// Any value.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(flag) => self.boolean(*flag),
            Value::Number(number) => self.raw(number.to_string().as_bytes()),
            Value::String(text) => self.string(text),
            Value::Array(items) => self.array(|json| {
                for item in items {
                    json.value(item);
                }
            }),
            Value::Object(members) => self.object(|json| {
                for (key, value) in members {
                    json.name(key).value(value);
                }
            }),
        }
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_what_a_parser_reads_back() {
        let every_char: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        let mut json = JsonWriter::with_capacity(0);
        json.object(|json| {
            json.key("text").string(&every_char);
            json.key("empty").object(|_| ());
            json.key("list").array(|json| {
                json.joined(["a", "b\"", ""], ",");
                json.joined([""; 0], ",");
                json.strings(["x"]);
                json.null();
                json.integer(-7);
                json.boolean(true);
                json.array(|_| ());
                json.value(&json!({"a": [1.5, null, {"\"": false}], "b": "\n"}));
            });
            json.key("base64").base64(b"\x00\xff?");
            json.key("last").boolean(false);
        });
        let text = json.into_bytes();
        assert_eq!(
            serde_json::from_slice::<Value>(&text).unwrap(),
            json!({
                "text": every_char,
                "empty": {},
                "list": [
                    "a,b\",", "", ["x"], null, -7, true, [],
                    {"a": [1.5, null, {"\"": false}], "b": "\n"},
                ],
                "base64": "AP8/",
                "last": false,
            })
        );
    }
}
