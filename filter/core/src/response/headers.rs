//! The headers in a function's response. They are checked here, because Envoy does not check the
//! headers that a filter sets: a value with a line break would become two headers.

use std::borrow::Cow;

use lambda_api::headers::is_hop_by_hop;
use lambda_api::limits::{MAX_HEADERS, MAX_RESPONSE_HEADER_BYTES};

use crate::encoding::shallow_json::{MAX_ITEMS, ShallowJson};
use crate::error::Error;
use crate::request::header_map::is_envoys;

const CONTENT_TYPE: &str = "content-type";

/// The values that a contract takes for a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Strings.
    Strings,
    /// Strings, numbers and booleans. A header that is null is left out.
    Scalars,
    /// Those of `Scalars`, and arrays of them.
    Lists,
}

/// Checked headers in their order, with names in lower case.
#[derive(Debug, Default)]
pub(super) struct Headers {
    list: Vec<(String, String)>,
    bytes: usize,
    /// True if the function has set a content type.
    has_type: bool,
    /// True if the function has set the content type to null.
    pub has_null_type: bool,
    /// The function's own `content-length`, if it is a number.
    pub declared_length: Option<u64>,
}

impl Headers {
    pub(super) fn into_vec(self) -> Vec<(String, String)> {
        self.list
    }

    /// Adds the content type of the contract, unless the function has set one.
    pub(super) fn set_default_type(&mut self, media_type: &str) {
        if !self.has_type {
            self.list
                .push((CONTENT_TYPE.to_owned(), media_type.to_owned()));
        }
    }

    /// Adds the members of `headers`.
    ///
    /// # Errors
    /// [`Error::InvalidResponse`] for a member that is no valid header.
    pub(super) fn add_map(
        &mut self,
        map: &[(Cow<'_, str>, ShallowJson<'_>)],
        values: Values,
    ) -> Result<(), Error> {
        for (name, value) in map {
            match value {
                ShallowJson::List(items) if values == Values::Lists => {
                    for item in items {
                        self.add(name, item, Values::Scalars)?;
                    }
                }
                value => self.add(name, value, values)?,
            }
        }
        Ok(())
    }

    /// Adds the members of `multiValueHeaders`, each an array.
    ///
    /// # Errors
    /// Those of [`Self::add_map`].
    pub(super) fn add_multi(
        &mut self,
        map: &[(Cow<'_, str>, ShallowJson<'_>)],
        values: Values,
    ) -> Result<(), Error> {
        for (name, value) in map {
            let ShallowJson::List(items) = value else {
                return invalid(format!("`multiValueHeaders` has no array for `{name}`"));
            };
            for item in items {
                self.add(name, item, values)?;
            }
        }
        Ok(())
    }

    /// Adds both maps, the multi-value one first if `multi_first`. A header that has the same value in both
    /// is added once, by the API Gateway developer guide.
    ///
    /// # Errors
    /// Those of [`Self::add_map`].
    pub(super) fn add_both(
        &mut self,
        multi: &[(Cow<'_, str>, ShallowJson<'_>)],
        single: &[(Cow<'_, str>, ShallowJson<'_>)],
        values: Values,
        multi_first: bool,
    ) -> Result<(), Error> {
        let first;
        if multi_first {
            self.add_multi(multi, values)?;
            first = self.list.len();
            self.add_map(single, values)?;
        } else {
            self.add_map(single, values)?;
            first = self.list.len();
            self.add_multi(multi, values)?;
        }
        let second = self.list.split_off(first);
        let new = second
            .into_iter()
            .filter(|header| !self.list.contains(header));
        let new: Vec<_> = new.collect();
        self.list.extend(new);
        Ok(())
    }

    /// Adds `cookies`.
    ///
    /// # Errors
    /// [`Error::InvalidResponse`] if they are no array of strings.
    pub(super) fn add_cookies(&mut self, cookies: Option<&ShallowJson<'_>>) -> Result<(), Error> {
        match cookies {
            None | Some(ShallowJson::Null) => Ok(()),
            Some(ShallowJson::List(cookies)) => {
                let mut cookies = cookies.iter();
                cookies.try_for_each(|cookie| self.add("set-cookie", cookie, Values::Strings))
            }
            Some(node) => unusable("cookies", node, "an array"),
        }
    }

    /// Adds a header. Headers about the connection, about the length and for Envoy are left out: a
    /// function cannot set them (`x-envoy-immediate-health-check-fail` would take the upstream out).
    fn add(&mut self, name: &str, value: &ShallowJson<'_>, values: Values) -> Result<(), Error> {
        let key = name.to_ascii_lowercase();
        let value: Cow<'_, str> = match value {
            ShallowJson::Text(text) => Cow::Borrowed(text),
            ShallowJson::Integer(number) if values != Values::Strings => number.to_string().into(),
            ShallowJson::Number(number) if values != Values::Strings => Cow::Borrowed(number),
            ShallowJson::Bool(true) if values != Values::Strings => Cow::Borrowed("true"),
            ShallowJson::Bool(false) if values != Values::Strings => Cow::Borrowed("false"),
            ShallowJson::Null if values != Values::Strings => {
                self.has_null_type |= key == CONTENT_TYPE;
                return Ok(());
            }
            _ => return invalid(format!("the value of the header `{name}` is not a string")),
        };
        if name.is_empty() || !name.bytes().all(is_token) {
            return invalid(format!("{name:?} is not the name of a header"));
        }
        let value = value.trim_matches([' ', '\t']);
        let is_control = |byte| byte == 0x7f || (byte < 0x20 && byte != b'\t');
        if value.bytes().any(is_control) {
            return invalid(format!(
                "the value of the header `{name}` has a control character"
            ));
        }
        // Envoy would refuse more, and a function that sends millions would hold up the worker. Each
        // header adds 4 bytes, so that empty headers are limited too.
        self.bytes += name.len() + value.len() + 4;
        if self.bytes > MAX_RESPONSE_HEADER_BYTES {
            return invalid(format!(
                "its headers have more than {MAX_RESPONSE_HEADER_BYTES} bytes"
            ));
        }
        // Leaves room for the status, the type, the length and two ids.
        if self.list.len() > MAX_HEADERS - 5 {
            return invalid(format!("it has more than {MAX_HEADERS} headers"));
        }
        match key.as_str() {
            "content-length" => self.declared_length = value.parse().ok(),
            // Envoy would join several types to one that is none.
            CONTENT_TYPE if self.has_type => {}
            key if is_hop_by_hop(key) || is_envoys(key) => {}
            _ => {
                self.has_type |= key == CONTENT_TYPE;
                self.list.push((key, value.to_owned()));
            }
        }
        Ok(())
    }
}

/// Returns the members of an object, and none if it is absent or null.
///
/// # Errors
/// [`Error::InvalidResponse`] for any other value.
pub(super) fn map<'n, 'a>(
    member: &str,
    node: Option<&'n ShallowJson<'a>>,
) -> Result<&'n [(Cow<'a, str>, ShallowJson<'a>)], Error> {
    match node {
        None | Some(ShallowJson::Null) => Ok(&[]),
        Some(ShallowJson::Map(map)) => Ok(map),
        Some(node) => unusable(member, node, "an object"),
    }
}

fn unusable<T>(member: &str, node: &ShallowJson<'_>, expected: &str) -> Result<T, Error> {
    invalid(match node {
        ShallowJson::TooLarge => format!("`{member}` has more than {MAX_ITEMS} items"),
        _ => format!("`{member}` is not {expected}"),
    })
}

pub(super) fn invalid<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::InvalidResponse(what.into()))
}

/// Returns whether a byte may stand in a `token`: RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
