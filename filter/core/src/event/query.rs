//! The parameters of a query string.

use std::borrow::Cow;
use std::cmp::Ordering;

use percent_encoding::percent_decode;

use crate::encoding::json_writer::JsonWriter;
use crate::request::header_map::text;

/// A key and its value.
#[derive(Debug)]
struct Pair<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, str>,
    /// Its place in the query string.
    place: usize,
    /// The place of the first pair with this key.
    first: usize,
}

/// The pairs of a query string, in the order in which their keys were sent. The pairs of one key stand
/// together. A key without `=` has an empty value.
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

    fn split(query: Option<&'a [u8]>, read: fn(&'a [u8]) -> Cow<'a, str>) -> Self {
        let pairs = query.unwrap_or_default().split(|&byte| byte == b'&');
        let pairs = pairs.filter(|pair| !pair.is_empty()).enumerate();
        let pairs = pairs.map(|(place, pair)| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let mut part = || read(parts.next().unwrap_or_default());
            let (key, value) = (part(), part());
            Pair {
                key,
                value,
                place,
                first: place,
            }
        });
        let mut pairs: Vec<_> = pairs.collect();
        // By sorting, because a client may send tens of thousands of keys.
        pairs.sort_unstable_by(by_key as Order<'a>);
        for pairs in pairs.chunk_by_mut(|a, b| a.key == b.key) {
            let first = pairs.first().map_or(0, |pair| pair.place);
            pairs.iter_mut().for_each(|pair| pair.first = first);
        }
        pairs.sort_unstable_by(by_place as Order<'a>);
        Self(pairs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values of a key.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |pair| pair.key == key);
        pairs.map(|pair| &*pair.value)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, &[Pair<'a>])> {
        let groups = self.0.chunk_by(|a, b| a.first == b.first);
        groups.filter_map(|group| Some((&*group.first()?.key, group)))
    }

    /// Writes an object with a string for each key: its values, joined by `,`.
    pub(super) fn joined(&self, json: &mut JsonWriter) {
        json.object(|json| {
            for (key, group) in self.groups() {
                json.name(key)
                    .joined(group.iter().map(|pair| &*pair.value), ",");
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
                if let Some(pair) = pick(group) {
                    json.name(&pair.key).string(&pair.value);
                }
            }
        });
    }

    /// An object with one string per key; with an array of all values for a key that is repeated.
    pub(super) fn fields(&self, json: &mut JsonWriter) {
        json.object(|json| {
            for (key, group) in self.groups() {
                let json = json.name(key);
                match group {
                    [pair] => json.string(&pair.value),
                    pairs => json.strings(pairs.iter().map(|pair| &*pair.value)),
                }
            }
        });
    }

    /// Writes an object with an array of all values of each key.
    pub(super) fn arrays(&self, json: &mut JsonWriter) {
        json.object(|json| {
            for (key, group) in self.groups() {
                json.name(key)
                    .strings(group.iter().map(|pair| &*pair.value));
            }
        });
    }
}

/// An order of pairs. Both orders share this type, so that the sort is compiled once.
type Order<'a> = fn(&Pair<'a>, &Pair<'a>) -> Ordering;

fn by_key(a: &Pair<'_>, b: &Pair<'_>) -> Ordering {
    a.key.cmp(&b.key).then(a.place.cmp(&b.place))
}

fn by_place(a: &Pair<'_>, b: &Pair<'_>) -> Ordering {
    (a.first, a.place).cmp(&(b.first, b.place))
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
            .map(|pair| (&*pair.key, &*pair.value))
            .collect()
    }

    #[test]
    fn pairs_are_decoded_and_grouped_by_key() {
        let query = Query::decoded(Some(b"b=2&a=x%20y&&flag&b=1+1&=v&e=&plus=%2B&%62=3"));
        assert_eq!(
            pairs(&query),
            [
                ("b", "2"),
                ("b", "1 1"),
                ("b", "3"),
                ("a", "x y"),
                ("flag", ""),
                ("", "v"),
                ("e", ""),
                ("plus", "+"),
            ]
        );
    }

    /// PHP builds arrays in this order, and signatures are made over it.
    #[test]
    fn keys_keep_the_order_in_which_they_were_sent() {
        let query = Query::decoded(Some(b"foo=bar&baz.bar=foo&a[]=2&foo=1&a[]=1"));
        let written = |write: fn(&Query<'static>, &mut JsonWriter)| {
            let mut json = JsonWriter::with_capacity(0);
            write(&query, &mut json);
            String::from_utf8(json.into_bytes()).unwrap()
        };
        assert_eq!(
            written(Query::last),
            r#"{"foo":"1","baz.bar":"foo","a[]":"1"}"#
        );
        assert_eq!(
            written(Query::first),
            r#"{"foo":"bar","baz.bar":"foo","a[]":"2"}"#
        );
        assert_eq!(
            written(Query::joined),
            r#"{"foo":"bar,1","baz.bar":"foo","a[]":"2,1"}"#
        );
        assert_eq!(
            written(Query::arrays),
            r#"{"foo":["bar","1"],"baz.bar":["foo"],"a[]":["2","1"]}"#
        );
    }

    #[test]
    fn tens_of_thousands_of_keys_are_no_trouble() {
        let sent: Vec<_> = (0..30_000).map(|n| format!("{}", n % 15_000)).collect();
        let sent = sent.join("&");
        let query = Query::raw(Some(sent.as_bytes()));
        let keys: Vec<_> = query
            .groups()
            .map(|(key, group)| (key, group.len()))
            .collect();
        assert_eq!(keys.len(), 15_000);
        assert_eq!(keys.first(), Some(&("0", 2)));
        assert_eq!(keys.last(), Some(&("14999", 2)));
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
