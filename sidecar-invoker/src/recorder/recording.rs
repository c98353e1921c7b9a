//! The recording of an invocation that is under way.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use lambda_api::headers::UNHANDLED;

use super::record::{Begin, Record};
use super::store::Recorder;
use crate::invocation::FunctionPayload;
use crate::invoke_api::error::ServiceError;
use crate::invoke_api::headers as header;

/// The recording of an invocation that is under way. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    record: Arc<Record>,
    is_complete: bool,
}

impl Recording {
    /// Begins to record an invocation.
    pub(crate) fn begin(recorder: &Arc<Recorder>, begin: &Begin<'_>) -> Self {
        Self {
            record: recorder.add(begin),
            recorder: Arc::clone(recorder),
            is_complete: false,
        }
    }

    /// Returns the id of the record.
    pub(crate) fn id(&self) -> u64 {
        self.record.id
    }

    /// Returns a function that takes the event once it has been read.
    pub(crate) fn take_event(&self) -> impl FnOnce(&Bytes) + Send + Sync + 'static {
        let (recorder, record) = (Arc::clone(&self.recorder), Arc::clone(&self.record));
        move |event| {
            record.set_event(event);
            recorder.grow(&record, event.len());
        }
    }

    /// Notes the response, whose body may follow.
    pub(crate) fn respond<B>(&mut self, result: &Result<Response<B>, ServiceError>) {
        let bytes = self.record.set_response(result);
        self.recorder.grow(&self.record, bytes);
        self.recorder.touch(&self.record);
    }

    /// Notes a piece of the body of the response.
    pub(crate) fn piece(&mut self, piece: &Bytes) {
        let bytes = self.record.add_piece(piece);
        if bytes > 0 {
            self.recorder.grow(&self.record, bytes);
        }
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
        self.record.set_end(self.is_complete);
        let log = self.record.timeline.call_log();
        let bytes = log.map_or(0, |log| log.lines.len());
        self.recorder.grow(&self.record, bytes);
        self.recorder.touch(&self.record);
    }
}
