//! The extensions of one execution environment: who has registered, and who has asked for what.
//!
//! Source: "Using the Lambda Extensions API" in the AWS Lambda developer guide; the error types are
//! those of the Runtime Interface Emulator.

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::transitions::Deadline;
use crate::invocation::Invocation;

/// Most extensions of one environment.
const MAX_EXTENSIONS: usize = 10;

/// Those that have registered, in their order.
#[derive(Debug, Default)]
pub(crate) struct Extensions(Vec<Extension>);

#[derive(Debug)]
struct Extension {
    id: Uuid,
    name: String,
    on_invoke: bool,
    on_shutdown: bool,
    /// Whether it waits for its next event; until it does, its work on the last is not done.
    asked: bool,
    /// What it has not fetched yet.
    event: Option<Bytes>,
}

/// Why an extension's request was refused: error type and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    NoName,
    NameTaken,
    TooMany,
    UnknownEvent,
    NotJson,
    Closed,
    NoIdentifier,
    UnknownIdentifier,
    WrongState,
}

impl Refused {
    /// Error type and message.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoName => ("Extension.InvalidExtensionName", "Empty extension name"),
            Self::NameTaken => (
                "Extension.AlreadyRegistered",
                "An extension of this name has registered already",
            ),
            Self::TooMany => (
                "Extension.TooManyExtensions",
                "Extension limit (10) reached",
            ),
            Self::UnknownEvent => (
                "Extension.InvalidEventType",
                "The events are INVOKE and, for an external extension, SHUTDOWN",
            ),
            Self::NotJson => (
                "InvalidRequestFormat",
                "The body is not {\"events\": [...]}",
            ),
            Self::Closed => (
                "Extension.RegistrationClosed",
                "Extension registration closed already",
            ),
            Self::NoIdentifier => (
                "Extension.MissingExtensionIdentifier",
                "Missing Lambda-Extension-Identifier header",
            ),
            Self::UnknownIdentifier => (
                "Extension.UnknownExtensionIdentifier",
                "Unknown extension identifier",
            ),
            Self::WrongState => (
                "Extension.InvalidExtensionState",
                "State transition is not allowed",
            ),
        }
    }
}

impl Extensions {
    /// Registers `name` for the events that `body` lists. One that the invoker has not started
    /// itself lives in the runtime's process, which ends without an event.
    pub(crate) fn register(
        &mut self,
        name: &str,
        body: &[u8],
        external: bool,
    ) -> Result<Uuid, Refused> {
        if name.is_empty() {
            return Err(Refused::NoName);
        }
        if self.has(name) {
            return Err(Refused::NameTaken);
        }
        if self.0.len() >= MAX_EXTENSIONS {
            return Err(Refused::TooMany);
        }
        let body: Value = serde_json::from_slice(body).map_err(|_| Refused::NotJson)?;
        let events = body.get("events").and_then(Value::as_array);
        let (mut on_invoke, mut on_shutdown) = (false, false);
        for event in events.into_iter().flatten() {
            match event.as_str() {
                Some("INVOKE") => on_invoke = true,
                Some("SHUTDOWN") if external => on_shutdown = true,
                _ => return Err(Refused::UnknownEvent),
            }
        }
        let id = Uuid::new_v4();
        self.0.push(Extension {
            id,
            name: name.to_owned(),
            on_invoke,
            on_shutdown,
            asked: false,
            event: None,
        });
        Ok(id)
    }

    /// Whether an extension of this name has registered.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|extension| extension.name == name)
    }

    /// Whether all wait for their next event.
    pub(crate) fn all_asked(&self) -> bool {
        self.0.iter().all(|extension| extension.asked)
    }

    /// Tells those that asked for it of an invocation.
    pub(crate) fn invoked(
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
            extension.asked = false;
            extension.event = Some(event.clone());
        }
    }

    /// Tells those that asked for it of the environment's end; whether there are any.
    pub(crate) fn shut_down(&mut self, reason: &str, deadline_ms: u128) -> bool {
        let event = json!({
            "eventType": "SHUTDOWN",
            "shutdownReason": reason,
            "deadlineMs": deadline_ms as u64,
        });
        let event = Bytes::from(event.to_string());
        let mut is_awaited = false;
        for extension in self.0.iter_mut().filter(|extension| extension.on_shutdown) {
            extension.event = Some(event.clone());
            is_awaited = true;
        }
        is_awaited
    }

    /// Whether an extension of this name is told of the environment's end.
    pub(crate) fn awaits_shutdown(&self, name: &str) -> bool {
        let one = self.0.iter().find(|extension| extension.name == name);
        one.is_some_and(|extension| extension.on_shutdown)
    }

    /// Extension `id` asks for its next event; `None` if there is none yet.
    pub(crate) fn next(&mut self, id: Option<&str>) -> Result<Option<Bytes>, Refused> {
        let extension = self.find(id)?;
        let event = extension.event.take();
        extension.asked = event.is_none();
        Ok(event)
    }

    /// The name of extension `id`.
    pub(crate) fn name(&mut self, id: Option<&str>) -> Result<&str, Refused> {
        self.find(id).map(|extension| extension.name.as_str())
    }

    fn find(&mut self, id: Option<&str>) -> Result<&mut Extension, Refused> {
        let id = id.ok_or(Refused::NoIdentifier)?;
        let id = Uuid::try_parse(id).map_err(|_| Refused::UnknownIdentifier)?;
        let mut all = self.0.iter_mut();
        all.find(|extension| extension.id == id)
            .ok_or(Refused::UnknownIdentifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = br#"{"events":["INVOKE","SHUTDOWN"]}"#;

    #[test]
    fn a_registration_says_what_is_wrong_with_it() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.register("", BOTH, true), Err(Refused::NoName));
        assert_eq!(extensions.register("a", b"x", true), Err(Refused::NotJson));
        let unknown = br#"{"events":["START"]}"#;
        assert_eq!(
            extensions.register("a", unknown, true),
            Err(Refused::UnknownEvent)
        );
        assert_eq!(
            extensions.register("a", BOTH, false),
            Err(Refused::UnknownEvent),
            "the process that it lives in is ended without an event"
        );
        extensions.register("a", BOTH, true).unwrap();
        assert_eq!(
            extensions.register("a", BOTH, true),
            Err(Refused::NameTaken)
        );
        for name in 1..MAX_EXTENSIONS {
            let registered = extensions.register(&name.to_string(), b"{\"events\":[]}", false);
            registered.unwrap();
        }
        assert_eq!(extensions.register("b", BOTH, true), Err(Refused::TooMany));
        assert_eq!(extensions.next(None), Err(Refused::NoIdentifier));
        assert_eq!(extensions.next(Some("x")), Err(Refused::UnknownIdentifier));
    }

    #[test]
    fn the_end_comes_to_those_who_registered_for_it() {
        let mut extensions = Extensions::default();
        let both = extensions.register("both", BOTH, true).unwrap().to_string();
        let none = extensions.register("none", br#"{"events":[]}"#, true);
        let none = none.unwrap().to_string();
        assert!(!extensions.all_asked());
        assert_eq!(extensions.next(Some(&both)), Ok(None));
        assert_eq!(extensions.next(Some(&none)), Ok(None));
        assert!(extensions.all_asked());
        assert!(extensions.shut_down("spindown", 5));
        let event = extensions.next(Some(&both)).unwrap().unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&event).unwrap(),
            json!({ "eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 5 })
        );
        assert_eq!(extensions.next(Some(&none)), Ok(None));
        assert!(extensions.awaits_shutdown("both") && !extensions.awaits_shutdown("none"));
    }
}
