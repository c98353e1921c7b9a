//! Writes JSON straight into one buffer: no tree is built, no text is copied twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Whether bytes are one JSON value in UTF-8, of any depth.
///
/// # Errors
/// Where they are not.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    read::<IgnoredAny>(bytes).map(|_| ())
}

/// One JSON value in UTF-8, as a tree.
///
/// # Errors
/// Where the bytes are not one.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    read(bytes)
}

/// One JSON value in UTF-8. Always from text: reading from bytes would bring the parser a second
/// time.
///
/// # Errors
/// Where the bytes are not one.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A value as JSON. The library's own writer comes once for each form of its, and is not needed
/// beside [`JsonWriter`].
#[must_use]
pub fn compact(value: &Value) -> String {
    let mut json = JsonWriter::with_capacity(0);
    json.value(value);
    String::from_utf8(json.into_bytes()).unwrap_or_default()
}

/// A JSON text in the making. The caller opens and closes objects and arrays in pairs; commas
/// come by themselves.
#[derive(Debug)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// Whether the next value is preceded by a comma.
    comma: bool,
}

impl JsonWriter {
    /// An empty text, with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::after(Vec::with_capacity(capacity))
    }

    /// A text that stands behind other bytes.
    #[must_use]
    pub fn after(out: Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    /// The text.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// `{` … `}` around what `members` writes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested(b'{', b'}', members);
    }

    /// `[` … `]` around what `items` writes.
    pub fn array(&mut self, items: impl FnOnce(&mut Self)) {
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
    pub fn key(&mut self, key: &'static str) -> &mut Self {
        debug_assert!(key.bytes().all(|byte| escaped(byte).is_none()));
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// A member's name that somebody else has chosen; its value must follow.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// A string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        self.escape(text);
        self.out.push(b'"');
        self.comma = true;
    }

    /// One string made of several pieces.
    pub fn pieces(&mut self, pieces: impl IntoIterator<Item: AsRef<str>>) {
        self.joined(pieces, "");
    }

    /// A string of several texts with a separator between them, in which nothing is to be escaped.
    pub fn joined(&mut self, texts: impl IntoIterator<Item: AsRef<str>>, separator: &'static str) {
        self.separate();
        self.out.push(b'"');
        for (i, text) in texts.into_iter().enumerate() {
            if i > 0 {
                self.out.extend_from_slice(separator.as_bytes());
            }
            self.escape(text.as_ref());
        }
        self.out.push(b'"');
        self.comma = true;
    }

    /// An array of strings.
    pub fn strings(&mut self, texts: impl IntoIterator<Item: AsRef<str>>) {
        self.array(|json| {
            for text in texts {
                json.string(text.as_ref());
            }
        });
    }

    /// A string holding the base64 form of `bytes`.
    pub fn base64(&mut self, bytes: &[u8]) {
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
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
        self.comma = true;
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        self.raw(value.to_string().as_bytes());
    }

    /// Any value.
    pub fn value(&mut self, value: &Value) {
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

    /// What needs no escape is copied in runs. A step with something that does is written byte by
    /// byte, for where there is one more are near, as in JSON within JSON.
    fn escape(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (run, tail) = rest.split_at_checked(plain(rest)).unwrap_or((rest, b""));
            self.out.extend_from_slice(run);
            let (step, tail) = tail.split_at_checked(STEP).unwrap_or((tail, b""));
            for &byte in step {
                match escaped(byte) {
                    None => self.out.push(byte),
                    Some(b'u') => self
                        .out
                        .extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                    Some(letter) => self.out.extend_from_slice(&[b'\\', letter]),
                }
            }
            rest = tail;
        }
    }
}

/// Bytes that are looked at together.
const STEP: usize = 8;

/// What follows the backslash in the place of a byte that must not stand in a string as it is. DEL
/// may, but not in a header.
fn escaped(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0..0x20 | 0x7f => Some(b'u'),
        _ => None,
    }
}

