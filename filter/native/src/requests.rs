//! The requests of a worker.

use std::cell::RefCell;

use crate::abi::envoy::Filter;

thread_local! {
    static REQUESTS: RefCell<Requests> = RefCell::default();
}

/// Adds a request, and returns its context, which no other request of this worker has until it is removed.
pub(crate) fn insert(filter: Filter) -> u32 {
    REQUESTS.with_borrow_mut(|requests| requests.insert(filter))
}

/// Removes the request that has a context, before Envoy destroys it.
pub(crate) fn remove(context: u32) {
    REQUESTS.with_borrow_mut(|requests| requests.remove(context));
}

/// Returns the request that has a context.
pub(crate) fn find(context: u32) -> Option<Filter> {
    REQUESTS.with_borrow_mut(|requests| *requests.place(context)?)
}

/// A context is a place in this table, which is free again when the request has ended.
#[derive(Debug, Default)]
struct Requests {
    filters: Vec<Option<Filter>>,
    free: Vec<u32>,
}

impl Requests {
    fn insert(&mut self, filter: Filter) -> u32 {
        let context = self.free.pop().unwrap_or_else(|| {
            self.filters.push(None);
            // More requests than that do not fit into memory.
            u32::try_from(self.filters.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.place(context) {
            *place = Some(filter);
        }
        context
    }

    fn remove(&mut self, context: u32) {
        if let Some(place) = self.place(context) {
            *place = None;
            self.free.push(context);
        }
    }

    fn place(&mut self, context: u32) -> Option<&mut Option<Filter>> {
        self.filters.get_mut(usize::try_from(context).ok()?)
    }
}
