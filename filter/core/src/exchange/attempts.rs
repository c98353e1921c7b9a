//! The attempts of requests: with a retry policy one after the other, with a hedging policy several at
//! a time.
//!
//! They share one header map, so that one of them has to know what another has made of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::request::HeaderMap;

/// Tells one request from all others, and is the same for each of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    /// How many requests there were before, in the VM that met it first.
    number: u64,
    /// When that was, in nanoseconds since 1970. It tells the VMs of one worker apart.
    pub(crate) time_ns: i64,
}

/// What a try leaves in filter state, where no client can write, for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptMarker {
    /// Which request this is.
    pub key: RequestKey,
    /// What the headers are at present.
    pub headers: HeaderMapState,
}

/// Whose headers those of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderMapState {
    /// The client's.
    Client,
    /// The client's, but for method or path.
    RequestLineChanged,
    /// Those of an invocation.
    Invocation,
}

impl AttemptMarker {
    /// As bytes.
    #[must_use]
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

    /// What [`encode`](Self::encode) wrote; `None` for other bytes.
    #[must_use]
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

/// How many attempts of a request there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Not yet ended.
    pub alive: usize,
    /// Of those, whose answer is held back.
    pub held: usize,
}

/// The attempts that are under way in one VM. All attempts of one request are in one worker.
#[derive(Debug, Default)]
pub struct Attempts {
    met: Cell<u64>,
    under_way: RefCell<HashMap<RequestKey, (Rc<HeaderMap>, Count)>>,
}

impl Attempts {
    /// A key for a request that comes for the first time.
    #[must_use]
    pub(crate) fn meet(&self, time_ns: i64) -> RequestKey {
        let number = self.met.get();
        self.met.set(number.wrapping_add(1));
        RequestKey { number, time_ns }
    }

    /// A try has begun to replace the client's headers, `original`.
    pub(crate) fn begin(&self, request: RequestKey, original: &Rc<HeaderMap>) {
        let mut under_way = self.under_way.borrow_mut();
        let new = || (Rc::clone(original), Count::default());
        under_way.entry(request).or_insert_with(new).1.alive += 1;
    }

    /// The client's headers, if a try of the request is under way.
    #[must_use]
    pub(crate) fn original(&self, request: RequestKey) -> Option<Rc<HeaderMap>> {
        let under_way = self.under_way.borrow();
        under_way
            .get(&request)
            .map(|(original, _)| Rc::clone(original))
    }

    /// The answer of a try is held back for good.
    pub(crate) fn hold(&self, request: RequestKey) {
        if let Some((_, count)) = self.under_way.borrow_mut().get_mut(&request) {
            count.held += 1;
        }
    }

    /// A try has ended.
    pub(crate) fn end(&self, request: RequestKey) {
        let mut under_way = self.under_way.borrow_mut();
        match under_way.get_mut(&request) {
            Some((_, count)) if count.alive > 1 => {
                count.alive -= 1;
                count.held = count.held.min(count.alive);
            }
            _ => _ = under_way.remove(&request),
        }
    }

    /// The attempts of a request that are under way.
    #[must_use]
    pub(crate) fn count(&self, request: RequestKey) -> Count {
        let under_way = self.under_way.borrow();
        under_way
            .get(&request)
            .map_or_else(Count::default, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let key = Attempts::default().meet(-1_584_039_838_390_000_000);
        for headers in [
            HeaderMapState::Client,
            HeaderMapState::RequestLineChanged,
            HeaderMapState::Invocation,
        ] {
            let mark = AttemptMarker { key, headers };
            assert_eq!(AttemptMarker::decode(&mark.encode()), Some(mark));
        }
        assert_eq!(AttemptMarker::decode(b"other bytes"), None);
        assert_eq!(AttemptMarker::decode(&[0; 18]), None);
    }
}
