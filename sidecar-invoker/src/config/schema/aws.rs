//! The keys of functions on AWS: the block `aws` and `functions.NAME.aws`.

use std::ops::RangeInclusive;
use std::time::Duration;

use lambda_api::{FunctionReference, Qualifier};
use lambda_filter_core::config::reference::Key;
use wildmatch::WildMatch;

use crate::config::keys::keys;
use crate::config::keys::kind::{DURATION, Form, Integer, List, Types};
use crate::config::model::{AwsCall, AwsConfig, AwsFunction, Role};
use crate::config::yaml::decode::Value;
use crate::config::yaml::scalar::{self, Endpoint};

keys! {
    /// The keys that stand in both blocks.
    struct CallKeys;

    /// Region, unless a full ARN names it.
    region: String = REGION, "what the AWS SDK finds";
    /// The server to call instead of AWS's own.
    endpoint: Endpoint = ENDPOINT, "AWS's own", see "region-and-endpoint";
    /// The role to assume.
    role_arn: String = ROLE_ARN, "none", see "roles";
    /// The external ID that the role's trust policy asks for.
    external_id: String = EXTERNAL_ID, "none";
    /// The session's name in the logs of the role's owner.
    session_name: String = SESSION_NAME, "`lambda-mesh`";
    /// Most invocations of one function at once.
    max_concurrency: u32 = CONCURRENCY, "the limit over all functions", see "limits-on-aws";
    /// Longest wait of a caller in the queue. Then the caller gets 429.
    queue_timeout: Duration = DURATION, "`10s`";
    /// Time limit of a call, queue included. Then the caller gets 504.
    timeout: Duration = DURATION, "`15m`", see "limits-on-aws";
    /// Further attempts, if the function has certainly not started.
    retries: u32 = Integer::of("further tries", 0..=10), "2", see "retries";
}

keys! {
    /// The further keys of the block `aws`.
    struct OthersKeys;

    /// Most callers of one function that wait. The next gets 429.
    queue: u32 = QUEUE, "100";
    /// Names that callers may use.
    allow: Vec<WildMatch> = PATTERNS, "`[\"*\"]`", see "allow-and-deny";
    /// Names that callers may not use.
    deny: Vec<WildMatch> = PATTERNS, "none", see "allow-and-deny";
}

keys! {
    /// The further keys of `functions.NAME.aws`.
    struct FunctionKeys;

    /// The function's name on AWS.
    function: (FunctionReference, Option<Qualifier>) = FUNCTION, "`NAME` itself";
    /// Used for callers that name no qualifier.
    qualifier: Qualifier = QUALIFIER, "none";
}

/// Returns the keys of the block `aws`, for a reference.
pub(in crate::config) fn block_reference() -> Vec<Key> {
    [CallKeys::reference(), OthersKeys::reference()].concat()
}

/// Returns the keys of `functions.NAME.aws`, for a reference.
pub(in crate::config) fn function_reference() -> Vec<Key> {
    let inherited = CallKeys::reference().into_iter().map(|key| Key {
        default: match key.name {
            "region" => "that of the full ARN, else of `aws`",
            "external_id" | "session_name" => "that of `aws`, for the same role",
            _ => "that of `aws`",
        },
        ..key
    });
    FunctionKeys::reference()
        .into_iter()
        .chain(inherited)
        .collect()
}

const REGION: Form<String> = Form {
    expected: "a region such as eu-west-1",
    parse: scalar::region,
    text: "such as `eu-west-1`",
    types: Types::Text,
    pattern: "^[a-z0-9-]{1,64}$",
};

const ENDPOINT: Form<Endpoint> = Form {
    expected: "a URL without a path such as https://lambda.eu-west-1.amazonaws.com",
    parse: scalar::endpoint,
    text: "URL without a path",
    types: Types::Text,
    pattern: "^https?://[^/]+/?$",
};

const ROLE_ARN: Form<String> = Form {
    expected: "a role such as arn:aws:iam::123456789012:role/invoke",
    parse: |text| {
        let role = text.starts_with("arn:aws") && text.contains(":role/");
        role.then(|| text.to_owned())
    },
    text: "ARN of a role",
    types: Types::Text,
    pattern: "^arn:aws.*:role/",
};

/// Source of the letters: `AssumeRole` in the AWS STS API reference.
const EXTERNAL_ID: Form<String> = Form {
    expected: "2 to 1224 letters, digits or +=,.@:/-_",
    parse: |text| letters(text, 2..=1224, "+=,.@:/-_"),
    text: "text, 2 to 1,224 characters",
    types: Types::Any,
    pattern: "^[A-Za-z0-9+=,.@:/_-]{2,1224}$",
};

/// Source of the letters: as [`EXTERNAL_ID`].
const SESSION_NAME: Form<String> = Form {
    expected: "2 to 64 letters, digits or +=,.@-_",
    parse: |text| letters(text, 2..=64, "+=,.@-_"),
    text: "text, 2 to 64 characters",
    types: Types::Any,
    pattern: "^[A-Za-z0-9+=,.@_-]{2,64}$",
};

