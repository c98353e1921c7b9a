//! The environments of a function whose processes are started by somebody else.
//!
//! A slot is an environment that a process may take by asking for an invocation. Environments are
//! interchangeable, so nothing has to tell processes apart: a response names its invocation.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::backend::local::environment::Environment;
use crate::backend::local::process::peer::Peer;
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
    /// The process, as far as the system tells.
    pub(crate) peer: Mutex<Option<Peer>>,
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
pub(crate) struct Slots {
    all: Mutex<Vec<Arc<Slot>>>,
    /// The invocations that were given to processes last.
    given: Mutex<VecDeque<RequestId>>,
}

/// The number of invocations whose late responses are recognized.
const MAX_GIVEN: usize = 1_024;

impl Slots {
    /// Adds an environment that no process has taken.
    pub(crate) fn offer(&self, environment: Arc<Environment>) {
        lock(&self.all).push(Arc::new(Slot {
            environment,
            is_taken: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            is_one_shot: AtomicBool::new(false),
            peer: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: CancellationToken::new(),
        }));
    }

    /// Removes an environment that has ended.
    pub(crate) fn remove(&self, environment: &Arc<Environment>) {
        lock(&self.all).retain(|slot| {
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
        let slots = lock(&self.all);
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

    /// Notes that a process was given an invocation.
    pub(crate) fn give(&self, id: RequestId) {
        let mut given = lock(&self.given);
        if given.len() >= MAX_GIVEN {
            given.pop_front();
        }
        given.push_back(id);
    }

    /// Returns whether a process was given this invocation.
    pub(crate) fn was_given(&self, id: RequestId) -> bool {
        lock(&self.given).contains(&id)
    }

    /// Returns a slot whose process has an invocation, no connection any more, and seems to have ended. With
    /// `presumed`, a process that has a connection for each request counts as ended too.
    pub(crate) fn deserted(&self, presumed: bool) -> Option<Arc<Slot>> {
        self.find(|slot| {
            let is_one_shot = slot.is_one_shot.load(Ordering::Relaxed);
            let has_ended = match is_one_shot {
                true => presumed,
                false => lock(&slot.peer).is_none_or(|peer| !peer.is_running()),
            };
            !slot.is_connected() && has_ended && slot.environment.invocation().is_some()
        })
    }

    fn find(&self, fits: impl Fn(&Arc<Slot>) -> bool) -> Option<Arc<Slot>> {
        lock(&self.all).iter().find(|slot| fits(slot)).cloned()
    }
}
