//! Components that several tests share. To start an Envoy takes about a second of processor time.

use std::ops::Deref;
use std::sync::OnceLock;

/// A component of the system under test. Its `Drop` panics if it is not alive, so that a test fails if it
/// causes a crash.
pub trait Component {
    /// Returns the whole log.
    fn log(&self) -> String;

    /// Returns whether the component has neither ended nor lost its state.
    fn alive(&self) -> bool;

    /// Waits until the log contains `text`, and returns the log. An entry that is written before a response
    /// may arrive after it.
    ///
    /// # Panics
    /// The log does not contain `text` within [`TIMEOUT`](crate::TIMEOUT).
    fn log_with(&self, text: &str) -> String {
        crate::eventually(&format!("the log has {text:?}"), || {
            Some(self.log()).filter(|log| log.contains(text))
        })
    }
}

/// A component that lives until the test process ends. The first test that needs it starts it. The tests
/// that share it run concurrently, in any order.
#[derive(Debug)]
pub struct Shared<T: 'static> {
    component: OnceLock<T>,
    start: fn() -> T,
}

impl<T: Component> Shared<T> {
    /// Returns a component that `start` will start.
    pub const fn new(start: fn() -> T) -> Self {
        Self {
            component: OnceLock::new(),
            start,
        }
    }

    /// Returns the component for the use of a test. If the test fails, the log since this call is printed.
    pub fn lease(&'static self) -> Lease<T> {
        let component = self.component.get_or_init(self.start);
        Lease {
            component,
            log_length: component.log().len(),
            was_alive: component.alive(),
        }
    }
}

/// The use of a [`Shared`] component by a test.
#[derive(Debug)]
pub struct Lease<T: Component + 'static> {
    component: &'static T,
    log_length: usize,
    was_alive: bool,
}

impl<T: Component> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.component
    }
}

impl<T: Component> Drop for Lease<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.component.log();
            let since = log.get(self.log_length..).unwrap_or(&log);
            eprintln!("--- log since the test began:\n{since}");
        } else {
            // A component that was dead before has not been killed by this test.
            let alive = !self.was_alive || self.component.alive();
            assert!(alive, "a shared component died during this test");
        }
    }
}
