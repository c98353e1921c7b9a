//! The environments of a function whose processes are started by somebody else.
//!
//! A slot is an environment that a process may take by asking for an invocation. Environments are
//! interchangeable, so nothing has to tell processes apart: a response names its invocation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::backend::local::environment::Environment;
use crate::invocation::RequestId;
use crate::util::lock;

/// An environment that a process has taken or may take.
pub(crate) struct Slot {
    pub(crate) environment: Arc<Environment>,
    /// A process has asked for an invocation.
    is_taken: AtomicBool,
    /// The process is waiting for an invocation.
    is_waiting: AtomicBool,
    /// The process has a connection for each request, as a shell script has.
    pub(crate) is_one_shot: AtomicBool,
    /// The open connections by which the process uses the slot.
    connections: AtomicUsize,
    /// Cancelled once the environment has ended.
    pub(crate) ended: CancellationToken,
}

impl Slot {
    /// Notes that a process waits for an invocation, until the returned value is dropped. Returns `None` if
    /// another process already does.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let was_waiting = self.is_waiting.swap(true, Ordering::Relaxed);
        (!was_waiting).then(|| Waiting(Arc::clone(self)))
    }

    /// Counts a connection as using the slot.
    pub(crate) fn connect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as closed.
    pub(crate) fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns whether a connection uses the slot.
    pub(crate) fn is_connected(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }
}

/// A process that waits for an invocation.
pub(crate) struct Waiting(Arc<Slot>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_waiting.store(false, Ordering::Relaxed);
    }
}

/// The slots of a function.
#[derive(Default)]
pub(crate) struct Slots(Mutex<Vec<Arc<Slot>>>);

impl Slots {
    /// Adds an environment that no process has taken.
    pub(crate) fn offer(&self, environment: Arc<Environment>) {
        lock(&self.0).push(Arc::new(Slot {
            environment,
            is_taken: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            is_one_shot: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            ended: CancellationToken::new(),
        }));
    }

    /// Removes an environment that has ended.
    pub(crate) fn remove(&self, environment: &Arc<Environment>) {
        lock(&self.0).retain(|slot| {
            let is_kept = !Arc::ptr_eq(&slot.environment, environment);
            if !is_kept {
                slot.ended.cancel();
            }
            is_kept
        });
    }

    /// Takes a slot for a process on a new connection: one whose process has responded, else one that no
    /// process has taken.
    pub(crate) fn take(&self) -> Option<(Arc<Slot>, Waiting)> {
        let slots = lock(&self.0);
        let has_responded =
            |slot: &&Arc<Slot>| slot.environment.about_to_be_ready_since().is_some();
        let is_free = |slot: &&Arc<Slot>| !slot.is_taken.load(Ordering::Relaxed);
        let responded = slots.iter().filter(has_responded);
        let mut candidates = responded.chain(slots.iter().filter(is_free));
        let (slot, waiting) = candidates.find_map(|slot| Some((slot, slot.wait()?)))?;
        slot.is_taken.store(true, Ordering::Relaxed);
        Some((Arc::clone(slot), waiting))
    }

    /// Returns the slot with this invocation.
    pub(crate) fn of_invocation(&self, id: RequestId) -> Option<Arc<Slot>> {
        self.find(|slot| slot.environment.invocation() == Some(id))
    }

    /// Returns a slot that is still starting, for a process that registers before it asks for an invocation.
    pub(crate) fn starting(&self) -> Option<Arc<Slot>> {
        self.find(|slot| slot.environment.is_starting())
    }

    /// Returns a slot whose process has an invocation, and no connection any more.
    pub(crate) fn deserted(&self) -> Option<Arc<Slot>> {
        self.find(|slot| {
            !slot.is_connected()
                && !slot.is_one_shot.load(Ordering::Relaxed)
                && slot.environment.invocation().is_some()
        })
    }

    fn find(&self, fits: impl Fn(&Arc<Slot>) -> bool) -> Option<Arc<Slot>> {
        lock(&self.0).iter().find(|slot| fits(slot)).cloned()
    }
}