/// How many bytes stand before the first step with one that is to be escaped: all, if there is none.
fn plain(text: &[u8]) -> usize {
    let is_plain = |step: &[u8; STEP]| !has_special(u64::from_ne_bytes(*step));
    let (steps, rest) = text.as_chunks();
    let found = steps.iter().position(|step| !is_plain(step));
    match (found, text.last_chunk()) {
        (Some(steps), _) => steps * STEP,
        // The rest is looked at together with what stands before it.
        (None, Some(last)) if is_plain(last) => text.len(),
        (None, None) if rest.iter().all(|&byte| escaped(byte).is_none()) => text.len(),
        (None, _) => steps.len() * STEP,
    }
}

/// Whether one of eight bytes is to be escaped.
fn has_special(bytes: u64) -> bool {
    let special = [b'"', b'\\', 0x7f].map(|byte| matches(bytes, byte));
    special
        .iter()
        .fold(below(bytes, 0x20), |all, found| all | found)
        != 0
}

/// The highest bit of the first of eight bytes that are this one, perhaps with bits of later ones.
fn matches(bytes: u64, byte: u8) -> u64 {
    below(bytes ^ (ONES * u64::from(byte)), 1)
}

/// The highest bit of the first of eight bytes that are less than `limit`, which is at most 128,
/// perhaps with bits of later ones: Sean Eron Anderson, *Bit Twiddling Hacks*, "Determine if a word
/// has a byte less than n".
fn below(bytes: u64, limit: u64) -> u64 {
    bytes.wrapping_sub(ONES * limit) & !bytes & (ONES << 7)
}

/// A one in each byte.
const ONES: u64 = u64::MAX / 255;

/// What stands between the quotation marks of a string that the parser has found to be one. `None`
/// if it has `\\u`, which is the parser's to read.
///
/// JSON within JSON has an escape every few bytes, for which the parser's own way is a slow one.
#[must_use]
pub fn unescaped(quoted: &str) -> Option<Vec<u8>> {
    let mut rest = quoted.as_bytes();
    // A step is written whole, also where only its beginning counts.
    let mut out = vec![0; rest.len() + STEP];
    let mut written = 0;
    while !rest.is_empty() {
        let plain = match rest.first_chunk() {
            Some(step) => {
                *out.get_mut(written..)?.first_chunk_mut()? = *step;
                let found = matches(u64::from_le_bytes(*step), b'\\');
                found.trailing_zeros() as usize / 8
            }
            None => {
                let plain = rest.iter().take_while(|&&byte| byte != b'\\').count();
                let (plain_bytes, _) = rest.split_at_checked(plain)?;
                let room = out.get_mut(written..written + plain)?;
                room.copy_from_slice(plain_bytes);
                plain
            }
        };
        written += plain;
        rest = rest.get(plain..)?;
        if let Some((b'\\', escape)) = rest.split_first() {
            let (letter, tail) = escape.split_first()?;
            *out.get_mut(written)? = match letter {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'f' => 12,
                b'u' => return None,
                escaped => *escaped,
            };
            written += 1;
            rest = tail;
        }
    }
    out.truncate(written);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_is_one_value_in_utf8() {
        for (text, is_json) in [
            (&b"{}"[..], true),
            (b"[\"\xc3\xa9\"]", true),
            (b"[\"\xff\"]", false),
            (b"{} {}", false),
            (b"", false),
        ] {
            assert_eq!(check(text).is_ok(), is_json, "{text:?}");
        }
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>(), plain in "[a-z]{0,40}", at in 0..40_usize) {
            let at = at.min(plain.len());
            let (before, after) = plain.split_at(at);
            let mixed = [before, &text, after].concat();
            for text in [text, mixed] {
                let mut json = JsonWriter::with_capacity(0);
                json.string(&text);
                let json = String::from_utf8(json.into_bytes()).unwrap();
                prop_assert!(!json.bytes().any(|byte| byte.is_ascii_control()));
                let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
                match unescaped(quoted) {
                    Some(bytes) => prop_assert_eq!(bytes, text.as_bytes()),
                    None => prop_assert!(quoted.contains(r"\u")),
                }
                prop_assert_eq!(parse(json.as_bytes()), Ok(Value::String(text)));
            }
        }
    }

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
