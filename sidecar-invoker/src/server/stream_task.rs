//! A timeout for clients that do not take the response to one request of an HTTP/2 connection.
//!
//! Such a client sends no `WINDOW_UPDATE`. The connection goes on, so that nothing shows at the socket.
//! hyper runs each stream as a task of its own, on the executor that it is given, and does not poll a body
//! for which the client has no room. The executor here knows by the last poll of the body which side a
//! task waits for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::Exchange;
use crate::invoke_api::body::ResponseBody;
use crate::observation::Observation;

tokio::task_local! {
    /// Set in the task of a stream while it waits for its client, and not for the response.
    static WAITS_FOR_CLIENT: Arc<AtomicBool>;
}

/// The executor of the streams of HTTP/2 connections.
#[derive(Clone, Copy)]
pub(super) struct StreamExecutor {
    /// The longest time for which a client takes nothing of a response.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let waits_for_client = Arc::new(AtomicBool::new(false));
        let stream = WAITS_FOR_CLIENT.scope(Arc::clone(&waits_for_client), stream);
        tokio::spawn(StreamTask {
            stream: Some(Box::pin(stream)),
            waits_for_client,
            limit: self.limit,
            timer: None,
        });
    }
}

struct StreamTask<F> {
    stream: Option<Pin<Box<F>>>,
    waits_for_client: Arc<AtomicBool>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        let Some(stream) = &mut task.stream else {
            return Poll::Ready(());
        };
        if let Some(timer) = &mut task.timer
            && timer.as_mut().poll(context).is_ready()
        {
            // hyper resets a stream whose task has gone.
            task.stream = None;
            tracing::debug!("a client did not take its response within {:?}", task.limit);
            return Poll::Ready(());
        }
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !task.waits_for_client.load(Ordering::Relaxed) {
            task.timer = None;
            return Poll::Pending;
        }
        // The client has just taken a part, or the wait begins.
        let limit = task.limit;
        match &mut task.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + limit),
            None => task.timer = Some(Box::pin(sleep(limit))),
        }
        if let Some(timer) = &mut task.timer {
            // Registers the waker. The time cannot have passed.
            let _ = timer.as_mut().poll(context);
        }
        Poll::Pending
    }
}

/// The largest piece that hyper gets at once over HTTP/2. hyper keeps a piece in memory until the client
/// takes it, and its task ends with the last piece.
const MAX_PIECE_BYTES: usize = 64 << 10;

/// The body of a response on its way to the client.
pub(super) struct SentBody {
    body: ResponseBody,
    /// The rest of a large frame.
    rest: Bytes,
    /// A frame was large. The end of the body then comes once the client has taken the last piece.
    is_large: bool,
    /// `None` over HTTP/1.1, whose connection has a timeout for writing.
    waits_for_client: Option<Arc<AtomicBool>>,
    observation: Option<Observation>,
    _exchange: Exchange,
}

impl SentBody {
    /// Wraps the body of a response. Must be called in the task of the request.
    pub(super) fn new(
        body: ResponseBody,
        exchange: Exchange,
        observation: Option<Observation>,
    ) -> Self {
        let sent = Self {
            waits_for_client: WAITS_FOR_CLIENT.try_with(Arc::clone).ok(),
            body,
            rest: Bytes::new(),
            is_large: false,
            observation,
            _exchange: exchange,
        };
        sent.note(true);
        sent
    }

    fn observe(&mut self, frame: &Poll<Option<Result<Frame<Bytes>, io::Error>>>) {
        let Some(observation) = &mut self.observation else {
            return;
        };
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(part) = frame.data_ref() {
                    observation.body(part);
                }
            }
            Poll::Ready(None) => observation.complete(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
    }

    fn note(&self, is_clients_turn: bool) {
        if let Some(waits_for_client) = &self.waits_for_client {
            waits_for_client.store(is_clients_turn, Ordering::Relaxed);
        }
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        // hyper does not ask for the end of a body that has it with its last frame.
        if self.rest.is_empty()
            && self.body.is_end_stream()
            && let Some(observation) = &mut self.observation
        {
            observation.complete();
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.rest.is_empty() {
            let size = self.rest.len().min(MAX_PIECE_BYTES);
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.note(frame.is_ready());
        self.observe(&frame);
        match std::task::ready!(frame) {
            Some(Ok(frame)) if self.waits_for_client.is_some() => {
                let frame = frame.map_data(|mut data| {
                    let size = data.len().min(MAX_PIECE_BYTES);
                    let piece = data.split_to(size);
                    self.is_large |= !data.is_empty();
                    self.rest = data;
                    piece
                });
                Poll::Ready(Some(Ok(frame)))
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.is_large && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}
