//! One recorded invocation.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use lambda_api::limits::MAX_PAYLOAD_BYTES;
use lambda_api::{FunctionAddress, InvocationType, LogType, Operation};

use crate::invocation::{RequestId, Timeline};
use crate::invoke_api::error::ServiceError;
use crate::util::lock;

/// The largest piece that is copied. A reference to a small piece may keep the much larger buffer in memory into which
/// it was read.
const MAX_COPIED_BYTES: usize = 8 << 10;
/// The bytes of small pieces of a body that become a buffer of their own. A snapshot takes that by reference, and copies
/// only what follows.
const CLOSED_BYTES: usize = 64 << 10;
/// The largest part of a response that is kept. Only streamed responses can have more.
const MAX_BODY_BYTES: usize = MAX_PAYLOAD_BYTES;
/// The memory of a record besides the bytes that it keeps.
const RECORD_BYTES: usize = 1024;

/// The beginning of an invocation.
pub(crate) struct Begin<'a> {
    pub(crate) request_id: RequestId,
    pub(crate) address: &'a FunctionAddress,
    pub(crate) operation: Operation,
    pub(crate) invocation_type: InvocationType,
    pub(crate) log_type: LogType,
    /// The client context in base64.
    pub(crate) client_context: Option<&'a HeaderValue>,
    pub(crate) tenant_id: Option<&'a HeaderValue>,
    /// The filter's report of the client's request.
    pub(crate) client_request: Option<&'a HeaderValue>,
    pub(crate) replay_of: Option<Replayed>,
    /// The invocation is an attempt to run a queued event.
    pub(crate) is_attempt: bool,
}

/// The invocation that is repeated by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The id of its record.
    pub(crate) id: u64,
    /// The event is another one than that of the reported request.
    pub(crate) is_event_edited: bool,
}

/// One recorded invocation.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) request_id: RequestId,
    pub(crate) address: Arc<FunctionAddress>,
    pub(crate) operation: Operation,
    pub(crate) invocation_type: InvocationType,
    pub(crate) log_type: LogType,
    pub(crate) client_context: Option<HeaderValue>,
    pub(crate) tenant_id: Option<HeaderValue>,
    pub(crate) client_request: Option<Bytes>,
    pub(crate) replay_of: Option<Replayed>,
    pub(crate) is_attempt: bool,
    pub(crate) started: SystemTime,
    pub(crate) timeline: Arc<Timeline>,
    parts: Mutex<Parts>,
    /// The console's view of the record, with the version of the parts from which it was made.
    summary: Mutex<Option<(u64, Arc<str>)>>,
}

/// The event and the response, as far as they are kept.
#[derive(Debug, Default)]
struct Parts {
    /// The number of changes.
    version: u64,
    /// Copies of small pieces and of the values of headers.
    copies: Vec<u8>,
    event: Option<Piece>,
    head: Option<Result<StatusCode, ServiceError>>,
    headers: Vec<(HeaderName, Range<usize>)>,
    body: Vec<Piece>,
    /// The size of the whole body, as far as it has come.
    body_size: usize,
    /// The bytes of the body that are kept.
    body_kept: usize,
    is_cut: bool,
    end: Option<End>,
    /// The bytes of all buffers that are kept by reference.
    referenced: usize,
    is_forgotten: bool,
}

#[derive(Debug)]
enum Piece {
    /// A range of the copies.
    Copied(Range<usize>),
    Referenced(Bytes),
}

/// The event and the response of a record at one time.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The event, once it has been read.
    pub(crate) event: Option<Bytes>,
    /// The beginning of the response, once it has come.
    pub(crate) response: Option<ResponseHead>,
    /// The body of the response, as far as it has come.
    pub(crate) body: KeptBody,
    /// The end, once it has come.
    pub(crate) end: Option<End>,
}

/// The beginning of the response of the Invoke API.
#[derive(Debug, Clone)]
pub(crate) enum ResponseHead {
    Ok(StatusCode, Vec<(HeaderName, Vec<u8>)>),
    Failed(ServiceError),
}

/// The body of the response, as far as it is kept.
#[derive(Debug, Default)]
pub(crate) struct KeptBody {
    pub(crate) pieces: Vec<Bytes>,
    /// The size of the whole body, as far as it has come.
    pub(crate) size: usize,
    /// The body had more bytes than are kept.
    pub(crate) is_cut: bool,
}

