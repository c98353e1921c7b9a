//! What an invocation consists of, in types that only hold what AWS accepts.

mod response;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::HeaderValue;
use uuid::Uuid;

pub(crate) use response::{
    Completion, FunctionPayload, FunctionResponse, ResponseStream, StreamPiece, StreamSender,
    stream,
};

/// The account in the ARNs of functions that run outside AWS.
pub const ACCOUNT_ID: &str = "123456789012";

/// A function's bare name: 1 to 64 of `[a-zA-Z0-9-_]`.
///
/// Source: the `FunctionName` of Lambda's `CreateFunction`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(Box<str>);

/// A version or an alias: `$LATEST`, `$LATEST.PUBLISHED` or 1 to 128 of `[a-zA-Z0-9-_]`.
///
/// Source: the `Qualifier` of Lambda's `Invoke`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualifier(Box<str>);

/// Why a text is not a [`FunctionName`], a [`Qualifier`] or a [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Not a function's bare name.
    Function,
    /// Not a version or an alias.
    Qualifier,
    /// None of the forms in which a function can be named.
    Target,
}

impl fmt::Display for NameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Function => "a function's name is 1 to 64 letters, digits, - and _",
            Self::Qualifier => "a qualifier is $LATEST, $LATEST.PUBLISHED or 1 to 128 letters, digits, - and _",
            Self::Target => "a function is named by its name, a partial ARN or a full ARN of at most 256 characters",
        })
    }
}

impl std::error::Error for NameError {}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        word(text, 64)
            .then(|| Self(text.into()))
            .ok_or(NameError::Function)
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Qualifier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = matches!(text, "$LATEST" | "$LATEST.PUBLISHED") || word(text, 128);
        valid.then(|| Self(text.into())).ok_or(NameError::Qualifier)
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

fn word(text: &str, longest: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=longest).contains(&text.len()) && text.bytes().all(letter)
}

/// The function that a caller means.
///
/// Region and account of an ARN are checked for their form and then left aside: functions are
/// looked up by their bare name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The function's bare name.
    pub name: FunctionName,
    /// The version or alias, if the caller named one.
    pub qualifier: Option<Qualifier>,
}

impl FromStr for Target {
    type Err = NameError;

    /// Reads `NAME`, `ACCOUNT:function:NAME` or `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`,
    /// each with or without `:QUALIFIER`, of at most 256 characters.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > 256 {
            return Err(NameError::Target);
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (name, qualifier) = match parts.as_slice() {
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
                rest @ ..,
            ] if partition.starts_with("aws") && word(region, 64) && is_account(account) => {
                (*name, rest)
            }
            [account, "function", name, rest @ ..] if is_account(account) => (*name, rest),
            [name, rest @ ..] => (*name, rest),
            [] => return Err(NameError::Target),
        };
        let qualifier = match qualifier {
            [] => None,
            [qualifier] => Some(qualifier.parse()?),
            _ => return Err(NameError::Target),
        };
        let name = name.parse().map_err(|_| NameError::Target)?;
        Ok(Self { name, qualifier })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A function as AWS is told it: the name that was given, without its qualifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionId {
    text: Box<str>,
    region: Option<Box<str>>,
}

impl FunctionId {
    /// The name `text`, which `target` was read from.
    pub fn of(text: &str, target: &Target) -> Self {
        let bare = match &target.qualifier {
            Some(qualifier) => text
                .strip_suffix(&*qualifier.0)
                .and_then(|text| text.strip_suffix(':')),
            None => None,
        };
        let region = text
            .strip_prefix("arn:")
            .and_then(|arn| arn.split(':').nth(2));
        Self {
            text: bare.unwrap_or(text).into(),
            region: region.map(Into::into),
        }
    }

