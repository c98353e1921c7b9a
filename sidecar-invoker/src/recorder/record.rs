//! One recorded invocation.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
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
/// The largest part of a response that is kept. Only streamed responses can have more.
const MAX_BODY_BYTES: usize = MAX_PAYLOAD_BYTES;
/// The memory that a piece of a body takes besides its bytes.
const PIECE_BYTES: usize = 64;

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
    pub(crate) timeline: &'a Arc<Timeline>,
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
    pub(crate) address: FunctionAddress,
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
    event: OnceLock<Bytes>,
    response: OnceLock<ResponseHead>,
    body: Mutex<KeptBody>,
    end: OnceLock<End>,
    change: AtomicU64,
    bytes: AtomicUsize,
    is_forgotten: AtomicBool,
    /// The console's view of the record, with the change after which it was made.
    summary: Mutex<Option<(u64, Arc<str>)>>,
}

/// The beginning of the response of the Invoke API.
#[derive(Debug)]
pub(crate) enum ResponseHead {
    Ok(StatusCode, KeptHeaders),
    Failed(ServiceError),
}

/// Headers in a buffer of their own.
#[derive(Debug)]
pub(crate) struct KeptHeaders {
    /// The names, each with the end of its value.
    names: Vec<(HeaderName, usize)>,
    values: Vec<u8>,
}

impl KeptHeaders {
    fn new(headers: &HeaderMap) -> Self {
        let mut names = Vec::with_capacity(headers.len());
        let mut values = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
        for (name, value) in headers {
            values.extend_from_slice(value.as_bytes());
            names.push((name.clone(), values.len()));
        }
        Self { names, values }
    }

    /// Returns each header with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        let mut start = 0;
        self.names.iter().map(move |(name, end)| {
            let value = self.values.get(start..*end).unwrap_or_default();
            start = *end;
            (name, value)
        })
    }
}

/// The body of the response, as far as it is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptBody {
    /// The pieces as they came.
    pub(crate) pieces: Vec<Bytes>,
    /// The size of the whole body, as far as it has come.
    pub(crate) size: usize,
    /// The body had more bytes than are kept.
    pub(crate) is_cut: bool,
    kept: usize,
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
    pub(super) fn new(id: u64, started: SystemTime, change: u64, begin: &Begin<'_>) -> Self {
        let copy = |value: Option<&HeaderValue>| {
            let value = HeaderValue::from_bytes(value?.as_bytes());
            value.ok()
        };
        Self {
            id,
            request_id: begin.request_id,
            address: begin.address.clone(),
            operation: begin.operation,
            invocation_type: begin.invocation_type,
            log_type: begin.log_type,
            client_context: copy(begin.client_context),
            tenant_id: copy(begin.tenant_id),
            client_request: begin
                .client_request
                .map(|value| Bytes::copy_from_slice(value.as_bytes())),
            replay_of: begin.replay_of,
            started,
            is_attempt: begin.is_attempt,
            timeline: Arc::clone(begin.timeline),
            event: OnceLock::new(),
            response: OnceLock::new(),
            body: Mutex::default(),
            end: OnceLock::new(),
            change: AtomicU64::new(change),
            bytes: AtomicUsize::new(0),
            is_forgotten: AtomicBool::new(false),
            summary: Mutex::default(),
        }
    }

    /// Returns the event, once it has been read.
    pub(crate) fn event(&self) -> Option<Bytes> {
        self.event.get().cloned()
    }

    /// Returns the beginning of the response, once it has come.
    pub(crate) fn response(&self) -> Option<&ResponseHead> {
        self.response.get()
    }

    /// Returns the body of the response, as far as it has come.
    pub(crate) fn body(&self) -> KeptBody {
        lock(&self.body).clone()
    }

    /// Returns the end, once it has come.
    pub(crate) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }

    /// Returns the number of the last change.
    pub(crate) fn change(&self) -> u64 {
        self.change.load(Ordering::Relaxed)
    }

    /// Returns the summary of the record, which `make` makes anew after each change.
    pub(crate) fn summary(&self, make: impl FnOnce() -> String) -> Arc<str> {
        let change = self.change();
        if let Some((at, summary)) = &*lock(&self.summary)
            && *at == change
        {
            return Arc::clone(summary);
        }
        let summary: Arc<str> = make().into();
        *lock(&self.summary) = Some((change, Arc::clone(&summary)));
        summary
    }

    /// Returns the bytes that are known when the invocation begins.
    pub(super) fn request_bytes(&self) -> usize {
        let headers = [&self.client_context, &self.tenant_id];
        let headers = headers.into_iter().flatten().map(HeaderValue::len);
        headers.sum::<usize>() + self.client_request.as_ref().map_or(0, Bytes::len)
    }

    /// Keeps the event.
    pub(super) fn set_event(&self, event: &Bytes) {
        let _ = self.event.set(keep(event));
    }

    /// Keeps the beginning of the response, and returns the bytes that this takes.
    pub(super) fn set_response<B>(&self, result: &Result<Response<B>, ServiceError>) -> usize {
        let (head, bytes) = match result {
            Ok(response) => {
                let headers = KeptHeaders::new(response.headers());
                let bytes = headers.values.len();
                (ResponseHead::Ok(response.status(), headers), bytes)
            }
            Err(error) => (ResponseHead::Failed(error.clone()), 0),
        };
        let _ = self.response.set(head);
        bytes
    }

    /// Keeps a piece of the body of the response, and returns the bytes that this takes.
    pub(super) fn add_piece(&self, piece: &Bytes) -> usize {
        if self.is_forgotten.load(Ordering::Relaxed) {
            return 0;
        }
        let mut body = lock(&self.body);
        body.size += piece.len();
        if body.is_cut || body.kept + piece.len() > MAX_BODY_BYTES {
            body.is_cut = true;
            return 0;
        }
        body.kept += piece.len();
        body.pieces.push(keep(piece));
        piece.len() + PIECE_BYTES
    }

    /// Notes the end.
    pub(super) fn set_end(&self, is_complete: bool) {
        let after = self.timeline.arrival().elapsed();
        let _ = self.end.set(End { after, is_complete });
    }

    pub(super) fn set_change(&self, change: u64) {
        self.change.store(change, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Keeps nothing more of the response.
    pub(super) fn forget(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
        lock(&self.body).pieces = Vec::new();
    }
}

/// Returns bytes that do not keep a much larger buffer in memory.
fn keep(bytes: &Bytes) -> Bytes {
    match bytes.len() <= MAX_COPIED_BYTES {
        true => Bytes::copy_from_slice(bytes),
        false => bytes.clone(),
    }
}