/// The key `max_concurrency`, here and over all functions.
pub(in crate::config) const CONCURRENCY: Integer = Integer::of("invocations", 1..=100_000);

/// The key `queue`, here and of one function.
pub(in crate::config) const QUEUE: Integer = Integer::of("waiting callers", 0..=100_000);

/// Patterns of functions that callers may use.
pub(super) const PATTERNS: List<WildMatch> = List {
    expected: "a list of function names, with * and ?, such as [\"orders-*\"]",
    text: "list of patterns",
    item: Form {
        expected: "a function's bare name, with * and ?",
        parse: |text| {
            let letter = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'?')
            };
            let valid = !text.is_empty() && text.bytes().all(letter);
            valid.then(|| WildMatch::new(text))
        },
        text: "pattern",
        types: Types::Any,
        pattern: "^[A-Za-z0-9_*?-]+$",
    },
};

const FUNCTION: Form<(FunctionReference, Option<Qualifier>)> = Form {
    expected: "a function's name or ARN",
    parse: target,
    text: "name, partial ARN or full ARN, with or without `:qualifier`",
    types: Types::Any,
    pattern: FunctionReference::PATTERN,
};

const QUALIFIER: Form<Qualifier> = Form {
    expected: "a version or an alias",
    parse: |text| text.parse().ok(),
    text: "alias or version",
    types: Types::Any,
    pattern: Qualifier::PATTERN,
};

/// Reads the block `aws`.
pub(super) fn block(value: &Value<'_>) -> Option<AwsConfig> {
    let mut mapping = value.mapping("the keys of AWS such as { region: eu-west-1 }")?;
    let call = CallKeys::of(&mut mapping);
    let others = OthersKeys::of(&mut mapping);
    let queue = others.queue.optional();
    let queue = queue.flatten().map(|queue| queue as usize);
    let call = self::call(&call, queue, &AwsCall::default());
    let allow = others.allow.or_else(|| vec![WildMatch::new("*")]);
    let deny = others.deny.or_else(Vec::new);
    mapping.finish();
    Some(AwsConfig {
        call: call?,
        allow: allow?,
        deny: deny?,
    })
}

/// Reads `functions.NAME.aws`. `queue` stands beside it, and `default` has the keys of the block `aws`.
pub(super) fn function(
    value: &Value<'_>,
    name: &str,
    queue: Option<usize>,
    default: &AwsCall,
) -> Option<AwsFunction> {
    let mut mapping = value.mapping("the keys of a function on AWS, or {} for one of this name")?;
    let call_keys = CallKeys::of(&mut mapping);
    let keys = FunctionKeys::of(&mut mapping);
    let target = match keys.function.optional() {
        Some(None) => target(name),
        named => named.flatten(),
    };
    let qualifier = keys.qualifier.optional();
    let call = call(&call_keys, queue, default);
    mapping.finish();

    let ((function, embedded), qualifier, mut call) = (target?, qualifier?, call?);
    if let (Some(region), Some(line)) = (function.region(), &call_keys.region.value)
        && call.region.as_deref() != Some(region)
    {
        line.problem(format!("the ARN in `function` names {region}; remove one"));
        return None;
    }
    if embedded.is_some() && qualifier.is_some() && embedded != qualifier {
        value.problem("`function` and `qualifier` name two qualifiers; remove one");
        return None;
    }
    call.region = function.region().map(str::to_owned).or(call.region);
    Some(AwsFunction {
        function,
        qualifier: qualifier.or(embedded),
        call,
    })
}

/// Reads a function's name on AWS.
fn target(text: &str) -> Option<(FunctionReference, Option<Qualifier>)> {
    let function: FunctionReference = text.parse().ok()?;
    Some(function.split_qualifier())
}

fn call(keys: &CallKeys<'_>, queue: Option<usize>, default: &AwsCall) -> Option<AwsCall> {
    let region = keys.region.optional();
    let endpoint = keys.endpoint.optional();
    let role = role(keys, default.role.as_ref());
    let max_concurrency = keys.max_concurrency.optional();
    let queue_timeout = keys.queue_timeout.or(default.queue_timeout);
    let timeout = keys.timeout.or(default.timeout);
    let retries = keys.retries.or(default.retries);
    let max_concurrency = max_concurrency?.map(|most| most as usize);
    Some(AwsCall {
        region: region?.or_else(|| default.region.clone()),
        endpoint: endpoint?.or_else(|| default.endpoint.clone()),
        role: role?,
        max_concurrency: max_concurrency.or(default.max_concurrency),
        queue: queue.unwrap_or(default.queue),
        queue_timeout: queue_timeout?,
        timeout: timeout?,
        retries: retries?,
    })
}

