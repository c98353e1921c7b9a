//! Notices a host that does not hold headers alone.
//!
//! The filter pauses at the headers of a message and waits for the body. Without the setting
//! `allow_on_headers_stop_iteration`, Envoy takes that for a pause of the whole message: no body comes, and
//! the request ends at the route's timeout. The first body after a pause proves that the host is right,
//! and nothing is checked from then on.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::host::{Host, Property};
use crate::error::Error;
use crate::request::HeaderMap;
use crate::response::error_response;

/// The time after which a body must have come.
const LIMIT_NS: i64 = 1_000_000_000;

/// The time for which requests are refused. The next one then tries again.
const REFUSED_NS: i64 = 10 * LIMIT_NS;

/// The time between two checks.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Pause {
    context: u32,
    since_ns: i64,
    /// The length of the request's headers, or `None` if the pause is one of the response.
    request_header_bytes: Option<usize>,
}

/// The check of one VM.
#[derive(Debug, Default)]
pub(super) struct HoldCheck {
    /// Set once the rest of a message has come after a pause.
    is_proven: Cell<bool>,
    /// The pauses after which no body has come yet.
    pauses: RefCell<Vec<Pause>>,
    refused_until_ns: Cell<i64>,
}

impl HoldCheck {
    /// Returns whether the host has been seen not to hold headers alone.
    pub(super) fn refuses(&self, host: &impl Host) -> bool {
        let until = self.refused_until_ns.get();
        until != 0 && !self.is_proven.get() && host.now_ns() < until
    }

    /// Records that a context pauses at the headers of a message whose body follows: these of its
    /// request, or those of its response.
    pub(super) fn begin(&self, host: &impl Host, context: u32, request: Option<&HeaderMap>) {
        if !self.is_proven.get() && !host.capabilities().holds_headers {
            let length = |headers: &HeaderMap| {
                let lengths = headers.iter().map(|(name, value)| name.len() + value.len());
                lengths.sum()
            };
            self.pauses.borrow_mut().push(Pause {
                context,
                since_ns: host.now_ns(),
                request_header_bytes: request.map(length),
            });
            host.request_tick(INTERVAL, context);
        }
    }

    /// Records that a body, or trailers, have come after a pause.
    pub(super) fn prove(&self) {
        if !self.is_proven.replace(true) {
            self.pauses.take();
        }
    }

    /// Records that a context has ended.
    pub(super) fn end(&self, context: u32) {
        if !self.is_proven.get() {
            self.pauses
                .borrow_mut()
                .retain(|pause| pause.context != context);
        }
    }

    /// Refuses the requests whose body the host keeps back.
    pub(super) fn check(&self, host: &impl Host) {
        if self.pauses.borrow().is_empty() {
            return;
        }
        let now_ns = host.now_ns();
        let pauses = self.pauses.take().into_iter();
        let pauses = pauses.filter(|pause| {
            let is_stuck = now_ns - pause.since_ns > LIMIT_NS
                && host.enter(pause.context)
                && pause
                    .request_header_bytes
                    .is_none_or(|bytes| received(host) > bytes);
            if is_stuck {
                if self.refused_until_ns.replace(now_ns + REFUSED_NS) < now_ns {
                    log::error!("{}", Error::HeadersNotHeld);
                }
                host.respond(&error_response(&Error::HeadersNotHeld, None));
            }
            !is_stuck
        });
        let pauses: Vec<_> = pauses.collect();
        if let Some(pause) = pauses.last() {
            host.request_tick(INTERVAL, pause.context);
        }
        *self.pauses.borrow_mut() = pauses;
    }
}

/// Returns the number of bytes of the request that Envoy has received, headers and body.
fn received(host: &impl Host) -> usize {
    let bytes = host.property(Property::TotalSize).unwrap_or_default();
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or_default()
}
