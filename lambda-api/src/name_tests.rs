use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn reference(text: &str) -> Result<FunctionReference, NameError> {
    text.parse()
}

const PREFIXES: [(&str, Option<&str>); 5] = [
    ("", None),
    ("123456789012:function:", None),
    (
        "arn:aws:lambda:eu-west-1:123456789012:function:",
        Some("eu-west-1"),
    ),
    (
        "arn:aws-cn:lambda:cn-north-1:123456789012:function:",
        Some("cn-north-1"),
    ),
    (
        "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:",
        Some("us-gov-west-1"),
    ),
];

#[test]
fn a_function_is_named_in_every_form_of_the_invoke_api() {
    let longest = "a".repeat(64);
    for (prefix, region) in PREFIXES {
        for name in ["hello", "arn", "function", "my-fn_1", &longest] {
            for qualifier in [
                None,
                Some("live"),
                Some("42"),
                Some("function"),
                Some("$LATEST"),
            ] {
                let unqualified = format!("{prefix}{name}");
                let text = match qualifier {
                    Some(qualifier) => format!("{unqualified}:{qualifier}"),
                    None => unqualified.clone(),
                };
                let function = reference(&text).unwrap();
                assert_eq!(function.as_str(), text);
                assert_eq!(function.name().as_str(), name, "{text}");
                assert_eq!(
                    function.qualifier().map(Qualifier::as_str),
                    qualifier,
                    "{text}"
                );
                assert_eq!(function.unqualified(), unqualified, "{text}");
                assert_eq!(function.region(), region, "{text}");
                assert_eq!(function.partition().is_some(), region.is_some(), "{text}");
                let account = (!prefix.is_empty()).then_some(ACCOUNT_ID);
                assert_eq!(function.account(), account, "{text}");
                let (bare, split) = function.split_qualifier();
                assert_eq!(bare, reference(&unqualified).unwrap());
                assert_eq!(split.as_ref().map(Qualifier::as_str), qualifier);
            }
        }
    }
}

#[test]
fn a_qualifier_is_a_version_or_an_alias() {
    for text in [
        "$LATEST",
        "$LATEST.PUBLISHED",
        "1",
        "live",
        &"q".repeat(128),
    ] {
        let qualifier: Qualifier = text.parse().unwrap();
        assert_eq!(qualifier.as_str(), text);
    }
    for text in ["", "$latest", "$LATEST.", "a.b", "a:b", &"q".repeat(129)] {
        assert!(text.parse::<Qualifier>().is_err(), "{text}");
    }
    assert_eq!(Qualifier::latest(), "$LATEST".parse().unwrap());
}

#[test]
fn each_mistake_is_told_by_what_was_expected() {
    for (text, expected) in [
        ("", "1 to 64"),
        ("../admin", "1 to 64"),
        ("hello world", "1 to 64"),
        (&"x".repeat(65), "1 to 64"),
        ("12345678901x:function:", "12 digits"),
        ("123456789012:function:", "1 to 64"),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:a/b",
            "1 to 64",
        ),
        (":live", "1 to 64"),
        ("hello:", "$LATEST"),
        ("hello:a.b", "$LATEST"),
        ("hello:$latest", "$LATEST"),
        (&format!("a:{}", "q".repeat(129)), "$LATEST"),
        ("hello:live:2", "partial ARN"),
        ("arn:aws:s3:::bucket", "partial ARN"),
        ("arn:aws:lambda", "partial ARN"),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:a:b:c",
            "partial ARN",
        ),
        ("12:function:hello", "12 digits"),
        ("arn:aws:lambda:eu-west-1:1:function:hello", "12 digits"),
        (
            "arn:other:lambda:eu-west-1:123456789012:function:hello",
            "partition",
        ),
        (
            "arn:aws1:lambda:eu-west-1:123456789012:function:hello",
            "partition",
        ),
        ("arn:aws:lambda::123456789012:function:hello", "region"),
        ("arn:aws:lambda:a b:123456789012:function:hello", "region"),
        (&format!("hello:{}", "q".repeat(251)), "256"),
    ] {
        let error = reference(text).unwrap_err();
        assert!(error.expected().contains(expected), "{text}: {error}");
        assert_eq!(error.found(), text);
        assert!(
            error.to_string().ends_with(&format!(", found \"{text}\"")),
            "{error}"
        );
    }
}

