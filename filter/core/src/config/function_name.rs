//! The name of a function, as the Invoke API takes it.
//!
//! Source of the forms and limits: the Lambda API reference, *Invoke*, `FunctionName` and
//! `Qualifier`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986: a segment of a path, as AWS's SDKs send it.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A function's name, partial ARN (`123456789012:function:name`) or full ARN
/// (`arn:aws:lambda:region:123456789012:function:name`), each with or without `:qualifier`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionName {
    text: String,
    qualifier: Option<Qualifier>,
}

impl FunctionName {
    /// Checks the form.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, qualifier) = match *parts.as_slice() {
            [name] | [_, "function", name] | ["arn", _, "lambda", _, _, "function", name] => {
                (name, None)
            }
            [name, qualifier]
            | [_, "function", name, qualifier]
            | ["arn", _, "lambda", _, _, "function", name, qualifier] => (name, Some(qualifier)),
            _ => ("", None),
        };
        let account = match *parts.as_slice() {
            [account, "function", _, ..] | ["arn", _, _, _, account, ..] => Some(account),
            _ => None,
        };
        let account_ok = account.is_none_or(|account| {
            account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
        });
        if !is_word(name) || name.len() > 140 || !account_ok {
            return Err(format!(
                "expected a function's name, partial ARN (`123456789012:function:name`) or full \
                 ARN, found \"{text}\""
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            qualifier: qualifier.map(Qualifier::parse).transpose()?,
        })
    }

    /// The name as it was given.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The qualifier that the name itself ends in.
    #[must_use]
    pub(crate) fn qualifier(&self) -> Option<&Qualifier> {
        self.qualifier.as_ref()
    }

    /// The region that a full ARN names; `us-east-1` where no region is known.
    #[must_use]
    pub(crate) fn region(&self) -> &str {
        let region = self
            .text
            .strip_prefix("arn:")
            .and_then(|arn| arn.split(':').nth(2));
        region.unwrap_or("us-east-1")
    }

    /// The path and query of *Invoke* for this function.
    #[must_use]
    pub(crate) fn invoke_path(&self, qualifier: Option<&Qualifier>) -> String {
        self.path("2015-03-31", "invocations", qualifier)
    }

    /// The path and query of *InvokeWithResponseStream* for this function.
    #[must_use]
    pub(crate) fn stream_path(&self, qualifier: Option<&Qualifier>) -> String {
        self.path("2021-11-15", "response-streaming-invocations", qualifier)
    }

    fn path(&self, version: &str, operation: &str, qualifier: Option<&Qualifier>) -> String {
        let name = utf8_percent_encode(&self.text, &SEGMENT);
        let path = format!("/{version}/functions/{name}/{operation}");
        match qualifier {
            None => path,
            Some(Qualifier(qualifier)) => {
                let qualifier = utf8_percent_encode(qualifier, &SEGMENT);
                format!("{path}?Qualifier={qualifier}")
            }
        }
    }
}

/// A function's alias or version: `live`, `42`, `$LATEST`, `$LATEST.PUBLISHED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualifier(String);

impl Qualifier {
    /// Checks the form.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_latest = matches!(text, "$LATEST" | "$LATEST.PUBLISHED");
        if is_latest || (is_word(text) && text.len() <= 128) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected an alias, a version or $LATEST, found \"{text}\""
            ))
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_forms_of_the_invoke_api() {
        for (text, qualifier) in [
            ("hello", None),
            ("hello:live", Some("live")),
            ("hello:$LATEST", Some("$LATEST")),
            ("hello:$LATEST.PUBLISHED", Some("$LATEST.PUBLISHED")),
            ("hello:function", Some("function")),
            ("123456789012:function:hello", None),
            ("123456789012:function:hello:2", Some("2")),
            ("arn:aws:lambda:eu-west-1:123456789012:function:hello", None),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:hello:live",
                Some("live"),
            ),
        ] {
            let name = FunctionName::parse(text).unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(name.qualifier().map(|q| q.0.as_str()), qualifier, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_function() {
        for text in [
            "",
            "../admin",
            "a/b",
            "hello world",
            "hello:",
            ":live",
            "hello:live:2",
            "12:function:hello",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:1:function:hello",
            "hello:$latest",
            "hello:a.b",
            &"x".repeat(141),
        ] {
            assert!(FunctionName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_region_is_that_of_a_full_arn() {
        let region = |text| FunctionName::parse(text).unwrap().region().to_owned();
        assert_eq!(
            region("arn:aws:lambda:eu-west-1:123456789012:function:hello"),
            "eu-west-1"
        );
        assert_eq!(region("hello"), "us-east-1");
    }

    #[test]
    fn the_path_is_percent_encoded() {
        let arn =
            FunctionName::parse("arn:aws:lambda:eu-west-1:123456789012:function:hello").unwrap();
        let latest = Qualifier::parse("$LATEST").unwrap();
        assert_eq!(
            arn.invoke_path(Some(&latest)),
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello\
             /invocations?Qualifier=%24LATEST"
        );
        let plain = FunctionName::parse("my-fn_1").unwrap();
        assert_eq!(
            plain.invoke_path(None),
            "/2015-03-31/functions/my-fn_1/invocations"
        );
        assert_eq!(
            plain.stream_path(Some(&latest)),
            "/2021-11-15/functions/my-fn_1/response-streaming-invocations?Qualifier=%24LATEST"
        );
    }
}
