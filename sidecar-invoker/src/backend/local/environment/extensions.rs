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
    state: State,
    /// The event that the extension has not fetched yet.
    event: Option<Bytes>,
}

/// A state of an extension in the words of the Runtime Interface Emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The extension has never asked for an event.
    Registered,
    /// The extension waits for its next event.
    Ready,
    /// The extension works on its event.
    Running,
    /// The extension reported that its initialisation failed.
    InitError,
    /// The extension reported an error before its exit.
    ExitError,
}

/// A request to register.
#[derive(Debug)]
pub(crate) struct Registration<'r> {
    pub(crate) name: &'r str,
    pub(crate) body: &'r [u8],
    /// The invoker has started the extension, which is a process of its own. Any other lives in the
    /// runtime's process, which ends without an event.
    pub(crate) is_external: bool,
    /// The environment has started.
    pub(crate) is_closed: bool,
}

/// The reason to refuse a request to the Extensions API. Its text is the message of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtensionsApiError {
    #[error("Empty extension name")]
    NoName,
    #[error("Extension with this name already registered")]
    NameTaken,
    #[error("Extension limit ({MAX_EXTENSIONS}) reached")]
    TooMany,
    #[error("{0}: ErrorInvalidEventType")]
    UnknownEvent(String),
    #[error("SHUTDOWN: ShutdownEventNotSupportedForInternalExtension")]
    ShutdownOfInternal,
    #[error("the body is not {{\"events\": [...]}}")]
    InvalidFormat,
    #[error("configurationKeys are deprecated; use environment variables instead")]
    ConfigurationKeys,
    #[error("Extension registration closed already")]
    Closed,
    #[error("Missing Lambda-Extension-Identifier header")]
    NoIdentifier,
    #[error("Invalid Lambda-Extension-Identifier")]
    InvalidIdentifier,
    #[error("Unknown extension {0}")]
    UnknownIdentifier(Uuid),
    /// The sender of an error is unknown.
    #[error("Unknown Lambda-Extension-Identifier")]
    UnknownSender,
    #[error("Lambda-Extension-Function-Error-Type not found")]
    NoErrorType,
    #[error(
        "State transition from {from:?} to {to:?} failed for extension {extension}. \
         Error: State transition is not allowed"
    )]
    WrongState {
        extension: String,
        from: State,
        to: State,
    },
}

impl ExtensionsApiError {
    /// Returns the error type of the response.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::NoName => "Extension.InvalidExtensionName",
            Self::TooMany => "Extension.TooManyExtensions",
            Self::UnknownEvent(_) | Self::ShutdownOfInternal => "Extension.InvalidEventType",
            Self::InvalidFormat | Self::ConfigurationKeys => "InvalidRequestFormat",
            Self::Closed => "Extension.RegistrationClosed",
            Self::NoIdentifier => "Extension.MissingExtensionIdentifier",
            Self::InvalidIdentifier => "Extension.InvalidExtensionIdentifier",
            Self::UnknownIdentifier(_) | Self::UnknownSender => {
                "Extension.UnknownExtensionIdentifier"
            }
            Self::NoErrorType => "Extension.MissingHeader",
            Self::NameTaken | Self::WrongState { .. } => "Extension.InvalidExtensionState",
        }
    }
}

impl Extensions {
    /// Registers an extension, and returns its identifier.
    pub(crate) fn register(
        &mut self,
        registration: &Registration<'_>,
    ) -> Result<Uuid, ExtensionsApiError> {
        let name = registration.name;
        if name.is_empty() {
            return Err(ExtensionsApiError::NoName);
        }
        let (mut on_invoke, mut on_shutdown) = (false, false);
        for event in events(registration.body)? {
            match event.as_str() {
                "INVOKE" => on_invoke = true,
                "SHUTDOWN" if registration.is_external => on_shutdown = true,
                "SHUTDOWN" => return Err(ExtensionsApiError::ShutdownOfInternal),
                _ => return Err(ExtensionsApiError::UnknownEvent(event)),
            }
        }
        let existing = self.0.iter().find(|extension| extension.name == name);
        match existing {
            Some(existing) if registration.is_external => {
                return Err(ExtensionsApiError::WrongState {
                    extension: name.to_owned(),
                    from: existing.state,
                    to: State::Registered,
                });
            }
            _ if registration.is_closed => return Err(ExtensionsApiError::Closed),
            Some(_) => return Err(ExtensionsApiError::NameTaken),
            None => {}
        }
        if self.0.len() >= MAX_EXTENSIONS {
            return Err(ExtensionsApiError::TooMany);
        }
        let id = Uuid::new_v4();
        self.0.push(Extension {
            id,
            name: name.to_owned(),
            on_invoke,
            on_shutdown,
            state: State::Registered,
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
        let mut all = self.0.iter();
        all.all(|extension| extension.state == State::Ready)
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
            if extension.state == State::Ready {
                extension.state = State::Running;
            }
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
    pub(crate) fn next(&mut self, id: Uuid) -> Result<Option<Bytes>, ExtensionsApiError> {
        let extension = self.find(id);
        let extension = extension.ok_or(ExtensionsApiError::UnknownIdentifier(id))?;
        if matches!(extension.state, State::InitError | State::ExitError) {
            return Err(extension.refusal(State::Ready));
        }
        let event = extension.event.take();
        extension.state = match event {
            Some(_) => State::Running,
            None => State::Ready,
        };
        Ok(event)
    }

    /// Notes that extension `id` reported an error, either of its initialisation or before its exit,
    /// and returns the extension's name.
    pub(crate) fn fail(&mut self, id: Uuid, at_init: bool) -> Result<&str, ExtensionsApiError> {
        let extension = self.find(id).ok_or(ExtensionsApiError::UnknownSender)?;
        let to = match at_init {
            true => State::InitError,
            false => State::ExitError,
        };
        let is_allowed = match extension.state {
            State::Registered => true,
            State::Ready | State::Running => !at_init,
            reported @ (State::InitError | State::ExitError) => reported == to,
        };
        if !is_allowed {
            return Err(extension.refusal(to));
        }
        extension.state = to;
        Ok(&extension.name)
    }

    fn find(&mut self, id: Uuid) -> Option<&mut Extension> {
        self.0.iter_mut().find(|extension| extension.id == id)
    }
}

impl Extension {
    fn refusal(&self, to: State) -> ExtensionsApiError {
        ExtensionsApiError::WrongState {
            extension: self.id.to_string(),
            from: self.state,
            to,
        }
    }
}

/// Reads the events of a registration.
///
/// Like Go, in which AWS reads it, this takes names of members in any case, and `null` for nothing.
fn events(body: &[u8]) -> Result<Vec<String>, ExtensionsApiError> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| ExtensionsApiError::InvalidFormat)?;
    let members = match &body {
        Value::Object(members) => Some(members),
        Value::Null => None,
        _ => return Err(ExtensionsApiError::InvalidFormat),
    };
    let list = |name: &str| {
        let mut members = members.into_iter().flatten();
        let value = members.find(|(key, _)| key.eq_ignore_ascii_case(name));
        match value.map(|(_, value)| value) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => {
                let texts = value.as_array().and_then(|list| {
                    let texts = list.iter().map(|text| Some(text.as_str()?.to_owned()));
                    texts.collect::<Option<Vec<_>>>()
                });
                texts.ok_or(ExtensionsApiError::InvalidFormat)
            }
        }
    };
    if !list("configurationKeys")?.is_empty() {
        return Err(ExtensionsApiError::ConfigurationKeys);
    }
    list("events")
}

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;
