//! The requests of the Extensions API to an environment.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::Environment;
use super::extensions::{ExtensionsApiError, Registration};
use super::failure::{ExtensionFailure, Failure};
use crate::util::lock;

impl Environment {
    /// Waits for the next event of the extension `id`.
    pub(crate) async fn extension_next(
        self: &Arc<Self>,
        id: Uuid,
    ) -> Result<Bytes, ExtensionsApiError> {
        loop {
            let mut changed = std::pin::pin!(self.extension_event.notified());
            changed.as_mut().enable();
            if let Some(event) = lock(&self.lifecycle).extensions.next(id)? {
                return Ok(event);
            }
            self.settle().await;
            changed.await;
        }
    }

    /// Registers an extension, and returns its identifier.
    pub(crate) fn register(&self, name: &str, body: &[u8]) -> Result<Uuid, ExtensionsApiError> {
        let external = self.external_extensions.get();
        let is_external = external.is_some_and(|names| names.iter().any(|other| other == name));
        let mut lifecycle = lock(&self.lifecycle);
        let registration = Registration {
            name,
            body,
            is_external,
            is_closed: !lifecycle.is_starting(),
        };
        let id = lifecycle.extensions.register(&registration)?;
        drop(lifecycle);
        self.changed.notify_one();
        Ok(id)
    }

    /// Notes that the extension `id` reported an error, either of its initialisation or before its
    /// exit.
    pub(crate) fn extension_error(
        &self,
        id: Uuid,
        error_type: &str,
        at_init: bool,
    ) -> Result<(), ExtensionsApiError> {
        let mut lifecycle = lock(&self.lifecycle);
        let name = lifecycle.extensions.fail(id, at_init)?.to_owned();
        lifecycle.extension_error(Failure::Extension {
            name,
            reason: ExtensionFailure::Reported(error_type.to_owned()),
        });
        drop(lifecycle);
        self.changed.notify_one();
        Ok(())
    }

    /// Returns the name of an external extension that has not registered.
    pub(crate) fn unregistered(&self) -> Option<&str> {
        let lifecycle = lock(&self.lifecycle);
        let mut names = self.external_extensions.get().into_iter().flatten();
        let missing = names.find(|name| !lifecycle.extensions.has(name));
        missing.map(String::as_str)
    }

    /// Returns a hint for the log about a `failure` before the first invocation.
    pub(crate) fn start_hint(&self, failure: &Failure) -> String {
        match (failure, self.unregistered()) {
            (Failure::TimedOut(_), Some(name)) => {
                format!("; the extension `{name}` did not register within `init_timeout`")
            }
            _ => failure.start_hint().to_owned(),
        }
    }
}
