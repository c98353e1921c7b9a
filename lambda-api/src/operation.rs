//! Operations of the Invoke API, their paths, and the choices that a caller has.
//!
//! Source: the Lambda API reference, *Invoke* and *InvokeWithResponseStream*.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, percent_encode,
    utf8_percent_encode,
};

use crate::name::{FunctionReference, NameError, Qualifier};

/// All but the unreserved characters of RFC 3986: AWS's SDKs encode as much, and AWS signs it so.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An operation of the Invoke API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The response comes as a whole.
    Invoke,
    /// The response comes as an [event stream](crate::event_stream).
    InvokeWithResponseStream,
}

impl Operation {
    /// Returns what stands before and behind the function in the path.
    const fn affixes(self) -> (&'static str, &'static str) {
        match self {
            Self::Invoke => ("/2015-03-31/functions/", "/invocations"),
            Self::InvokeWithResponseStream => {
                ("/2021-11-15/functions/", "/response-streaming-invocations")
            }
        }
    }

    /// Returns the path for a function, percent-encoded, without a query.
    ///
    /// `function` is the text of a reference; its qualifier, if it has one, stays in the path.
    #[must_use]
    pub fn path(self, function: &str) -> String {
        let (before, after) = self.affixes();
        format!("{before}{}{after}", encode(function))
    }

    /// Returns the path for a function with the query that names `qualifier`, percent-encoded.
    ///
    /// A qualifier of the reference itself stays in the path.
    #[must_use]
    pub fn path_and_query(
        self,
        function: &FunctionReference,
        qualifier: Option<&Qualifier>,
    ) -> String {
        let path = self.path(function.as_str());
        match qualifier {
            None => path,
            Some(qualifier) => format!("{path}?{}", query(qualifier)),
        }
    }

    /// Returns the operation that `path` belongs to, and the function in it, still
    /// percent-encoded; `None` for other paths. `path` has no query.
    #[must_use]
    pub fn split_path(path: &str) -> Option<(Self, &str)> {
        [Self::Invoke, Self::InvokeWithResponseStream]
            .into_iter()
            .find_map(|operation| {
                let (before, after) = operation.affixes();
                let function = path.strip_prefix(before)?.strip_suffix(after)?;
                Some((operation, function))
            })
    }
}

/// Returns the function in the path of *InvokeAsync*, still percent-encoded; `None` for other paths. `path`
/// has no query.
///
/// The operation is deprecated, but SDKs still have it. It is *Invoke* with the invocation type
/// [`InvocationType::Event`].
///
/// Source: the Lambda API reference, *InvokeAsync*. The path there ends in a slash.
///
/// ```
/// let path = "/2014-11-13/functions/orders/invoke-async/";
/// assert_eq!(lambda_api::operation::split_async_path(path), Some("orders"));
/// ```
#[must_use]
pub fn split_async_path(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.strip_prefix("/2014-11-13/functions/")?
        .strip_suffix("/invoke-async")
}

/// Returns the query that names a qualifier, percent-encoded and without `?`.
#[must_use]
pub fn query(qualifier: &Qualifier) -> String {
    format!("Qualifier={}", encode(qualifier.as_str()))
}

/// Returns a query in the form that a signature of AWS covers: each name and value decoded and
/// percent-encoded anew, and the pairs sorted.
#[must_use]
pub fn canonical_query(query: &str) -> String {
    let encode = |text: &str| -> String {
        let bytes: Cow<'_, [u8]> = percent_decode_str(text).into();
        percent_encode(&bytes, ENCODED).collect()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort_unstable();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

/// The function that the path and query of a request name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionAddress {
    /// The function as the path names it.
    pub function: FunctionReference,
    /// The qualifier of the query, or else that of the path.
    pub qualifier: Option<Qualifier>,
}

impl FunctionAddress {
    /// Reads the percent-encoded part of the path that [`Operation::split_path`] returns, and the
    /// query.
    ///
    /// # Errors
    /// A function or qualifier that has no valid form, and a query that contradicts the path.
    pub fn parse(function: &str, query: Option<&str>) -> Result<Self, AddressError> {
        let function: FunctionReference = decode(function).parse().map_err(AddressError::Name)?;
        let Some(value) = query.and_then(qualifier_of) else {
            let qualifier = function.qualifier().cloned();
            return Ok(Self {
                function,
                qualifier,
            });
        };
        let qualifier: Qualifier = value.parse().map_err(AddressError::Qualifier)?;
        match function.qualifier() {
            Some(derived) if *derived != qualifier => Err(AddressError::QualifierMismatch),
            _ => Ok(Self {
                function,
                qualifier: Some(qualifier),
            }),
        }
    }
}

/// Returns the first `Qualifier` of a query, decoded.
fn qualifier_of(query: &str) -> Option<Cow<'_, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == "Qualifier").then(|| decode(value))
    })
}

