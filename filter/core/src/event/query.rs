//! The parameters of a query string.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::encoding::json_writer::JsonWriter;
use crate::request::header_map::text;

/// A key and its value.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The pairs of a query string, sorted by key. The values of a key keep their order. A key without `=`
/// has an empty value.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<Pair<'a>>);

impl<'a> Query<'a> {
    /// Returns the pairs decoded as those of a form, in which `+` is a space. A text that does not decode
    /// to UTF-8 stays as sent.
    pub(super) fn decoded(query: Option<&'a [u8]>) -> Self {
        Self::split(query, form_decoded)
    }

    /// Returns the pairs as sent.
    pub(super) fn raw(query: Option<&'a [u8]>) -> Self {
        Self::split(query, text)
    }

    fn split(query: Option<&'a [u8]>, read: impl Fn(&'a [u8]) -> Cow<'a, str>) -> Self {
        let pairs = query.unwrap_or_default().split(|&byte| byte == b'&');
        let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let mut part = || read(parts.next().unwrap_or_default());
            (part(), part())
        });
        Self::sorted(pairs.collect())
    }

    /// Sorts the pairs. The compiler copies [`Self::split`] for each way of reading, but not this.
    fn sorted(mut pairs: Vec<Pair<'a>>) -> Self {
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(pairs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values of a key.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(name, _)| name == key);
        pairs.map(|(_, value)| &**value)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, &[Pair<'a>])> {
        let groups = self.0.chunk_by(|(a, _), (b, _)| a == b);
        groups.filter_map(|group| Some((&*group.first()?.0, group)))
    }

    /// Writes an object with a string for each key: its values, joined by `,`.
    pub(super) fn joined(&self, json: &mut JsonWriter) {
        json.object(|json| {
            for (key, group) in self.groups() {
                json.name(key)
                    .joined(group.iter().map(|(_, value)| &**value), ",");
            }
        });
    }

    /// Writes an object with the first value of each key.
    pub(super) fn first(&self, json: &mut JsonWriter) {
        self.one_of_each(json, |group| group.first());
    }

    /// Writes an object with the last value of each key.
    pub(super) fn last(&self, json: &mut JsonWriter) {
        self.one_of_each(json, |group| group.last());
    }

    fn one_of_each<'s>(
        &'s self,
        json: &mut JsonWriter,
        pick: impl Fn(&'s [Pair<'a>]) -> Option<&'s Pair<'a>>,
    ) {
        json.object(|json| {
            for (_, group) in self.groups() {
                if let Some((key, value)) = pick(group) {
                    json.name(key).string(value);
                }
            }
        });
    }

    /// Writes an object with an array of all values of each key.
    pub(super) fn arrays(&self, json: &mut JsonWriter) {
        json.object(|json| {
            for (key, group) in self.groups() {
                json.name(key)
                    .strings(group.iter().map(|(_, value)| &**value));
            }
        });
    }
}

fn form_decoded(bytes: &[u8]) -> Cow<'_, str> {
    if !bytes.contains(&b'+') {
        return percent_decoded(bytes);
    }
    let space = |&byte: &u8| if byte == b'+' { b' ' } else { byte };
    let spaced: Vec<u8> = bytes.iter().map(space).collect();
    match percent_decode(&spaced).decode_utf8() {
        Ok(decoded) => Cow::Owned(decoded.into_owned()),
        Err(_) => text(bytes),
    }
}

/// Decodes percent-encoding. Bytes that do not decode to UTF-8 stay as sent.
pub(super) fn percent_decoded(bytes: &[u8]) -> Cow<'_, str> {
    let decoded = percent_decode(bytes).decode_utf8();
    decoded.unwrap_or_else(|_| text(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'a>(query: &'a Query<'_>) -> Vec<(&'a str, &'a str)> {
        query
            .0
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect()
    }

    #[test]
    fn pairs_are_decoded_and_grouped_by_key() {
        let query = Query::decoded(Some(b"b=2&a=x%20y&&flag&b=1+1&=v&e=&plus=%2B"));
        assert_eq!(
            pairs(&query),
            [
                ("", "v"),
                ("a", "x y"),
                ("b", "2"),
                ("b", "1 1"),
                ("e", ""),
                ("flag", ""),
                ("plus", "+"),
            ]
        );
    }

    #[test]
    fn a_text_that_does_not_decode_stays_as_sent() {
        let query = Query::decoded(Some(b"a=%zz&b=%ff&c=%ff+&d=%"));
        let values: Vec<&str> = pairs(&query).into_iter().map(|(_, v)| v).collect();
        assert_eq!(values, ["%zz", "%ff", "%ff+", "%"]);
    }

    #[test]
    fn raw_pairs_are_not_decoded() {
        let query = Query::raw(Some(b"a+b=%20+"));
        assert_eq!(pairs(&query), [("a+b", "%20+")]);
        assert!(Query::raw(None).is_empty());
    }
}
