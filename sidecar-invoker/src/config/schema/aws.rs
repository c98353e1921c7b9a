//! The keys of functions on AWS: the block `aws` and `functions.NAME.aws`.

use std::ops::RangeInclusive;
use wildmatch::WildMatch;

use crate::config::model::{AwsCall, AwsConfig, AwsFunction, Role};
use crate::config::yaml::decode::{Mapping, Value, duration, or_default};
use crate::config::yaml::scalar::{self, region};
use lambda_api::{FunctionReference, Qualifier};

/// Reads the block `aws`.
pub(super) fn block(value: &Value<'_>) -> Option<AwsConfig> {
    let mut keys = value.mapping("the keys of AWS such as { region: eu-west-1 }")?;
    let queue = or_default(
        keys.optional("queue"),
        || None,
        |value| queue_length(&value).map(Some),
    );
    let call = call(&mut keys, queue.flatten(), &AwsCall::default());
    let allow = patterns(keys.optional("allow"), &["*"]);
    let deny = patterns(keys.optional("deny"), &[]);
    keys.finish();
    Some(AwsConfig {
        call: call?,
        allow: allow?,
        deny: deny?,
    })
}

/// Reads `functions.NAME.aws`; `queue` stands beside it, and `default` says how functions that are
/// not listed are called.
pub(super) fn function(
    value: &Value<'_>,
    name: &str,
    queue: Option<usize>,
    default: &AwsCall,
) -> Option<AwsFunction> {
    let mut keys = value.mapping("the keys of a function on AWS, or {} for one of this name")?;
    let target = match keys.optional("function") {
        Some(named) => named.parse("a function's name or ARN", target),
        None => target(name),
    };
    let key = keys.optional("qualifier");
    let qualifier = or_default(
        key,
        || None,
        |key| {
            key.parse("a version or an alias", |text| {
                text.parse::<Qualifier>().ok()
            })
            .map(Some)
        },
    );
    let region_line = keys.optional("region");
    let call = call(&mut keys, queue, default);
    keys.finish();

    let ((function, embedded), qualifier, mut call) = (target?, qualifier?, call?);
    if let (Some(region), Some(line)) = (function.region(), &region_line)
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

fn target(text: &str) -> Option<(FunctionReference, Option<Qualifier>)> {
    let function: FunctionReference = text.parse().ok()?;
    Some(function.split_qualifier())
}

fn call(keys: &mut Mapping<'_, '_>, queue: Option<usize>, default: &AwsCall) -> Option<AwsCall> {
    let region = or_default(
        keys.optional("region"),
        || default.region.clone(),
        |value| value.parse("a region such as eu-west-1", region).map(Some),
    );
    let endpoint = or_default(
        keys.optional("endpoint"),
        || default.endpoint.clone(),
        |value| {
            let expected = "a URL without a path such as https://lambda.eu-west-1.amazonaws.com";
            value.parse(expected, scalar::endpoint).map(Some)
        },
    );
    let role = role(keys, default.role.as_ref());
    let max_concurrency = or_default(
        keys.optional("max_concurrency"),
        || default.max_concurrency,
        |value| concurrency(&value).map(Some),
    );
    let queue_timeout = duration(keys.optional("queue_timeout"), default.queue_timeout);
    let timeout = duration(keys.optional("timeout"), default.timeout);
    let retries = or_default(
        keys.optional("retries"),
        || default.retries,
        |value| value.integer("a number of further tries", 0..=10),
    );
    Some(AwsCall {
        region: region?,
        endpoint: endpoint?,
        role: role?,
        max_concurrency: max_concurrency?,
        queue: queue.unwrap_or(default.queue),
        queue_timeout: queue_timeout?,
        timeout: timeout?,
        retries: retries?,
    })
}

/// Reads a `max_concurrency`.
pub(super) fn concurrency(value: &Value<'_>) -> Option<usize> {
    let number = value.integer("a number of invocations", 1..=100_000)?;
    Some(number as usize)
}

/// Reads a `queue`.
pub(super) fn queue_length(value: &Value<'_>) -> Option<usize> {
    let number = value.integer("a number of waiting callers", 0..=100_000)?;
    Some(number as usize)
}

/// The role of three keys.
///
/// Source of the letters: `AssumeRole` in the AWS STS API reference.
fn role(keys: &mut Mapping<'_, '_>, default: Option<&Role>) -> Option<Option<Role>> {
    let read = |value: Value<'_>, expected: &str, lengths: RangeInclusive<usize>, more: &str| {
        value.parse(expected, |text| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(char::from(byte));
            let valid = lengths.contains(&text.len()) && text.bytes().all(letter);
            valid.then(|| text.to_owned())
        })
    };
    let arn = or_default(
        keys.optional("role_arn"),
        || None,
        |value| {
            value
                .parse(
                    "a role such as arn:aws:iam::123456789012:role/invoke",
                    |text| {
                        let role = text.starts_with("arn:aws") && text.contains(":role/");
                        role.then(|| text.to_owned())
                    },
                )
                .map(Some)
        },
    );
    let mut details = Vec::new();
    let external_id = or_default(
        keys.optional("external_id"),
        || None,
        |value| {
            details.push(value.clone());
            read(
                value,
                "2 to 1224 letters, digits or +=,.@:/-_",
                2..=1224,
                "+=,.@:/-_",
            )
            .map(Some)
        },
    );
    let session_name = or_default(
        keys.optional("session_name"),
        || None,
        |value| {
            details.push(value.clone());
            read(
                value,
                "2 to 64 letters, digits or +=,.@-_",
                2..=64,
                "+=,.@-_",
            )
            .map(Some)
        },
    );
    let (arn, external_id, session_name) = (arn?, external_id?, session_name?);
    let Some(arn) = arn.or_else(|| default.map(|role| role.arn.clone())) else {
        for detail in &details {
            detail.problem("belongs to a `role_arn`; add one, or remove this");
        }
        return details.is_empty().then_some(None);
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

fn patterns(value: Option<Value<'_>>, default: &[&str]) -> Option<Vec<WildMatch>> {
    const EXPECTED: &str = "a list of function names, with * and ?, such as [\"orders-*\"]";
    let Some(value) = value else {
        return Some(
            default
                .iter()
                .map(|pattern| WildMatch::new(pattern))
                .collect(),
        );
    };
    let letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'?');
    let pattern = |item: &Value<'_>| {
        item.parse("a function's bare name, with * and ?", |text| {
            let valid = !text.is_empty() && text.bytes().all(letter);
            valid.then(|| WildMatch::new(text))
        })
    };
    let patterns: Vec<_> = value.list(EXPECTED)?.iter().map(pattern).collect();
    patterns.into_iter().collect()
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