/// Bytes that are not UTF-8 become a character that no name has.
fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// A path and query that name no function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// The function in the path, with its qualifier if it has one, has no valid form.
    Name(NameError),
    /// The qualifier in the query has no valid form.
    Qualifier(NameError),
    /// The path and the query name different qualifiers.
    QualifierMismatch,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) | Self::Qualifier(error) => error.fmt(f),
            // AWS's own words.
            Self::QualifierMismatch => f.write_str(
                "The derived qualifier from the function name does not match the specified \
                 qualifier.",
            ),
        }
    }
}

impl std::error::Error for AddressError {}

/// The response that a caller waits for: the header
/// [`headers::INVOCATION_TYPE`](crate::headers::INVOCATION_TYPE).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InvocationType {
    /// The function's response. This is the default.
    #[default]
    RequestResponse,
    /// Only the news that the event is queued.
    Event,
    /// Only the news that the function could be invoked. The function does not run.
    DryRun,
}

impl InvocationType {
    /// Returns the value of the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestResponse => "RequestResponse",
            Self::Event => "Event",
            Self::DryRun => "DryRun",
        }
    }

    /// Reads the value of the header.
    ///
    /// # Errors
    /// Any other value.
    pub fn from_bytes(value: &[u8]) -> Result<Self, UnknownInvocationType> {
        match value {
            b"RequestResponse" => Ok(Self::RequestResponse),
            b"Event" => Ok(Self::Event),
            b"DryRun" => Ok(Self::DryRun),
            _ => Err(UnknownInvocationType),
        }
    }
}

impl FromStr for InvocationType {
    type Err = UnknownInvocationType;

    fn from_str(value: &str) -> Result<Self, UnknownInvocationType> {
        Self::from_bytes(value.as_bytes())
    }
}

impl fmt::Display for InvocationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value that is no [`InvocationType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownInvocationType;

impl fmt::Display for UnknownInvocationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the invocation type is one of RequestResponse, DryRun, Event")
    }
}

impl std::error::Error for UnknownInvocationType {}

/// The part of the function's log that a caller gets: the header
/// [`headers::LOG_TYPE`](crate::headers::LOG_TYPE).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogType {
    /// Nothing. This is the default.
    #[default]
    None,
    /// The last 4 KB, in the header [`headers::LOG_RESULT`](crate::headers::LOG_RESULT).
    Tail,
}

impl LogType {
    /// Returns the value of the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Tail => "Tail",
        }
    }

    /// Reads the value of the header.
    ///
    /// # Errors
    /// Any other value.
    pub fn from_bytes(value: &[u8]) -> Result<Self, UnknownLogType> {
        match value {
            b"None" => Ok(Self::None),
            b"Tail" => Ok(Self::Tail),
            _ => Err(UnknownLogType),
        }
    }
}

impl FromStr for LogType {
    type Err = UnknownLogType;

    fn from_str(value: &str) -> Result<Self, UnknownLogType> {
        Self::from_bytes(value.as_bytes())
    }
}

impl fmt::Display for LogType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value that is no [`LogType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLogType;

impl fmt::Display for UnknownLogType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log type is one of None, Tail")
    }
}