    /// The region of a full ARN.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// The region of functions outside AWS: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else `us-east-1`.
pub(crate) fn region(variable: impl Fn(&str) -> Option<OsString>) -> String {
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .filter_map(|name| variable(name)?.into_string().ok())
        .find(|region| !region.is_empty());
    region.unwrap_or_else(|| "us-east-1".to_owned())
}

/// The ARN under which a function outside AWS is known.
pub fn function_arn(region: &str, target: &Target) -> String {
    let Target { name, qualifier } = target;
    let arn = format!("arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}");
    match qualifier {
        Some(qualifier) => format!("{arn}:{qualifier}"),
        None => arn,
    }
}

/// Names one invocation, for its caller, its function and the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new random one (UUID version 4).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads one that a function sent back.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// As the value of a header.
    pub fn header(&self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = self.0.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A new X-Ray trace header for a request that came without one: a root at `now`, not sampled.
///
/// Source: "Tracing header" in the AWS X-Ray developer guide.
pub fn new_trace_id(now: SystemTime) -> HeaderValue {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() & 0xffff_ffff;
    let random = Uuid::new_v4().as_u128() >> 32;
    let text = format!("Root=1-{seconds:08x}-{random:024x};Sampled=0");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// How the answer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// As a whole.
    Invoke,
    /// As an event stream.
    InvokeWithResponseStream,
}

/// What the caller waits for: `X-Amz-Invocation-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationType {
    /// For the function's answer.
    RequestResponse,
    /// For nothing but that the event has been taken.
    Event,
    /// To hear whether the function could be invoked.
    DryRun,
}

/// Whether the caller wants the end of the function's log: `X-Amz-Log-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogType {
    /// No.
    None,
    /// The last 4 KB.
    Tail,
}

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its identity.
    pub request_id: RequestId,
    /// How the answer comes back.
    pub operation: Operation,
    /// Whether the answer brings the end of the log.
    pub log_type: LogType,
    /// The function.
    pub target: Target,
    /// The event, not parsed; never empty.
    pub payload: Bytes,
    /// The X-Ray trace header.
    pub trace_id: HeaderValue,
    /// The client context as JSON, decoded from base64.
    pub client_context: Option<HeaderValue>,
    /// The tenant of a function that isolates tenants.
    pub tenant_id: Option<HeaderValue>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target(text: &str) -> Result<(String, Option<String>), NameError> {
        let target: Target = text.parse()?;
        Ok((
            target.name.to_string(),
            target.qualifier.map(|qualifier| qualifier.to_string()),
        ))
    }

    #[test]
    fn a_function_is_named_in_every_form_that_aws_has() {
        let bare = Ok(("hello".to_owned(), None));
        let qualified = Ok(("hello".to_owned(), Some("live".to_owned())));
        for prefix in [
            "",
            "123456789012:function:",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:",
        ] {
            assert_eq!(target(&format!("{prefix}hello")), bare, "{prefix}");
            assert_eq!(
                target(&format!("{prefix}hello:live")),
                qualified,
                "{prefix}"
            );
        }
        for qualifier in ["$LATEST", "$LATEST.PUBLISHED", &"q".repeat(128)] {
            let longest = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:";
            let text = format!("{longest}{}:{qualifier}", "a".repeat(64));
            assert_eq!(target(&text).unwrap().1.unwrap(), qualifier);
        }
    }

    #[test]
    fn what_is_no_function_is_refused() {
        for wrong in [
            "",
            ":",
            "a b",
            "a/b",
            "hello:",
            "hello:$latest",
            "hello:a:b",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:1:function:hello",
            &"a".repeat(65),
            &format!("a:{}", "q".repeat(129)),
            "hello:$LATEST.",
            &format!(
                "arn:aws{}:lambda:eu-west-1:123456789012:function:hello",
                "-".repeat(257)
            ),
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_new_trace_id_has_the_form_of_x_ray() {
        let trace = new_trace_id(UNIX_EPOCH + Duration::from_secs(0x5759_e988));
        let trace = trace.to_str().unwrap();
        let random = trace
            .strip_prefix("Root=1-5759e988-")
            .unwrap()
            .strip_suffix(";Sampled=0")
            .unwrap();
        assert_eq!(random.len(), 24);
        assert!(random.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
