//! The attempts of requests. A retry policy makes them one after the other, a hedging policy several at
//! a time.
//!
//! All attempts of a request share one header map, so each of them has to know the changes that another
//! has made.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::request::HeaderMap;

/// The identity of a request: the same for each of its attempts, and for no other request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    /// The number of requests before, in the VM of the first attempt.
    number: u64,
    /// The time of the first attempt, in nanoseconds since 1970. The VMs of a worker differ in it.
    pub(super) time_ns: i64,
}

/// The message of an attempt to the next one. It is in filter state, where no client can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptMarker {
    /// The request.
    pub(super) key: RequestKey,
    /// The present state of its headers.
    pub(super) headers: HeaderMapState,
}

/// The state of a request's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderMapState {
    /// They are the client's.
    Client,
    /// They are the client's, except for the method or the path.
    RequestLineChanged,
    /// They are those of an invocation.
    Invocation,
}

impl AttemptMarker {
    /// Returns the marker as bytes.
    pub(super) fn encode(self) -> [u8; 17] {
        let mut bytes = [self.headers as u8; 17];
        let parts = [
            self.key.number.to_le_bytes(),
            self.key.time_ns.to_le_bytes(),
        ];
        for (place, byte) in bytes.iter_mut().zip(parts.concat()) {
            *place = byte;
        }
        bytes
    }

    /// Reads the bytes that [`encode`](Self::encode) returned; `None` for other bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let headers = match rest {
            [0] => HeaderMapState::Client,
            [1] => HeaderMapState::RequestLineChanged,
            [2] => HeaderMapState::Invocation,
            _ => return None,
        };
        Some(Self {
            key: RequestKey {
                number: u64::from_le_bytes(*number),
                time_ns: i64::from_le_bytes(*time),
            },
            headers,
        })
    }
}

/// The number of active attempts of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ActiveAttempts {
    /// The attempts that have not ended.
    pub(super) total: usize,
    /// Those of them whose response waits for another attempt.
    pub(super) waiting: usize,
}

/// The active attempts in one VM. All attempts of a request are in one worker.
#[derive(Debug, Default)]
pub struct Attempts {
    request_count: Cell<u64>,
    active: RefCell<HashMap<RequestKey, (Rc<HeaderMap>, ActiveAttempts)>>,
}

impl Attempts {
    /// Returns a key for a request of which this is the first attempt.
    pub(super) fn register(&self, time_ns: i64) -> RequestKey {
        let number = self.request_count.get();
        self.request_count.set(number.wrapping_add(1));
        RequestKey { number, time_ns }
    }

    /// Records that an attempt is about to replace the client's headers.
    pub(super) fn begin(&self, request: RequestKey, client_headers: &Rc<HeaderMap>) {
        let mut active = self.active.borrow_mut();
        let new = || (Rc::clone(client_headers), ActiveAttempts::default());
        active.entry(request).or_insert_with(new).1.total += 1;
    }

    /// Returns the client's headers if an attempt of the request is active.
    pub(super) fn client_headers(&self, request: RequestKey) -> Option<Rc<HeaderMap>> {
        let active = self.active.borrow();
        active.get(&request).map(|(headers, _)| Rc::clone(headers))
    }

    /// Records that the response of an attempt waits for another attempt.
    pub(super) fn wait(&self, request: RequestKey) {
        if let Some((_, attempts)) = self.active.borrow_mut().get_mut(&request) {
            attempts.waiting += 1;
        }
    }

    /// Records that an attempt has ended.
    pub(super) fn end(&self, request: RequestKey) {
        let mut active = self.active.borrow_mut();
        match active.get_mut(&request) {
            Some((_, attempts)) if attempts.total > 1 => {
                attempts.total -= 1;
                attempts.waiting = attempts.waiting.min(attempts.total);
            }
            _ => _ = active.remove(&request),
        }
    }

    /// Returns the number of active attempts of a request.
    pub(super) fn active(&self, request: RequestKey) -> ActiveAttempts {
        let active = self.active.borrow();
        active
            .get(&request)
            .map_or_else(ActiveAttempts::default, |(_, attempts)| *attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let key = Attempts::default().register(-1_584_039_838_390_000_000);
        for headers in [
            HeaderMapState::Client,
            HeaderMapState::RequestLineChanged,
            HeaderMapState::Invocation,
        ] {
            let marker = AttemptMarker { key, headers };
            assert_eq!(AttemptMarker::decode(&marker.encode()), Some(marker));
        }
        assert_eq!(AttemptMarker::decode(b"other bytes"), None);
        assert_eq!(AttemptMarker::decode(&[0; 18]), None);
    }
}
