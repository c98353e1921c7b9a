//! The extensions of one execution environment.
//!
//! Source: "Using the Lambda Extensions API" in the AWS Lambda developer guide. The error types are
//! those of the Runtime Interface Emulator.

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::transitions::Deadline;
use crate::invocation::Invocation;

/// The maximum number of extensions of one environment.
const MAX_EXTENSIONS: usize = 10;

/// The registered extensions, in the order of their registration.
#[derive(Debug, Default)]
pub(crate) struct Extensions(Vec<Extension>);

#[derive(Debug)]
struct Extension {
    id: Uuid,
    name: String,
    on_invoke: bool,
    on_shutdown: bool,
    /// The extension waits for its next event. Until then its work on the previous one goes on.
    is_waiting: bool,
    /// The event that the extension has not fetched yet.
    event: Option<Bytes>,
}

/// The reason to refuse a request to the Extensions API. Its text is the message of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtensionsApiError {
    #[error("Empty extension name")]
    NoName,
    #[error("An extension of this name has registered already")]
    NameTaken,
    #[error("Extension limit ({MAX_EXTENSIONS}) reached")]
    TooMany,
    #[error("The events are INVOKE and, for an external extension, SHUTDOWN")]
    UnknownEvent,
    #[error("The body is not {{\"events\": [...]}}")]
    NotJson,
    #[error("Extension registration closed already")]
    Closed,
    #[error("Missing Lambda-Extension-Identifier header")]
    NoIdentifier,
    #[error("Unknown extension identifier")]
    UnknownIdentifier,
    #[error("State transition is not allowed")]
    WrongState,
}

impl ExtensionsApiError {
    /// Returns the error type of the response.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::NoName => "Extension.InvalidExtensionName",
            Self::NameTaken => "Extension.AlreadyRegistered",
            Self::TooMany => "Extension.TooManyExtensions",
            Self::UnknownEvent => "Extension.InvalidEventType",
            Self::NotJson => "InvalidRequestFormat",
            Self::Closed => "Extension.RegistrationClosed",
            Self::NoIdentifier => "Extension.MissingExtensionIdentifier",
            Self::UnknownIdentifier => "Extension.UnknownExtensionIdentifier",
            Self::WrongState => "Extension.InvalidExtensionState",
        }
    }
}

impl Extensions {
    /// Registers the extension `name` for the events that `body` lists.
    ///
    /// An extension that is not `external` lives in the runtime's process, which ends without an
    /// event.
    pub(crate) fn register(
        &mut self,
        name: &str,
        body: &[u8],
        external: bool,
    ) -> Result<Uuid, ExtensionsApiError> {
        if name.is_empty() {
            return Err(ExtensionsApiError::NoName);
        }
        if self.has(name) {
            return Err(ExtensionsApiError::NameTaken);
        }
        if self.0.len() >= MAX_EXTENSIONS {
            return Err(ExtensionsApiError::TooMany);
        }
        let body: Value = serde_json::from_slice(body).map_err(|_| ExtensionsApiError::NotJson)?;
        let events = body.get("events").and_then(Value::as_array);
        let (mut on_invoke, mut on_shutdown) = (false, false);
        for event in events.into_iter().flatten() {
            match event.as_str() {
                Some("INVOKE") => on_invoke = true,
                Some("SHUTDOWN") if external => on_shutdown = true,
                _ => return Err(ExtensionsApiError::UnknownEvent),
            }
        }
        let id = Uuid::new_v4();
        self.0.push(Extension {
            id,
            name: name.to_owned(),
            on_invoke,
            on_shutdown,
            is_waiting: false,
            event: None,
        });
        Ok(id)
    }

