//! Names of functions, ARNs and qualifiers.
//!
//! Source: the Lambda API reference, *Invoke*, `FunctionName` and `Qualifier`, and the patterns of
//! `NamespacedFunctionName` and `FunctionArn` in botocore's `lambda/2015-03-31/service-2.json`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_NAME_BYTES, MAX_QUALIFIER_BYTES, MAX_REFERENCE_BYTES};
use crate::partition::Partition;

/// The account in the ARNs of functions that run outside AWS.
pub const ACCOUNT_ID: &str = "123456789012";

/// The longest region in bytes. Real regions are much shorter.
const MAX_REGION_BYTES: usize = 64;

/// A function's bare name: 1 to 64 ASCII letters, digits, `-` and `_`.
///
/// A map with names as keys can be searched with a `&str`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(Box<str>);

impl FunctionName {
    /// The form of a name, as a regular expression for a JSON Schema.
    pub const PATTERN: &'static str = "^[A-Za-z0-9_-]{1,64}$";

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_word(text, MAX_NAME_BYTES) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new(Mistake::Name, text))
        }
    }
}

impl Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FunctionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A function's version or alias: `$LATEST`, `$LATEST.PUBLISHED` or 1 to 128 ASCII letters,
/// digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Qualifier(Box<str>);

impl Qualifier {
    /// The form of a qualifier, as a regular expression for a JSON Schema.
    pub const PATTERN: &'static str = r"^(\$LATEST(\.PUBLISHED)?|[A-Za-z0-9_-]{1,128})$";

    /// Returns `$LATEST`, the version that a reference without a qualifier means.
    #[must_use]
    pub fn latest() -> Self {
        Self("$LATEST".into())
    }

    /// Returns the qualifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Qualifier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_qualifier(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new(Mistake::Qualifier, text))
        }
    }
}

impl AsRef<str> for Qualifier {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A function as a caller or a configuration names it.
///
/// It is a name (`orders`), a partial ARN (`123456789012:function:orders`) or a full ARN
/// (`arn:aws:lambda:eu-west-1:123456789012:function:orders`), each with or without `:qualifier`,
/// of at most 256 characters.
///
/// ```
/// use lambda_api::FunctionReference;
///
/// let function: FunctionReference =
///     "arn:aws:lambda:eu-west-1:123456789012:function:orders:live".parse()?;
/// assert_eq!(function.name().as_str(), "orders");
/// assert_eq!(function.qualifier().map(|qualifier| qualifier.as_str()), Some("live"));
/// assert_eq!(function.region(), Some("eu-west-1"));
/// # Ok::<(), lambda_api::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionReference {
    text: Box<str>,
    name: FunctionName,
    qualifier: Option<Qualifier>,
}

impl FunctionReference {
    /// The form of a reference, as a regular expression for a JSON Schema. The limit of 256 characters is not
    /// part of it.
    pub const PATTERN: &'static str = concat!(
        r"^((arn:aws[A-Za-z-]*:lambda:[A-Za-z0-9_-]{1,64}:)?[0-9]{12}:function:)?",
        r"[A-Za-z0-9_-]{1,64}(:(\$LATEST(\.PUBLISHED)?|[A-Za-z0-9_-]{1,128}))?$",
    );

    /// Returns the reference as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the function's bare name.
    #[must_use]
    pub fn name(&self) -> &FunctionName {
        &self.name
    }

    /// Returns the qualifier in which the reference ends.
    #[must_use]
    pub fn qualifier(&self) -> Option<&Qualifier> {
        self.qualifier.as_ref()
    }

    /// Returns the reference as it was written, but without its qualifier.
    #[must_use]
    pub fn unqualified(&self) -> &str {
        let end = match &self.qualifier {
            Some(qualifier) => self.text.len().saturating_sub(qualifier.0.len() + 1),
            None => self.text.len(),
        };
        self.text.get(..end).unwrap_or_default()
    }

    /// Splits the qualifier off the reference. Returns the rest and the qualifier.
    #[must_use]
    pub fn split_qualifier(mut self) -> (Self, Option<Qualifier>) {
        let qualifier = match self.qualifier {
            None => None,
            Some(_) => {
                self.text = self.unqualified().into();
                self.qualifier.take()
            }
        };
        (self, qualifier)
    }

    /// Returns the partition of a full ARN: `aws`.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        self.arn()?.next()
    }

    /// Returns the region of a full ARN: `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.arn()?.nth(2)
    }

    /// Returns the account of a full or partial ARN: 12 digits.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        match self.arn() {
            Some(mut parts) => parts.nth(3),
            None => {
                let (account, rest) = self.unqualified().split_once(':')?;
                rest.starts_with("function:").then_some(account)
            }
        }
    }

    /// Returns the parts of a full ARN that follow `arn:`.
    fn arn(&self) -> Option<std::str::Split<'_, char>> {
        // A reference to the function `arn` with a qualifier also begins with `arn:`.
        let parts = self.unqualified().strip_prefix("arn:")?;
        Some(parts.split(':'))
    }
}

