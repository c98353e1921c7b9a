//! The stream of server-sent events.
//!
//! Nobody tells the stream of an invocation. It looks for changes at intervals, as long as its reader takes what it
//! gets. So a call costs the same with and without a reader, and a reader that sleeps holds one piece in memory.

use std::collections::HashSet;
use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Console, functions};
use crate::invoke_api::body::ResponseBody;
use crate::recorder::Changes;

/// The interval at which changes are looked for.
const INTERVAL: Duration = Duration::from_millis(100);
/// The most invocations in an interval. A page cannot show more.
const MAX_INVOCATIONS: usize = 25;
/// The interval at which the states of functions are compared.
const FUNCTIONS_INTERVAL: Duration = Duration::from_secs(1);
/// The interval of comments on a stream without events.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest time for which a reader takes nothing. A browser then connects again, and gets what it missed.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The place in the stream after which a reader continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    epoch: u64,
    pub(super) change: u64,
    /// The number of times that the list was cleared. A reader that was away hears of it.
    cleared: u64,
}

impl Cursor {
    /// Returns the place behind everything.
    pub(super) fn now(console: &Console) -> Self {
        Self {
            epoch: console.recorder.epoch(),
            // If the list is cleared in the meantime, the reader hears of it.
            cleared: console.recorder.times_cleared(),
            change: console.recorder.last_change(),
        }
    }

    /// Reads a place from the id of an event, if it is one of this run of the program.
    pub(super) fn parse(text: &str, console: &Console) -> Option<Self> {
        let (epoch, place) = text.split_once('-')?;
        let (change, cleared) = place.split_once('-')?;
        let cursor = Self {
            epoch: epoch.parse().ok()?,
            change: change.parse().ok()?,
            cleared: cleared.parse().ok()?,
        };
        let now = Self::now(console);
        let is_of_past = cursor.change <= now.change && cursor.cleared <= now.cleared;
        (cursor.epoch == now.epoch && is_of_past).then_some(cursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}-{}-{}", self.epoch, self.change, self.cleared)
    }
}

/// Returns the body with the events after a place, and with all invocations that are kept if there is none.
pub(super) fn body(
    console: &Arc<Console>,
    after: Option<Cursor>,
    permit: OwnedSemaphorePermit,
) -> ResponseBody {
    let (sender, pieces) = mpsc::channel(1);
    let console = Arc::clone(console);
    tokio::spawn(async move {
        let _permit = permit;
        Stream::new(console, after).run(sender).await;
    });
    EventBody { pieces }.boxed_unsync()
}

struct EventBody {
    pieces: mpsc::Receiver<Bytes>,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.pieces.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

struct Stream {
    console: Arc<Console>,
    cursor: Cursor,
    /// The reader gets everything that is kept, however much it is.
    is_catching_up: bool,
    /// The id of the last invocation that the reader got or missed.
    last_id: u64,
    /// The invocations that the reader knows as running. It hears of their ends in any case.
    running: HashSet<u64>,
    functions: Value,
    functions_at: Option<Instant>,
}

impl Stream {
    fn new(console: Arc<Console>, after: Option<Cursor>) -> Self {
        // The reader may show them already. Their ends must not be left out.
        let running = match after {
            Some(_) => console.recorder.running(),
            None => HashSet::new(),
        };
        Self {
            cursor: after.unwrap_or(Cursor {
                change: 0,
                ..Cursor::now(&console)
            }),
            is_catching_up: true,
            last_id: 0,
            running,
            functions: Value::Null,
            functions_at: None,
            console,
        }
    }

    async fn run(mut self, sender: mpsc::Sender<Bytes>) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut events = String::from("retry: 1000\n\n");
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = sender.closed() => return,
            }
            // The decoding of large payloads would block other tasks.
            let collected = spawn_blocking(move || {
                self.collect(&mut events);
                (self, events)
            });
            let Ok((stream, collected)) = collected.await else {
                return;
            };
            (self, events) = (stream, collected);
            if events.is_empty() && last.elapsed() >= HEARTBEAT {
                events.push_str(":\n\n");
            }
            if !events.is_empty() {
                last = Instant::now();
                let piece = Bytes::from(std::mem::take(&mut events));
                match timeout(READ_TIMEOUT, sender.send(piece)).await {
                    Ok(Ok(())) => {}
                    _ => return,
                }
            }
        }
    }

    /// Appends the events since the last call.
    fn collect(&mut self, events: &mut String) {
        let recorder = Arc::clone(&self.console.recorder);
        let Changes {
            changed,
            last_id,
            cleared,
        } = recorder.changed_since(self.cursor.change);
        if cleared != self.cursor.cleared {
            self.cursor.cleared = cleared;
            // What was forgotten was not missed.
            self.is_catching_up = true;
            self.event(events, "cleared", "{}");
        }
        let is_catching_up = std::mem::take(&mut self.is_catching_up);
        let mut left_out = match is_catching_up {
            true => 0,
            false => {
                let is_new = |(_, id): &&(u64, u64)| *id > self.last_id;
                let new = changed.iter().filter(is_new).count();
                new.saturating_sub(MAX_INVOCATIONS)
            }
        };
        let mut missed = last_id.saturating_sub(self.last_id);
        for (change, id) in changed {
            self.cursor.change = change;
            if !is_catching_up && !self.running.contains(&id) {
                // It was counted as missed while it ran.
                if id <= self.last_id {
                    continue;
                }
                if left_out > 0 {
                    left_out -= 1;
                    continue;
                }
            }
            // It may have made room in the meantime.
            let Some(record) = recorder.find(id) else {
                continue;
            };
            missed -= u64::from(id > self.last_id);
            // A record may change while it is read, and then comes again.
            let is_running = record.end().is_none();
            let summary = self.console.summary(&record);
            match is_running {
                true => self.running.insert(id),
                false => self.running.remove(&id),
            };
            self.event(events, "invocation", &summary);
        }
        self.last_id = last_id;
        if missed > 0 && !is_catching_up {
            self.event(events, "missed", &format!("{{\"count\":{missed}}}"));
        }
        if self
            .functions_at
            .is_none_or(|at| at.elapsed() >= FUNCTIONS_INTERVAL)
        {
            self.functions_at = Some(Instant::now());
            self.running.retain(|id| recorder.find(*id).is_some());
            let functions = self.console.functions();
            if functions::differ(&functions, &self.functions) {
                self.event(events, "functions", &functions.to_string());
                self.functions = functions;
            }
        }
    }

    fn event(&self, events: &mut String, name: &str, data: &str) {
        // Writing to a string cannot fail. JSON has no line breaks.
        let _ = write!(
            events,
            "event: {name}\nid: {}\ndata: {data}\n\n",
            self.cursor
        );
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
