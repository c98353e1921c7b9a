//! Secrets in what the console shows.
//!
//! The values of certain headers are secret. They are looked for in the headers of the HTTP messages, and in the
//! objects of the event and the payload that have members of these names. Wherever such a value stands in a text, a
//! mask stands in its place.

use std::collections::BTreeMap;

use serde_json::Value;

/// The text in the place of a secret.
pub(super) const MASK: &str = "••••••••";

/// The headers that are always masked.
const SECRET_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "cookies",
    "set-cookie",
    "x-api-key",
    "x-amz-security-token",
    "x-forwarded-client-cert",
];

/// The shortest secret that is masked within a longer text. A shorter one is masked only where it is a whole JSON
/// string, because it could be a part of any word.
const MIN_WITHIN_TEXT: usize = 6;

/// The names of the headers that are masked.
#[derive(Debug, Clone)]
pub(super) struct MaskedNames(Vec<String>);

impl MaskedNames {
    /// Returns the names that are always masked, and `others` in lower case.
    pub(super) fn new(others: &[String]) -> Self {
        let always = SECRET_HEADERS.map(str::to_owned);
        Self(always.into_iter().chain(others.iter().cloned()).collect())
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

/// The secrets of one invocation.
#[derive(Debug)]
pub(super) struct Secrets<'n> {
    names: &'n MaskedNames,
    /// The masked form of each secret.
    found: BTreeMap<String, String>,
    is_revealed: bool,
}

impl<'n> Secrets<'n> {
    /// Returns no secrets. With `is_revealed`, nothing is masked.
    pub(super) fn new(names: &'n MaskedNames, is_revealed: bool) -> Self {
        Self {
            names,
            found: BTreeMap::new(),
            is_revealed,
        }
    }

    pub(super) fn is_revealed(&self) -> bool {
        self.is_revealed
    }

    /// Learns the value of a header if it is secret.
    pub(super) fn learn_header(&mut self, name: &str, value: &str) {
        if self.is_revealed || value.is_empty() || !self.names.contains(name) {
            return;
        }
        for part in parts(name, value) {
            self.found.insert(part.to_owned(), MASK.to_owned());
        }
        self.found.insert(value.to_owned(), masked(name, value));
    }

    /// Learns the secret members of a JSON text.
    pub(super) fn learn_json(&mut self, json: &[u8]) {
        if !self.is_revealed
            && let Ok(value) = serde_json::from_slice(json)
        {
            self.learn_value(&value);
        }
    }

    fn learn_value(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    self.learn_member(name, member);
                    self.learn_value(member);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn_value(item)),
            _ => {}
        }
    }

    fn learn_member(&mut self, name: &str, member: &Value) {
        match member {
            Value::String(text) => self.learn_header(name, text),
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_str) {
                    self.learn_header(name, item);
                }
            }
            _ => {}
        }
    }

    /// Returns the value of a header as it is shown.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        match self.is_revealed || !self.names.contains(name) {
            true => self.text(value),
            false => masked(name, value),
        }
    }

    /// Returns a text as it is shown.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut longest_first: Vec<_> = self.found.iter().collect();
        longest_first.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        for (secret, mask) in longest_first {
            let (secret_json, mask_json) = (json_string(secret), json_string(mask));
            if text.contains(&secret_json) {
                text = text.replace(&secret_json, &mask_json);
            }
            if secret.len() < MIN_WITHIN_TEXT {
                continue;
            }
            let within = |json: &str| json.get(1..json.len() - 1).unwrap_or_default().to_owned();
            for (secret, mask) in [
                (within(&secret_json), within(&mask_json)),
                (secret.clone(), mask.clone()),
            ] {
                if text.contains(&secret) {
                    text = text.replace(&secret, &mask);
                }
            }
        }
        text
    }
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns whether a header holds cookies.
fn is_cookie(name: &str) -> bool {
    ["cookie", "cookies", "set-cookie"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns the value of a secret header with its secrets masked: the names of cookies and the scheme of an
/// authorization stay.
fn masked(name: &str, value: &str) -> String {
    if is_cookie(name) {
        let cookies = value.split(';').enumerate().map(|(index, cookie)| {
            let is_attribute = index > 0 && !name.eq_ignore_ascii_case("cookie");
            match cookie.split_once('=') {
                Some((name, _)) if !is_attribute => format!("{name}={MASK}"),
                _ if is_attribute => cookie.to_owned(),
                _ => MASK.to_owned(),
            }
        });
        return cookies.collect::<Vec<_>>().join(";");
    }
    match value.split_once(' ') {
        Some((scheme, _)) if name.to_ascii_lowercase().ends_with("authorization") => {
            format!("{scheme} {MASK}")
        }
        _ => MASK.to_owned(),
    }
}

/// Returns the parts of the value of a secret header that are secret by themselves.
fn parts<'v>(name: &str, value: &'v str) -> Vec<&'v str> {
    if !is_cookie(name) {
        let token = value.split_once(' ').map(|(_, token)| token.trim());
        return token
            .into_iter()
            .filter(|token| !token.is_empty())
            .collect();
    }
    let cookies = value.split(';').enumerate();
    let cookies = cookies.filter(|(index, _)| *index == 0 || name.eq_ignore_ascii_case("cookie"));
    let values = cookies.filter_map(|(_, cookie)| Some(cookie.split_once('=')?.1.trim()));
    values.filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> MaskedNames {
        MaskedNames::new(&["x-session".to_owned()])
    }

    #[test]
    fn headers_keep_what_is_no_secret() {
        let names = names();
        let secrets = Secrets::new(&names, false);
        for (name, value, expected) in [
            ("Authorization", "Bearer abc.def", "Bearer ••••••••"),
            ("authorization", "abc", "••••••••"),
            ("cookie", "a=1; b=2=3", "a=••••••••; b=••••••••"),
            (
                "set-cookie",
                "s=abc; Path=/; HttpOnly",
                "s=••••••••; Path=/; HttpOnly",
            ),
            ("x-api-key", "abc def", "••••••••"),
            ("X-Session", "abc", "••••••••"),
            ("accept", "*/*", "*/*"),
        ] {
            assert_eq!(secrets.header(name, value), expected);
        }
        let revealed = Secrets::new(&names, true);
        assert_eq!(revealed.header("cookie", "a=1"), "a=1");
    }

    #[test]
    fn secrets_are_masked_in_every_text() {
        let names = names();
        let mut secrets = Secrets::new(&names, false);
        secrets.learn_header("authorization", "Bearer tok\"en-1");
        secrets.learn_json(
            br#"{"headers":{"Cookie":"sid=session-77; x=1","X-Session":"ab"},"cookies":["sid=session-77"],
                "multiValueHeaders":{"x-api-key":["key-one","key-two"]}}"#,
        );
        let text = r#"{"authorization":"Bearer tok\"en-1","c":"sid=session-77; x=1","s":"ab","t":"cab",
            "k":["key-one","key-two"],"log":"got tok\"en-1 session-77"} raw tok"en-1"#;
        let expected = r#"{"authorization":"Bearer ••••••••","c":"sid=••••••••; x=••••••••","s":"••••••••","t":"cab",
            "k":["••••••••","••••••••"],"log":"got •••••••• ••••••••"} raw ••••••••"#;
        assert_eq!(secrets.text(text), expected);
    }

    #[test]
    fn nothing_is_masked_that_is_revealed() {
        let names = names();
        let mut secrets = Secrets::new(&names, true);
        secrets.learn_header("authorization", "Bearer token-1");
        assert_eq!(secrets.text("token-1"), "token-1");
    }
}
