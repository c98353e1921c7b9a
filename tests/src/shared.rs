//! One part for many tests: an Envoy takes about a second of processor time to start.

use std::ops::Deref;
use std::sync::OnceLock;

/// A part of the system under test. Each checks when it is dropped that it is still alive, so
/// that no test passes over a crash.
pub trait Part {
    /// Everything logged so far.
    fn log(&self) -> String;

    /// Whether it has neither ended nor lost its state.
    fn alive(&self) -> bool;

    /// The log once it has a line with `text`: what is logged before an answer may be read
    /// after it.
    ///
    /// # Panics
    /// There is none within [`PATIENCE`](crate::PATIENCE).
    fn log_with(&self, text: &str) -> String {
        crate::eventually(&format!("the log has {text:?}"), || {
            Some(self.log()).filter(|log| log.contains(text))
        })
    }
}

/// A part that the first test to ask for it starts, and that lives until the test process
/// ends. Tests that share it run at the same time, in any order.
#[derive(Debug)]
pub struct Shared<T: 'static> {
    part: OnceLock<T>,
    start: fn() -> T,
}

impl<T: Part> Shared<T> {
    /// A part that `start` will start.
    pub const fn new(start: fn() -> T) -> Self {
        Self {
            part: OnceLock::new(),
            start,
        }
    }

    /// The part, for one test. If that test fails, what the part has logged since is printed.
    pub fn lease(&'static self) -> Lease<T> {
        let part = self.part.get_or_init(self.start);
        Lease {
            part,
            seen: part.log().len(),
            was_alive: part.alive(),
        }
    }
}

/// A test's use of a [`Shared`] part.
#[derive(Debug)]
pub struct Lease<T: Part + 'static> {
    part: &'static T,
    seen: usize,
    was_alive: bool,
}

impl<T: Part> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.part
    }
}

impl<T: Part> Drop for Lease<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.part.log();
            let since = log.get(self.seen..).unwrap_or(&log);
            eprintln!("--- log since the test began:\n{since}");
        } else {
            // A part that was dead before is not this test's doing.
            let alive = !self.was_alive || self.part.alive();
            assert!(alive, "a shared part died during this test");
        }
    }
}