/// The end of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The time from the arrival of the request.
    pub(crate) after: Duration,
    /// The whole response was sent.
    pub(crate) is_complete: bool,
}

impl Record {
    /// Returns the record of an invocation that begins, and the bytes that it takes. It is in the memory of a `spare`
    /// record if nobody reads that any more.
    pub(super) fn begin(
        spare: Option<Arc<Self>>,
        id: u64,
        started: SystemTime,
        begin: &Begin<'_>,
    ) -> (Arc<Self>, usize) {
        if let Some(mut spare) = spare {
            if let Some(record) = Arc::get_mut(&mut spare) {
                let address = match *record.address == *begin.address {
                    true => Arc::clone(&record.address),
                    false => Arc::new(begin.address.clone()),
                };
                let parts = record.parts.get_mut().map(std::mem::take);
                let parts = parts.unwrap_or_default().emptied();
                match Arc::get_mut(&mut record.timeline) {
                    Some(timeline) => timeline.begin_again(),
                    None => record.timeline = Arc::new(Timeline::begin(true)),
                }
                let timeline = Arc::clone(&record.timeline);
                let bytes;
                (*record, bytes) = Self::new(id, started, begin, (address, timeline, parts));
                return (spare, bytes);
            }
            spare.forget();
        }
        let address = Arc::new(begin.address.clone());
        let timeline = Arc::new(Timeline::begin(true));
        let parts = (address, timeline, Parts::default());
        let (record, bytes) = Self::new(id, started, begin, parts);
        (Arc::new(record), bytes)
    }

    fn new(
        id: u64,
        started: SystemTime,
        begin: &Begin<'_>,
        (address, timeline, parts): (Arc<FunctionAddress>, Arc<Timeline>, Parts),
    ) -> (Self, usize) {
        // A copy does not keep the buffer of all headers in memory.
        let copy = |value: Option<&HeaderValue>| HeaderValue::from_bytes(value?.as_bytes()).ok();
        let client_request = begin.client_request.map(HeaderValue::as_bytes);
        let parts_bytes = parts.bytes();
        let record = Self {
            id,
            request_id: begin.request_id,
            address,
            operation: begin.operation,
            invocation_type: begin.invocation_type,
            log_type: begin.log_type,
            client_context: copy(begin.client_context),
            tenant_id: copy(begin.tenant_id),
            client_request: client_request.map(Bytes::copy_from_slice),
            replay_of: begin.replay_of,
            is_attempt: begin.is_attempt,
            started,
            timeline,
            parts: Mutex::new(parts),
            summary: Mutex::default(),
        };
        let bytes = record.bytes(parts_bytes);
        (record, bytes)
    }

    /// Returns what is kept of the event and the response.
    pub(crate) fn snapshot(&self) -> Snapshot {
        lock(&self.parts).snapshot()
    }

    /// Returns the end, once it has come.
    pub(crate) fn end(&self) -> Option<End> {
        lock(&self.parts).end
    }

    /// Returns the summary of the record, which `make` makes anew after each change.
    pub(crate) fn summary(&self, make: impl FnOnce() -> String) -> Arc<str> {
        let version = lock(&self.parts).version;
        if let Some((of, summary)) = &*lock(&self.summary)
            && *of == version
        {
            return Arc::clone(summary);
        }
        let summary: Arc<str> = make().into();
        *lock(&self.summary) = Some((version, Arc::clone(&summary)));
        summary
    }

    /// Keeps the event. Returns the memory of the record if the event adds a buffer to it.
    pub(super) fn take_event(&self, event: &Bytes) -> Option<usize> {
        let mut parts = lock(&self.parts);
        if parts.is_forgotten {
            return None;
        }
        parts.version += 1;
        let event = parts.keep(event);
        let is_referenced = matches!(event, Piece::Referenced(_));
        parts.event = Some(event);
        is_referenced.then(|| self.bytes(parts.bytes()))
    }

    /// Keeps the beginning of the response. Returns the memory of the record.
    pub(super) fn set_response<B>(&self, result: &Result<Response<B>, ServiceError>) -> usize {
        let mut parts = lock(&self.parts);
        parts.version += 1;
        match result {
            Ok(response) => parts.set_head(response.status(), response.headers()),
            Err(error) => parts.head = Some(Err(error.clone())),
        }
        self.bytes(parts.bytes())
    }