    /// Returns true if an extension of this name has registered.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|extension| extension.name == name)
    }

    /// Returns true if all extensions wait for their next event.
    pub(crate) fn all_wait(&self) -> bool {
        self.0.iter().all(|extension| extension.is_waiting)
    }

    /// Sends the event `INVOKE` to the extensions that registered for it.
    pub(crate) fn announce_invocation(
        &mut self,
        invocation: &Invocation,
        arn: &HeaderValue,
        deadline: Deadline,
    ) {
        if !self.0.iter().any(|extension| extension.on_invoke) {
            return;
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let event = json!({
            "eventType": "INVOKE",
            "deadlineMs": deadline.epoch_ms as u64,
            "requestId": invocation.request_id.to_string(),
            "invokedFunctionArn": text(arn),
            "tracing": { "type": "X-Amzn-Trace-Id", "value": text(&invocation.trace_id) },
        });
        let event = Bytes::from(event.to_string());
        for extension in self.0.iter_mut().filter(|extension| extension.on_invoke) {
            extension.is_waiting = false;
            extension.event = Some(event.clone());
        }
    }

    /// Sends the event `SHUTDOWN` to the extensions that registered for it. Returns true if there
    /// are any.
    pub(crate) fn announce_shutdown(&mut self, reason: &str, deadline_ms: u128) -> bool {
        let event = json!({
            "eventType": "SHUTDOWN",
            "shutdownReason": reason,
            "deadlineMs": deadline_ms as u64,
        });
        let event = Bytes::from(event.to_string());
        let mut has_recipient = false;
        for extension in self.0.iter_mut().filter(|extension| extension.on_shutdown) {
            extension.event = Some(event.clone());
            has_recipient = true;
        }
        has_recipient
    }

    /// Returns true if the extension of this name has registered for `SHUTDOWN`.
    pub(crate) fn awaits_shutdown(&self, name: &str) -> bool {
        let found = self.0.iter().find(|extension| extension.name == name);
        found.is_some_and(|extension| extension.on_shutdown)
    }

    /// Handles the request of extension `id` for its next event. There may be none yet.
    pub(crate) fn next(&mut self, id: Option<&str>) -> Result<Option<Bytes>, ExtensionsApiError> {
        let extension = self.find(id)?;
        let event = extension.event.take();
        extension.is_waiting = event.is_none();
        Ok(event)
    }

    /// Returns the name of extension `id`.
    pub(crate) fn name(&mut self, id: Option<&str>) -> Result<&str, ExtensionsApiError> {
        self.find(id).map(|extension| extension.name.as_str())
    }

    fn find(&mut self, id: Option<&str>) -> Result<&mut Extension, ExtensionsApiError> {
        let id = id.ok_or(ExtensionsApiError::NoIdentifier)?;
        let id = Uuid::try_parse(id).map_err(|_| ExtensionsApiError::UnknownIdentifier)?;
        let mut all = self.0.iter_mut();
        all.find(|extension| extension.id == id)
            .ok_or(ExtensionsApiError::UnknownIdentifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = br#"{"events":["INVOKE","SHUTDOWN"]}"#;

    #[test]
    fn an_invalid_registration_is_refused_with_its_reason() {
        let mut extensions = Extensions::default();
        assert_eq!(
            extensions.register("", BOTH, true),
            Err(ExtensionsApiError::NoName)
        );
        assert_eq!(
            extensions.register("a", b"x", true),
            Err(ExtensionsApiError::NotJson)
        );
        let unknown = br#"{"events":["START"]}"#;
        assert_eq!(
            extensions.register("a", unknown, true),
            Err(ExtensionsApiError::UnknownEvent)
        );
        assert_eq!(
            extensions.register("a", BOTH, false),
            Err(ExtensionsApiError::UnknownEvent),
            "the runtime's process ends without an event"
        );
        extensions.register("a", BOTH, true).unwrap();
        assert_eq!(
            extensions.register("a", BOTH, true),
            Err(ExtensionsApiError::NameTaken)
        );
        for name in 1..MAX_EXTENSIONS {
            let registered = extensions.register(&name.to_string(), b"{\"events\":[]}", false);
            registered.unwrap();
        }
        assert_eq!(
            extensions.register("b", BOTH, true),
            Err(ExtensionsApiError::TooMany)
        );
        assert_eq!(extensions.next(None), Err(ExtensionsApiError::NoIdentifier));
        assert_eq!(
            extensions.next(Some("x")),
            Err(ExtensionsApiError::UnknownIdentifier)
        );
    }

    #[test]
    fn only_extensions_that_registered_for_shutdown_get_it() {
        let mut extensions = Extensions::default();
        let both = extensions.register("both", BOTH, true).unwrap().to_string();
        let none = extensions.register("none", br#"{"events":[]}"#, true);
        let none = none.unwrap().to_string();
        assert!(!extensions.all_wait());
        assert_eq!(extensions.next(Some(&both)), Ok(None));
        assert_eq!(extensions.next(Some(&none)), Ok(None));
        assert!(extensions.all_wait());
        assert!(extensions.announce_shutdown("spindown", 5));
        let event = extensions.next(Some(&both)).unwrap().unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&event).unwrap(),
            json!({ "eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 5 })
        );
        assert_eq!(extensions.next(Some(&none)), Ok(None));
        assert!(extensions.awaits_shutdown("both") && !extensions.awaits_shutdown("none"));
    }
}
