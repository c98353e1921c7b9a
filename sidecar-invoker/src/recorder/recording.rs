//! The recording of an invocation that is under way.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;

use super::record::{Begin, Record};
use super::store::Recorder;
use crate::invoke_api::error::ServiceError;

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

    /// Notes that the whole response was taken.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.record.set_end(self.is_complete);
        self.recorder.touch(&self.record);
    }
}