    /// Keeps a piece of the body of the response. Returns the memory of the record.
    pub(super) fn add_piece(&self, piece: &Bytes) -> usize {
        let mut parts = lock(&self.parts);
        parts.version += 1;
        parts.body_size += piece.len();
        if parts.is_cut || parts.body_kept + piece.len() > MAX_BODY_BYTES {
            parts.is_cut = true;
        } else if !parts.is_forgotten {
            parts.body_kept += piece.len();
            let kept = parts.keep(piece);
            parts.add_to_body(kept);
        }
        self.bytes(parts.bytes())
    }

    /// Notes the end. Returns the memory of the record.
    pub(super) fn set_end(&self, is_complete: bool) -> usize {
        let after = self.timeline.total();
        let mut parts = lock(&self.parts);
        parts.version += 1;
        parts.end = Some(End { after, is_complete });
        self.bytes(parts.bytes()) + self.timeline.log_bytes()
    }

    /// Returns the memory of the record besides its log, with that of its parts.
    fn bytes(&self, parts: usize) -> usize {
        let request = [&self.client_context, &self.tenant_id];
        let request: usize = request.into_iter().flatten().map(HeaderValue::len).sum();
        let request = request + self.client_request.as_ref().map_or(0, Bytes::len);
        RECORD_BYTES + request + parts
    }

    /// Forgets the event and the response, and keeps nothing more of them.
    pub(super) fn forget(&self) {
        let mut parts = lock(&self.parts);
        *parts = Parts {
            is_forgotten: true,
            ..Parts::default()
        };
    }
}

impl Parts {
    /// Returns nothing, with the memory of these parts if they had little.
    fn emptied(mut self) -> Self {
        self.copies.clear();
        self.copies.shrink_to(MAX_COPIED_BYTES);
        self.headers.clear();
        self.body.clear();
        self.body.shrink_to(16);
        Self {
            copies: self.copies,
            headers: self.headers,
            body: self.body,
            ..Self::default()
        }
    }

    /// Returns the memory of all buffers.
    fn bytes(&self) -> usize {
        self.copies.capacity() + self.referenced + self.body.capacity() * size_of::<Piece>()
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.copies.len();
        self.copies.extend_from_slice(bytes);
        start..self.copies.len()
    }

    fn keep(&mut self, bytes: &Bytes) -> Piece {
        if bytes.len() <= MAX_COPIED_BYTES {
            return Piece::Copied(self.copy(bytes));
        }
        self.referenced += bytes.len();
        Piece::Referenced(bytes.clone())
    }

    fn add_to_body(&mut self, piece: Piece) {
        match (self.body.last_mut(), piece) {
            (Some(Piece::Copied(last)), Piece::Copied(next)) if last.end == next.start => {
                last.end = next.end;
            }
            (_, piece) => self.body.push(piece),
        }
        if let Some(last) = self.body.last_mut()
            && let Piece::Copied(range) = last
            && range.len() >= CLOSED_BYTES
            && range.end == self.copies.len()
        {
            let closed = self.copies.split_off(range.start);
            self.referenced += closed.len();
            *last = Piece::Referenced(closed.into());
        }
    }

    fn set_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.head = Some(Ok(status));
        if self.is_forgotten {
            return;
        }
        for (name, value) in headers {
            let value = self.copy(value.as_bytes());
            self.headers.push((name.clone(), value));
        }
    }

    fn copied(&self, range: &Range<usize>) -> &[u8] {
        self.copies.get(range.clone()).unwrap_or_default()
    }

    fn piece(&self, piece: &Piece) -> Bytes {
        match piece {
            Piece::Copied(range) => Bytes::copy_from_slice(self.copied(range)),
            Piece::Referenced(bytes) => bytes.clone(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let header = |(name, value): &(HeaderName, Range<usize>)| {
            (name.clone(), self.copied(value).to_vec())
        };
        Snapshot {
            event: self.event.as_ref().map(|event| self.piece(event)),
            response: self.head.as_ref().map(|head| match head {
                Ok(status) => ResponseHead::Ok(*status, self.headers.iter().map(header).collect()),
                Err(error) => ResponseHead::Failed(error.clone()),
            }),
            body: KeptBody {
                pieces: self.body.iter().map(|piece| self.piece(piece)).collect(),
                size: self.body_size,
                is_cut: self.is_cut,
            },
            end: self.end,
        }
    }
}
