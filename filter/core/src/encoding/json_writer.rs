//! Writes JSON straight into a buffer, without a tree and without a second copy of a text.

use serde_json::Value;

use super::{base64, json_string};

/// Returns a value as JSON. The writer of `serde_json` would add code that [`JsonWriter`] has already.
#[must_use]
pub(crate) fn to_text(value: &Value) -> String {
    let mut json = JsonWriter::with_capacity(0);
    json.value(value);
    String::from_utf8(json.into_bytes()).unwrap_or_default()
}

/// A writer of JSON, which sets the commas.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    out: Vec<u8>,
    /// A comma goes before the next value.
    comma: bool,
}

impl JsonWriter {
    /// Returns a writer to a buffer with room for `capacity` bytes.
    #[must_use]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self::after(Vec::with_capacity(capacity))
    }

    /// Returns a writer that appends to other bytes.
    #[must_use]
    pub(crate) fn after(out: Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    /// Returns the JSON.
    #[must_use]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes an object, whose members the closure writes.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested(b'{', b'}', members);
    }

    /// Writes an array, whose items the closure writes.
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

    /// Writes the name of a member, which needs no escape. The caller writes its value next.
    pub(crate) fn key(&mut self, key: &'static str) -> &mut Self {
        debug_assert!(json_string::is_plain(key));
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// Writes the name of a member, which may need escapes. The caller writes its value next.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// Writes a string.
    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        json_string::escape(&mut self.out, text);
        self.out.push(b'"');
        self.comma = true;
    }

    /// Writes a string that consists of several pieces.
    pub(crate) fn pieces(&mut self, pieces: impl IntoIterator<Item: AsRef<str>>) {
        self.joined(pieces, "");
    }

    /// Writes a string of several texts with a separator between them, which needs no escape.
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

    /// Writes an array of strings.
    pub(crate) fn strings(&mut self, texts: impl IntoIterator<Item: AsRef<str>>) {
        self.array(|json| {
            for text in texts {
                json.string(text.as_ref());
            }
        });
    }

    /// Writes a string with bytes in base64.
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.push(b'"');
        base64::encode(&mut self.out, bytes);
        self.out.push(b'"');
        self.comma = true;
    }

    /// Writes `true` or `false`.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// Writes `null`.
    pub(crate) fn null(&mut self) {
        self.raw(b"null");
    }

    /// Writes a value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
        self.comma = true;
    }

    /// Writes an integer.
    pub(crate) fn integer(&mut self, value: i64) {
        self.raw(value.to_string().as_bytes());
    }

    /// Writes any value.
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