impl std::error::Error for UnknownLogType {}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:hello";

    fn read(path_and_query: &str) -> Option<Result<(Operation, FunctionAddress), AddressError>> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let (operation, function) = Operation::split_path(path)?;
        Some(FunctionAddress::parse(function, query).map(|address| (operation, address)))
    }

    #[test]
    fn a_path_is_percent_encoded() {
        let function = ARN.parse().unwrap();
        assert_eq!(
            Operation::Invoke.path_and_query(&function, Some(&Qualifier::latest())),
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello\
             /invocations?Qualifier=%24LATEST"
        );
        assert_eq!(
            Operation::InvokeWithResponseStream.path_and_query(&"my-fn_1".parse().unwrap(), None),
            "/2021-11-15/functions/my-fn_1/response-streaming-invocations"
        );
    }

    #[test]
    fn a_written_path_is_read_back() {
        let latest = Qualifier::latest();
        for operation in [Operation::Invoke, Operation::InvokeWithResponseStream] {
            for text in ["hello", ARN, "123456789012:function:hello"] {
                for qualifier in [None, Some(&latest)] {
                    let function: FunctionReference = text.parse().unwrap();
                    let path = operation.path_and_query(&function, qualifier);
                    let qualifier = qualifier.cloned();
                    let expected = FunctionAddress {
                        function,
                        qualifier,
                    };
                    assert_eq!(read(&path), Some(Ok((operation, expected))), "{path}");
                }
            }
        }
    }

    #[test]
    fn the_qualifier_of_the_query_may_repeat_that_of_the_path() {
        let path = "/2015-03-31/functions/hello:a/invocations";
        for query in ["", "?x=y", "?x=y&Qualifier=a"] {
            let (_, address) = read(&format!("{path}{query}")).unwrap().unwrap();
            assert_eq!(address.qualifier.unwrap().as_str(), "a", "{query}");
            assert_eq!(address.function.as_str(), "hello:a");
        }
        let mismatch = read(&format!("{path}?Qualifier=b")).unwrap();
        assert_eq!(mismatch, Err(AddressError::QualifierMismatch));
        let wrong = read(&format!("{path}?Qualifier=")).unwrap();
        assert!(
            matches!(wrong, Err(AddressError::Qualifier(_))),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_path_with_a_wrong_name_is_refused() {
        for name in ["", "%ff", "a%2Fb", "a/b"] {
            let read = read(&format!("/2015-03-31/functions/{name}/invocations"));
            assert!(matches!(read, Some(Err(AddressError::Name(_)))), "{name}");
        }
    }

    #[test]
    fn other_paths_are_no_operation() {
        for path in [
            "/",
            "/2015-03-31/functions/hello",
            "/2015-03-31/functions/invocations",
            "/2015-03-31/functions//x",
            "/2015-03-31/functions/hello/response-streaming-invocations",
        ] {
            assert_eq!(Operation::split_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_path_of_invoke_async_may_lack_its_last_slash() {
        for (path, function) in [
            ("/2014-11-13/functions/hello/invoke-async/", Some("hello")),
            ("/2014-11-13/functions/hello/invoke-async", Some("hello")),
            ("/2014-11-13/functions/a%3Ab/invoke-async/", Some("a%3Ab")),
            ("/2014-11-13/functions/invoke-async/", None),
            ("/2015-03-31/functions/hello/invoke-async/", None),
            ("/2014-11-13/functions/hello/invoke-async/x", None),
        ] {
            assert_eq!(split_async_path(path), function, "{path}");
        }
    }

    #[test]
    fn types_are_read_as_they_are_written() {
        for kind in [
            InvocationType::RequestResponse,
            InvocationType::Event,
            InvocationType::DryRun,
        ] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for kind in [LogType::None, LogType::Tail] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!(
            "event".parse::<InvocationType>(),
            Err(UnknownInvocationType)
        );
        assert_eq!("".parse::<LogType>(), Err(UnknownLogType));
    }

    #[test]
    fn a_query_is_signed_sorted_and_encoded_in_one_way() {
        for (query, canonical) in [
            ("", ""),
            ("Qualifier=$LATEST", "Qualifier=%24LATEST"),
            ("Qualifier=%24latest", "Qualifier=%24latest"),
            ("b=2&a=1&a=%2f&&c", "a=%2F&a=1&b=2&c="),
            ("a=1+2%20~&x=%ff", "a=1%2B2%20~&x=%FF"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }
}