/// Reads the role of three keys.
fn role(keys: &CallKeys<'_>, default: Option<&Role>) -> Option<Option<Role>> {
    let arn = keys.role_arn.optional();
    let external_id = keys.external_id.optional();
    let session_name = keys.session_name.optional();
    let (arn, external_id, session_name) = (arn?, external_id?, session_name?);
    let Some(arn) = arn.or_else(|| default.map(|role| role.arn.clone())) else {
        let details = [&keys.external_id.value, &keys.session_name.value];
        let mut details = details.into_iter().flatten().peekable();
        let is_none = details.peek().is_none();
        details.for_each(|detail| {
            detail.problem("belongs to a `role_arn`; add one, or remove this");
        });
        return is_none.then_some(None);
    };
    let default = default.filter(|role| role.arn == arn);
    Some(Some(Role {
        external_id: external_id.or_else(|| default?.external_id.clone()),
        session_name: session_name
            .or_else(|| Some(default?.session_name.clone()))
            .unwrap_or_else(|| "lambda-mesh".to_owned()),
        arn,
    }))
}

fn letters(text: &str, lengths: RangeInclusive<usize>, more: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(char::from(byte));
    let valid = lengths.contains(&text.len()) && text.bytes().all(letter);
    valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{AwsFunction, BackendConfig, Config};

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("invoker.yaml", text, Path::new("/")).map_err(|error| error.to_string())
    }

    fn function(text: &str) -> AwsFunction {
        let config = parse(text).unwrap();
        match config.functions.into_values().next().unwrap().backend {
            BackendConfig::Aws(function) => function,
            other => panic!("not on AWS: {other:?}"),
        }
    }

    #[test]
    fn a_function_takes_what_it_does_not_say_from_the_block() {
        let text = "\
aws: { region: eu-west-1, role_arn: 'arn:aws:iam::1:role/r', external_id: secret, queue: 7, timeout: 60s }
functions: { orders: { aws: { timeout: 10s, session_name: orders } } }";
        let orders = function(text);
        assert_eq!(orders.function.to_string(), "orders");
        assert_eq!(orders.call.region.as_deref(), Some("eu-west-1"));
        assert_eq!((orders.call.queue, orders.call.timeout.as_secs()), (7, 10));
        let role = orders.call.role.unwrap();
        assert_eq!(role.external_id.as_deref(), Some("secret"));
        assert_eq!(role.session_name, "orders");
    }

    #[test]
    fn the_external_id_of_one_role_is_not_told_to_another() {
        let text = "\
aws: { role_arn: 'arn:aws:iam::1:role/r', external_id: secret }
functions: { orders: { aws: { role_arn: 'arn:aws:iam::2:role/r' } } }";
        assert_eq!(function(text).call.role.unwrap().external_id, None);
    }

    #[test]
    fn the_region_of_an_arn_wins_over_the_block_s() {
        let text = "\
aws: { region: eu-west-1 }
functions: { orders: { aws: { function: 'arn:aws:lambda:us-east-2:123456789012:function:o:live' } } }";
        let orders = function(text);
        assert_eq!(orders.call.region.as_deref(), Some("us-east-2"));
        assert_eq!(orders.qualifier.unwrap().to_string(), "live");
        assert_eq!(
            orders.function.to_string(),
            "arn:aws:lambda:us-east-2:123456789012:function:o"
        );
    }

    #[test]
    fn patterns_choose_the_functions_that_are_not_listed() {
        let aws = |keys: &str| parse(&format!("aws: {{ {keys} }}")).unwrap().aws.unwrap();
        let allows = |keys: &str, name: &str| aws(keys).allows(&name.parse().unwrap());
        assert!(allows("", "anything"));
        let keys = "allow: ['orders-*', billing], deny: ['*-admin']";
        assert!(allows(keys, "orders-eu"));
        assert!(allows(keys, "billing"));
        assert!(!allows(keys, "billing-eu"));
        assert!(!allows(keys, "orders-admin"));
    }

    #[test]
    fn every_mistake_has_its_sentence() {
        let text = "\
max_concurrency: 0
aws:
  region: EU
  endpoint: https://x/path
  external_id: abc
  allow: ['a b']
  regoin: x
functions:
  a:
    aws: { function: 'a:1', qualifier: '2' }
  b:
    aws:
      function: arn:aws:lambda:us-east-2:123456789012:function:o
      region: eu-west-1
  c: { aws: {}, timeout: 3s }
  d: { aws: {}, rie: http://x }
";
        let expected = "\
invoker.yaml:1: max_concurrency: expected a number of invocations from 1 to 100000, found \"0\"
invoker.yaml:3: aws.region: expected a region such as eu-west-1, found \"EU\"
invoker.yaml:4: aws.endpoint: expected a URL without a path such as https://lambda.eu-west-1.amazonaws.com, found \"https://x/path\"
invoker.yaml:5: aws.external_id: belongs to a `role_arn`; add one, or remove this
invoker.yaml:6: aws.allow[0]: expected a function's bare name, with * and ?, found \"a b\"
invoker.yaml:7: aws.regoin: unknown key; did you mean `region`?
invoker.yaml:10: functions.a.aws: `function` and `qualifier` name two qualifiers; remove one
invoker.yaml:14: functions.b.aws.region: the ARN in `function` names us-east-2; remove one
invoker.yaml:15: functions.c.timeout: the time limit of this function stands inside `aws`; move it there
invoker.yaml:16: functions.d: `rie` and `aws` exclude each other; keep one";
        assert_eq!(parse(text).unwrap_err(), expected);
    }
}
