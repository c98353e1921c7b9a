use super::values::{BuiltInFormat, EventFormat, HeaderCase, Invocation, MediaRange};
use super::*;
use serde_json::{Value, json};

fn settings(value: Value) -> Result<Settings, String> {
    match value {
        Value::Object(fields) => Settings::parse(&fields).map_err(|p| p.to_string()),
        _ => panic!("a test gives an object"),
    }
}

#[test]
fn defaults_are_those_of_the_reference() {
    let config = settings(json!({"function": "hello"}))
        .and_then(|s| s.into_config().map_err(|p| p.to_string()))
        .unwrap();
    assert_eq!(
        config.format,
        EventFormat::BuiltIn(BuiltInFormat::ApigatewayV2)
    );
    assert_eq!(config.invocation, Invocation::RequestResponse);
    assert_eq!(config.stage, "$default");
    assert_eq!(config.account_id, "123456789012");
    assert_eq!(config.api_id, "lambda-mesh");
    assert_eq!(config.header_case, HeaderCase::Lower);
    assert_eq!(config.max_request_bytes, 6_291_556);
    assert!(!config.expose_errors);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let problems = settings(json!({
        "functoin": "hello",
        "payload": "apigateway-v3",
        "expose_errors": "yes",
        "max_request_bytes": 1.5,
        "account_id": 123_456_789_012_u64,
        "strip_prefix": "shop/",
        "colour": "red",
    }))
    .unwrap_err();
    for part in [
        "`functoin`: unknown key; did you mean `function`?",
        "`payload`: expected one of apigateway-v2, ",
        "found \"apigateway-v3\"",
        "`expose_errors`: expected true or false, found \"yes\"",
        "`max_request_bytes`: expected a whole number of bytes, at least 1, found 1.5",
        "`account_id`: expected text (in quotes if it is a number), found 123456789012",
        "`strip_prefix`: expected a path such as `/shop`, found \"shop/\"",
        "`colour`: unknown key; the keys are function, ",
    ] {
        assert!(problems.contains(part), "{part} is not in: {problems}");
    }
}

#[test]
fn a_name_that_lambda_refuses_is_refused_in_the_words_of_the_shared_rule() {
    let longest = "a".repeat(64);
    assert!(settings(json!({ "function": longest })).is_ok());
    let name = format!("{longest}a");
    let problems = settings(json!({ "function": name })).unwrap_err();
    assert_eq!(
        problems,
        format!(
            "`function`: expected a function's name of 1 to 64 letters, digits, - and _, found \
             \"{name}\""
        )
    );
    let problems = settings(json!({"function": "f", "qualifier": "a.b"})).unwrap_err();
    assert!(
        problems.starts_with("`qualifier`: expected a qualifier that is $LATEST, "),
        "{problems}"
    );
}

#[test]
fn an_event_is_limited_to_what_lambda_queues() {
    let limit = |value| {
        let config = settings(value).unwrap().into_config().unwrap();
        config.max_request_bytes
    };
    let event = json!({"function": "f", "invocation": "event"});
    assert_eq!(limit(event), 1_048_576);
    let small = json!({"function": "f", "invocation": "event", "max_request_bytes": 1000});
    assert_eq!(limit(small), 1000);
    let stream = json!({"function": "f", "invocation": "response-stream"});
    assert_eq!(limit(stream), 6_291_556);
}

#[test]
fn an_event_has_no_answer_to_pass_on() {
    let event = json!({"function": "f", "invocation": "event", "response": "raw"});
    let problems = settings(event).unwrap().into_config().unwrap_err();
    let problems = problems.to_string();
    assert!(problems.starts_with("`response`: "), "{problems}");
    assert!(problems.contains("`invocation: event`"), "{problems}");
}

#[test]
fn the_defaults_of_a_rest_api_are_its_own() {
    let config = settings(json!({"function": "f", "payload": "apigateway-v1"})).unwrap();
    let config = config.into_config().unwrap();
    assert_eq!(config.stage, "prod");
    assert_eq!(config.header_case, HeaderCase::Train);
}