impl FromStr for FunctionReference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |mistake| NameError::new(mistake, text);
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(wrong(Mistake::Length));
        }
        let Some((first, rest)) = text.split_once(':') else {
            return text.parse::<FunctionName>().map(Self::from);
        };
        // `qualified` is `NAME` or `NAME:QUALIFIER`, after the prefix of an ARN if there is one.
        let (account, qualified) = match rest.strip_prefix("function:") {
            Some(qualified) => (Some(first), qualified),
            None if first == "arn" && rest.contains(':') => {
                let mut parts = rest.splitn(6, ':');
                let mut part = || parts.next().unwrap_or_default();
                let (partition, service, region) = (part(), part(), part());
                let (account, kind, qualified) = (part(), part(), part());
                if (service, kind) != ("lambda", "function") {
                    return Err(wrong(Mistake::Form));
                }
                if !is_partition(partition) {
                    return Err(wrong(Mistake::Partition));
                }
                if !is_word(region, MAX_REGION_BYTES) {
                    return Err(wrong(Mistake::Region));
                }
                (Some(account), qualified)
            }
            None => (None, text),
        };
        if !account.is_none_or(is_account) {
            return Err(wrong(Mistake::Account));
        }
        let (name, qualifier) = match qualified.split_once(':') {
            Some((_, qualifier)) if qualifier.contains(':') => return Err(wrong(Mistake::Form)),
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (qualified, None),
        };
        if !is_word(name, MAX_NAME_BYTES) {
            return Err(wrong(Mistake::Name));
        }
        if !qualifier.is_none_or(is_qualifier) {
            return Err(wrong(Mistake::Qualifier));
        }
        Ok(Self {
            text: text.into(),
            name: FunctionName(name.into()),
            qualifier: qualifier.map(|qualifier| Qualifier(qualifier.into())),
        })
    }
}

impl From<FunctionName> for FunctionReference {
    fn from(name: FunctionName) -> Self {
        Self {
            text: name.0.clone(),
            name,
            qualifier: None,
        }
    }
}

impl fmt::Display for FunctionReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The ARN of a function. [`Display`](fmt::Display) writes it as text.
///
/// ```
/// use lambda_api::FunctionArn;
///
/// let name = "orders".parse()?;
/// let arn = FunctionArn::outside_aws("eu-west-1", &name, None);
/// assert_eq!(arn.to_string(), "arn:aws:lambda:eu-west-1:123456789012:function:orders");
/// # Ok::<(), lambda_api::NameError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionArn<'a> {
    /// The partition: `aws`.
    pub partition: &'a str,
    /// The region: `eu-west-1`.
    pub region: &'a str,
    /// The account: 12 digits.
    pub account: &'a str,
    /// The function's bare name.
    pub name: &'a FunctionName,
    /// The version or alias.
    pub qualifier: Option<&'a Qualifier>,
}

impl<'a> FunctionArn<'a> {
    /// Returns the ARN of a function that runs outside AWS: in the partition of `region`, in the
    /// account [`ACCOUNT_ID`].
    #[must_use]
    pub fn outside_aws(
        region: &'a str,
        name: &'a FunctionName,
        qualifier: Option<&'a Qualifier>,
    ) -> Self {
        Self {
            partition: Partition::of_region(region).id,
            region,
            account: ACCOUNT_ID,
            name,
            qualifier,
        }
    }
}

impl<'a> FunctionArn<'a> {
    /// Returns the ARN under which a caller invoked a function that runs outside AWS. What the caller's
    /// reference does not name is as in [`outside_aws`](Self::outside_aws).
    ///
    /// ```
    /// use lambda_api::{FunctionArn, FunctionReference};
    ///
    /// let named: FunctionReference = "arn:aws-cn:lambda:cn-north-1:111122223333:function:f".parse()?;
    /// let arn = FunctionArn::invoked(&named, None, "eu-west-1");
    /// assert_eq!(arn.to_string(), named.as_str());
    /// # Ok::<(), lambda_api::NameError>(())
    /// ```
    #[must_use]
    pub fn invoked(
        function: &'a FunctionReference,
        qualifier: Option<&'a Qualifier>,
        region: &'a str,
    ) -> Self {
        let default = Self::outside_aws(region, function.name(), qualifier);
        Self {
            partition: function.partition().unwrap_or(default.partition),
            region: function.region().unwrap_or(default.region),
            account: function.account().unwrap_or(default.account),
            ..default
        }
    }
}

impl fmt::Display for FunctionArn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account,
            name,
            qualifier,
        } = self;
        write!(
            f,
            "arn:{partition}:lambda:{region}:{account}:function:{name}"
        )?;
        match qualifier {
            Some(qualifier) => write!(f, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

/// The error for a text that is not a valid [`FunctionName`], [`Qualifier`] or [`FunctionReference`].
///
/// Its message is `expected …, found "…"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    mistake: Mistake,
    found: Box<str>,
}

/// The first mistake in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Name,
    Qualifier,
    Form,
    Length,
    Partition,
    Region,
    Account,
}

impl NameError {
    fn new(mistake: Mistake, found: &str) -> Self {
        Self {
            mistake,
            found: found.into(),
        }
    }

    /// Returns the form that was expected, without the text that was found.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        match self.mistake {
            Mistake::Name => "a function's name of 1 to 64 letters, digits, - and _",
            Mistake::Qualifier => {
                "a qualifier that is $LATEST, $LATEST.PUBLISHED or 1 to 128 letters, digits, - and _"
            }
            Mistake::Form => {
                "a function's name, partial ARN (`123456789012:function:name`) or full ARN, each \
                 with or without `:qualifier`"
            }
            Mistake::Length => "a function's name or ARN of at most 256 characters",
            Mistake::Partition => "an ARN with a partition such as aws",
            Mistake::Region => "an ARN with a region such as eu-west-1",
            Mistake::Account => "an ARN with an account of 12 digits",
        }
    }

    /// Returns the whole text that was found.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found \"{}\"", self.expected(), self.found)
    }
}

impl std::error::Error for NameError {}

fn is_word(text: &str, max_bytes: usize) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_qualifier(text: &str) -> bool {
    matches!(text, "$LATEST" | "$LATEST.PUBLISHED") || is_word(text, MAX_QUALIFIER_BYTES)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_partition(text: &str) -> bool {
    let rest = text.strip_prefix("aws");
    rest.is_some_and(|rest| {
        rest.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    })
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