#[test]
fn a_map_of_names_is_searched_by_text() {
    let name: FunctionName = "hello".parse().unwrap();
    let map = HashMap::from([(name, 1)]);
    assert_eq!(map.get("hello"), Some(&1));
}

#[test]
fn an_arn_is_in_the_partition_of_its_region() {
    let (name, qualifier) = ("hello".parse().unwrap(), "live".parse().unwrap());
    let arn = |region| FunctionArn::outside_aws(region, &name, Some(&qualifier)).to_string();
    assert_eq!(
        arn("eu-west-1"),
        "arn:aws:lambda:eu-west-1:123456789012:function:hello:live"
    );
    assert_eq!(
        arn("cn-north-1"),
        "arn:aws-cn:lambda:cn-north-1:123456789012:function:hello:live"
    );
    assert_eq!(
        reference(&arn("eu-west-1")).unwrap().as_str(),
        arn("eu-west-1")
    );
}

#[test]
fn an_invoked_arn_has_what_the_caller_named() {
    let live = "live".parse().unwrap();
    for (named, qualifier, arn) in [
        (
            "f",
            None,
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:f",
        ),
        (
            "f",
            Some(&live),
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live",
        ),
        (
            "111122223333:function:f",
            None,
            "arn:aws-cn:lambda:cn-north-1:111122223333:function:f",
        ),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:f:live",
            Some(&live),
            "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:f:live",
        ),
        (
            "arn:aws-eusc:lambda:eusc-de-east-1:111122223333:function:f",
            Some(&live),
            "arn:aws-eusc:lambda:eusc-de-east-1:111122223333:function:f:live",
        ),
    ] {
        let function = reference(named).unwrap();
        let invoked = FunctionArn::invoked(&function, qualifier, "cn-north-1");
        assert_eq!(invoked.to_string(), arn, "{named}");
    }
}

/// Strings that match one of the patterns, which the strategy wants without its anchors.
fn matching(pattern: &str) -> impl Strategy<Value = String> {
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    proptest::string::string_regex(pattern).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The pattern of botocore's `NamespacedFunctionName`, of which the three forms that the API
    /// reference documents.
    #[test]
    fn every_documented_form_is_accepted(
        text in "(arn:aws[a-zA-Z-]{0,9}:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso[a-z]?))?-[a-z]{1,9}-[0-9]:\
                 [0-9]{12}:function:|[0-9]{12}:function:)?[a-zA-Z0-9_-]{1,64}\
                 (:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9_-]{1,80}))?",
    ) {
        let function = reference(&text).unwrap();
        prop_assert_eq!(function.as_str(), &text);
        let qualifier = function.qualifier().map(|qualifier| format!(":{qualifier}"));
        let joined = format!("{}{}", function.unqualified(), qualifier.unwrap_or_default());
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(arn:|aws|:|function:|lambda|.){0,40}") {
        match reference(&text) {
            Ok(function) => prop_assert_eq!(function.as_str(), text),
            Err(error) => prop_assert_eq!(error.found(), text),
        }
    }

    #[test]
    fn what_matches_the_pattern_of_a_schema_is_accepted(
        name in matching(FunctionName::PATTERN),
        qualifier in matching(Qualifier::PATTERN),
        function in matching(FunctionReference::PATTERN),
    ) {
        prop_assert!(name.parse::<FunctionName>().is_ok());
        prop_assert!(qualifier.parse::<Qualifier>().is_ok());
        prop_assert!(function.len() > MAX_REFERENCE_BYTES || reference(&function).is_ok());
    }
}
