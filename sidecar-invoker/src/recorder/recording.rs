//! The recording of an invocation that is under way.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use lambda_api::Operation;
use lambda_api::headers::UNHANDLED;

use super::record::{Begin, Record};
use super::store::Recorder;
use crate::invocation::{FunctionPayload, Timeline};
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;
use crate::invoke_api::request::TakeEvent;

/// The most bytes of a response under way that are not counted. Counting needs the lock of all records.
const MAX_UNCOUNTED_BYTES: usize = 64 << 10;

/// The recording of an invocation that is under way. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    record: Arc<Record>,
    /// The memory of the record that the recorder has counted.
    counted: usize,
    is_complete: bool,
}

impl Recording {
    /// Begins to record an invocation.
    pub(crate) fn begin(recorder: &Arc<Recorder>, begin: &Begin<'_>) -> Self {
        Self {
            record: recorder.add(begin),
            recorder: Arc::clone(recorder),
            counted: 0,
            is_complete: false,
        }
    }

    /// Returns the id of the record.
    pub(crate) fn id(&self) -> u64 {
        self.record.id
    }

    /// Returns the course of the invocation, which begins with the recording.
    pub(crate) fn timeline(&self) -> &Arc<Timeline> {
        &self.record.timeline
    }

    /// Returns the recipient of the event, which is read later.
    pub(crate) fn recipient(&self) -> Box<dyn TakeEvent> {
        Box::new(Recipient {
            recorder: Arc::clone(&self.recorder),
            record: Arc::clone(&self.record),
        })
    }

    /// Notes the event.
    pub(crate) fn event(&self, event: &Bytes) {
        self.recorder.take_event(&self.record, event);
    }

    /// Notes the response, whose body may follow.
    pub(crate) fn respond<B>(&mut self, result: &Result<Response<B>, ServiceError>) {
        let bytes = self.record.set_response(result);
        // The end of a response that is not streamed comes at once.
        if self.record.operation == Operation::InvokeWithResponseStream {
            self.changed(bytes);
        }
    }

    /// Notes a piece of the body of the response.
    pub(crate) fn piece(&mut self, piece: &Bytes) {
        let bytes = self.record.add_piece(piece);
        if bytes > self.counted + MAX_UNCOUNTED_BYTES {
            self.changed(bytes);
        }
    }

    fn changed(&mut self, bytes: usize) {
        self.counted = bytes;
        self.recorder.changed(&self.record, bytes, true);
    }

    /// Notes the result of an attempt to run a queued event, which has no other recipient.
    pub(crate) fn end(mut self, result: &Result<FunctionPayload, ServiceError>) {
        let (payload, is_error) = match result {
            Ok(FunctionPayload::Success(payload)) => (payload, false),
            Ok(FunctionPayload::Error(payload)) => (payload, true),
            Err(error) => {
                self.respond::<()>(&Err(error.clone()));
                self.complete();
                return;
            }
        };
        let mut response = Response::new(());
        if is_error {
            let unhandled = HeaderValue::from_static(UNHANDLED);
            response
                .headers_mut()
                .insert(header::FUNCTION_ERROR, unhandled);
        }
        let request_id = self.record.request_id.header();
        response
            .headers_mut()
            .insert(header::REQUEST_ID, request_id);
        self.respond(&Ok(response));
        self.piece(payload);
        self.complete();
    }

    /// Notes that the whole response was taken.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let bytes = self.record.set_end(self.is_complete);
        self.recorder.changed(&self.record, bytes, false);
    }
}

/// The recipient of the event of a recording.
struct Recipient {
    recorder: Arc<Recorder>,
    record: Arc<Record>,
}

impl TakeEvent for Recipient {
    fn take_event(&self, event: &Bytes) {
        self.recorder.take_event(&self.record, event);
    }
}
