//! The attempts of requests. A retry policy makes them one after the other, a hedging policy several at
//! a time.
//!
//! All attempts of a request share one header map, so each of them has to know the changes that another
//! has made.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::hold_check::HoldCheck;
use crate::request::HeaderMap;
use crate::response::HttpResponse;

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

/// The active attempts of a request.
#[derive(Debug)]
struct ActiveAttempts {
    client_headers: Rc<HeaderMap>,
    /// The number of attempts that have not ended.
    total: usize,
    /// Those of them whose response waits for another attempt, in the order of their responses.
    waiting: Vec<WaitingResponse>,
}

impl ActiveAttempts {
    /// Returns whether every attempt waits, so that none is left to wait for.
    fn all_wait(&self) -> bool {
        self.waiting.len() == self.total
    }
}

/// A response that failed, and that the client gets if no other attempt does better.
#[derive(Debug)]
pub(super) struct WaitingResponse {
    /// The context of its attempt.
    pub(super) context: u32,
    pub(super) response: HttpResponse,
    /// The attempt has replaced the client's headers. If it has not, Envoy lets nobody set them any more.
    pub(super) is_rewritten: bool,
}

/// The active attempts in one VM. All attempts of a request are in one worker.
#[derive(Debug, Default)]
pub struct Attempts {
    request_count: Cell<u64>,
    active: RefCell<HashMap<RequestKey, ActiveAttempts>>,
    /// The requests of which only attempts that wait are left.
    to_release: RefCell<Vec<RequestKey>>,
    pub(super) hold_check: HoldCheck,
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
        let new = || ActiveAttempts {
            client_headers: Rc::clone(client_headers),
            total: 0,
            waiting: Vec::new(),
        };
        active.entry(request).or_insert_with(new).total += 1;
    }

    /// Returns the client's headers if an attempt of the request is active.
    pub(super) fn client_headers(&self, request: RequestKey) -> Option<Rc<HeaderMap>> {
        let active = self.active.borrow();
        let attempts = active.get(&request)?;
        Some(Rc::clone(&attempts.client_headers))
    }

    /// Returns the number of active attempts of a request.
    pub(super) fn total(&self, request: RequestKey) -> usize {
        let active = self.active.borrow();
        active.get(&request).map_or(0, |attempts| attempts.total)
    }

    /// Lets a response wait if another attempt may still have a better one. Returns the response if
    /// all other attempts wait too.
    pub(super) fn wait(
        &self,
        request: RequestKey,
        response: WaitingResponse,
    ) -> Option<WaitingResponse> {
        match self.active.borrow_mut().get_mut(&request) {
            Some(attempts) if attempts.waiting.len() + 1 < attempts.total => {
                attempts.waiting.push(response);
                None
            }
            _ => Some(response),
        }
    }

    /// Records that an attempt has ended. If only attempts that wait are left, returns the context of the
    /// one to be released.
    pub(super) fn end(&self, request: RequestKey, context: u32) -> Option<u32> {
        let mut active = self.active.borrow_mut();
        let attempts = active.get_mut(&request)?;
        attempts.total -= 1;
        attempts
            .waiting
            .retain(|waiting| waiting.context != context);
        if attempts.total == 0 {
            active.remove(&request);
            return None;
        }
        let newest = attempts.waiting.last().map(|waiting| waiting.context);
        let released = newest.filter(|_| attempts.all_wait());
        if released.is_some() {
            self.to_release.borrow_mut().push(request);
        }
        released
    }

    /// Takes a response that waits for nothing any more: the newest of its request, with the client's
    /// headers.
    pub(super) fn take_released(&self) -> Option<(RequestKey, Rc<HeaderMap>, WaitingResponse)> {
        let mut active = self.active.borrow_mut();
        loop {
            let request = self.to_release.borrow_mut().pop()?;
            // A retry may have begun since.
            if let Some(attempts) = active.get_mut(&request)
                && attempts.all_wait()
                && let Some(response) = attempts.waiting.pop()
            {
                return Some((request, Rc::clone(&attempts.client_headers), response));
            }
        }
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

    fn failed(context: u32) -> WaitingResponse {
        let response = HttpResponse {
            status: 503,
            headers: Vec::new(),
            body: Vec::new(),
            declared_length: None,
        };
        WaitingResponse {
            context,
            response,
            is_rewritten: true,
        }
    }

    fn released(attempts: &Attempts) -> Vec<u32> {
        let released = std::iter::from_fn(|| attempts.take_released());
        released.map(|(_, _, waiting)| waiting.context).collect()
    }

    #[test]
    fn the_last_response_that_waits_is_released_once_nothing_else_is_active() {
        let attempts = Attempts::default();
        let request = attempts.register(0);
        for _ in 0..4 {
            attempts.begin(request, &Rc::default());
        }
        assert!(attempts.wait(request, failed(1)).is_none());
        assert!(attempts.wait(request, failed(2)).is_none());
        assert_eq!(attempts.end(request, 3), None);
        assert!(released(&attempts).is_empty());
        assert_eq!(attempts.end(request, 4), Some(2));
        assert_eq!(released(&attempts), [2]);
        assert!(released(&attempts).is_empty(), "once");
        // Envoy ends the others when the client has its response.
        assert_eq!(attempts.end(request, 1), None);
        assert_eq!(attempts.end(request, 2), None);
        assert_eq!(attempts.total(request), 0);
    }

    #[test]
    fn nothing_is_released_while_an_attempt_may_do_better() {
        let attempts = Attempts::default();
        let request = attempts.register(0);
        let begin = || attempts.begin(request, &Rc::default());
        begin();
        begin();
        assert!(attempts.wait(request, failed(1)).is_none());
        assert_eq!(attempts.end(request, 2), Some(1));
        // A retry begins before the response is released.
        begin();
        assert!(released(&attempts).is_empty());
        assert_eq!(attempts.end(request, 3), Some(1));
        assert_eq!(released(&attempts), [1]);
        // The attempt that waits may itself be the one that ends.
        begin();
        begin();
        assert!(attempts.wait(request, failed(4)).is_none());
        assert_eq!(attempts.end(request, 4), None);
        assert!(released(&attempts).is_empty());
        // The last response need not wait.
        attempts.end(request, 1);
        assert!(attempts.wait(request, failed(5)).is_some());
    }
}
