use super::*;

const BOTH: &[u8] = br#"{"events":["INVOKE","SHUTDOWN"]}"#;

fn register(
    extensions: &mut Extensions,
    name: &str,
    body: &[u8],
    is_external: bool,
) -> Result<Uuid, ExtensionsApiError> {
    extensions.register(&Registration {
        name,
        body,
        is_external,
        is_closed: false,
    })
}

#[test]
fn a_registration_that_is_not_one_is_refused_with_its_reason() {
    let mut extensions = Extensions::default();
    for (name, body, error_type) in [
        ("", "{", "Extension.InvalidExtensionName"),
        ("a", "", "InvalidRequestFormat"),
        ("a", "[]", "InvalidRequestFormat"),
        ("a", r#"{"events":"INVOKE"}"#, "InvalidRequestFormat"),
        ("a", r#"{"events":[1]}"#, "InvalidRequestFormat"),
        (
            "a",
            r#"{"configurationKeys":["k"]}"#,
            "InvalidRequestFormat",
        ),
        ("a", r#"{"events":["START"]}"#, "Extension.InvalidEventType"),
        (
            "a",
            r#"{"events":["invoke"]}"#,
            "Extension.InvalidEventType",
        ),
    ] {
        let refusal = register(&mut extensions, name, body.as_bytes(), true).unwrap_err();
        assert_eq!(refusal.error_type(), error_type, "{body}");
    }
    assert_eq!(
        register(&mut extensions, "a", BOTH, false),
        Err(ExtensionsApiError::ShutdownOfInternal),
        "the runtime's process ends without an event"
    );
    for (index, body) in ["null", "{}", r#"{"EVENTS":null}"#].into_iter().enumerate() {
        register(&mut extensions, &index.to_string(), body.as_bytes(), false).unwrap();
    }
    for name in 3..MAX_EXTENSIONS {
        register(&mut extensions, &name.to_string(), b"{}", false).unwrap();
    }
    let eleventh = register(&mut extensions, "b", BOTH, true);
    assert_eq!(eleventh, Err(ExtensionsApiError::TooMany));
}

#[test]
fn an_extension_registers_once_and_only_during_the_start() {
    for is_external in [true, false] {
        let mut extensions = Extensions::default();
        register(&mut extensions, "a", b"{}", is_external).unwrap();
        let again = register(&mut extensions, "a", b"{}", is_external).unwrap_err();
        assert_eq!(again.error_type(), "Extension.InvalidExtensionState");
        let late = extensions.register(&Registration {
            name: "b",
            body: b"{}",
            is_external,
            is_closed: true,
        });
        assert_eq!(late, Err(ExtensionsApiError::Closed));
    }
}

#[test]
fn an_extension_reports_an_error_only_when_its_state_allows_it() {
    let mut extensions = Extensions::default();
    let unknown = Uuid::new_v4();
    let refusal = extensions.next(unknown).unwrap_err();
    assert_eq!(refusal, ExtensionsApiError::UnknownIdentifier(unknown));
    let failed = register(&mut extensions, "failed", b"{}", true).unwrap();
    // Further reports are accepted and change nothing.
    assert_eq!(extensions.fail(failed, true), Ok("failed"));
    assert_eq!(extensions.fail(failed, true), Ok("failed"));
    let refusal = extensions.fail(failed, false).unwrap_err().to_string();
    let start = "State transition from InitError to ExitError failed for extension ";
    assert!(refusal.starts_with(start), "{refusal}");
    assert!(extensions.next(failed).is_err());
    let ready = register(&mut extensions, "ready", b"{}", true).unwrap();
    assert_eq!(extensions.next(ready), Ok(None));
    let refusal = extensions.fail(ready, true).unwrap_err();
    assert_eq!(refusal.error_type(), "Extension.InvalidExtensionState");
    assert_eq!(extensions.fail(ready, false), Ok("ready"));
}

#[test]
fn only_extensions_that_registered_for_shutdown_get_it() {
    let mut extensions = Extensions::default();
    let both = register(&mut extensions, "both", BOTH, true).unwrap();
    let none = register(&mut extensions, "none", br#"{"events":[]}"#, true).unwrap();
    assert!(!extensions.all_wait());
    assert_eq!(extensions.next(both), Ok(None));
    assert_eq!(extensions.next(none), Ok(None));
    assert!(extensions.all_wait());
    assert!(extensions.announce_shutdown("spindown", 5));
    let event = extensions.next(both).unwrap().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&event).unwrap(),
        json!({ "eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 5 })
    );
    assert_eq!(extensions.next(none), Ok(None));
    assert!(extensions.awaits_shutdown("both") && !extensions.awaits_shutdown("none"));
}