#[test]
fn no_message_shows_a_secret() {
    let secret = "S".repeat(40);
    let config = settings(json!({ "function": "f", "invoker_secret": secret })).unwrap();
    let text = json!({ "function": "f", "invoker_secret": secret }).to_string();
    let loaded = LoadedSettings::new(text.as_bytes()).unwrap();
    let shown = format!(
        "{config:?} {:?} {loaded:?}",
        config.clone().into_config().unwrap()
    );
    assert!(!shown.contains("SSS"), "{shown}");
    for wrong in [json!("SSSS"), json!(7_777_777), json!(["SSSS"])] {
        assert_eq!(
            settings(json!({ "invoker_secret": wrong })).unwrap_err(),
            "`invoker_secret`: expected a secret of 32 to 256 visible ASCII characters"
        );
    }
}

#[test]
fn a_template_goes_with_its_payload() {
    let refused = |value| {
        let problems = settings(value).unwrap().into_config().unwrap_err();
        problems.to_string()
    };
    assert_eq!(
        refused(json!({"function": "f", "payload": "template"})),
        "`template`: required by `payload: template`"
    );
    assert_eq!(
        refused(json!({"function": "f", "template": {}})),
        "`template`: goes with `payload: template` only"
    );
}

#[test]
fn a_media_range_takes_its_wildcards() {
    let range = |text| MediaRange::parse(text).unwrap();
    assert!(range("*/*").matches(""));
    assert!(range("image/*").matches("image/png"));
    assert!(!range("image/*").matches("imagery/png"));
    assert!(range("Image/PNG").matches("image/png"));
    assert!(!range("image/png").matches(""));
    for text in ["", "image", "*/png", "image/", "a/b;c"] {
        assert_eq!(MediaRange::parse(text), None, "{text}");
    }
}

#[test]
fn the_nearest_level_wins_key_by_key() {
    let route = settings(json!({"function": "near"})).unwrap();
    let host = settings(json!({"function": "far", "stage": "dev"})).unwrap();
    let plugin = settings(json!({"stage": "prod", "expose_errors": true})).unwrap();
    let config = route.or(&host).or(&plugin).into_config().unwrap();
    assert_eq!(config.function.as_str(), "near");
    assert_eq!(config.stage, "dev");
    assert!(config.expose_errors);
}

#[test]
fn a_function_is_required_and_one_qualifier_is_enough() {
    let missing = settings(json!({})).unwrap().into_config().unwrap_err();
    assert!(missing.to_string().starts_with("`function`: required"));
    let twice = settings(json!({"function": "hello:live", "qualifier": "2"}))
        .unwrap()
        .into_config()
        .unwrap_err();
    assert!(twice.to_string().starts_with("`qualifier`: given twice"));
}

#[test]
fn a_plugin_configuration_is_a_json_object_or_a_struct_or_nothing() {
    let named = settings(json!({"function": "hello"})).unwrap();
    assert_eq!(Settings::from_plugin(b" \n"), Ok(Settings::default()));
    assert_eq!(
        Settings::from_plugin(b"\n{\"function\":\"hello\"}"),
        Ok(named.clone())
    );
    // `{function: hello}` as a Struct, as Envoy 1.40 hands it over.
    assert_eq!(
        Settings::from_plugin(b"\n\x13\n\x08function\x12\x07\x1a\x05hello"),
        Ok(named)
    );
    for text in ["[]", "\"hello\"", "{", "\u{fffd}"] {
        let problems = Settings::from_plugin(text.as_bytes()).unwrap_err();
        assert!(problems.to_string().contains("expected a JSON object"));
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let schema: Value = serde_json::from_str(&Settings::schema()).unwrap();
    let config = |settings: Value| self::settings(settings).unwrap().into_config().unwrap();
    let mut written = json!({ "function": "hello" });
    let config_without = config(written.clone());
    for (key, property) in schema["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            written[key] = default.clone();
        }
    }
    assert!(written.as_object().unwrap().len() > 1, "{written}");
    assert_eq!(config(written), config_without);
}
