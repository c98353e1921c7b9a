//! The thread that writes what is kept of events: a file that blocks holds up nothing else.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::record;
use crate::invocation::RequestId;
use crate::util::lock;
use lambda_api::FunctionName;

/// Most bytes that wait to be written: a record has 1 MiB of event and 6 MiB of answer, six times as
/// much if every byte has to be escaped.
const MAX_BYTES: u32 = 64 * 1_048_576;
/// How long the invoker's end waits for what is not yet written.
const LIMIT: Duration = Duration::from_secs(2);

/// A record on its way to its file.
pub(super) struct Entry {
    pub(super) function: FunctionName,
    pub(super) request_id: RequestId,
    pub(super) path: PathBuf,
    pub(super) line: String,
}

impl Entry {
    fn write(self) {
        let Self {
            function,
            request_id,
            path,
            line,
        } = self;
        if let Err(error) = record::append(&path, &line) {
            let path = path.display();
            tracing::error!(%function, %request_id, "an event is lost: {path}: {error}");
        }
    }
}

/// Writes the records of all functions, one after the other.
#[derive(Clone)]
pub(super) struct Writer {
    entries: mpsc::Sender<(Entry, OwnedSemaphorePermit)>,
    /// One permit for each byte that may wait.
    room: Arc<Semaphore>,
    /// What is not yet written, in order.
    unwritten: Arc<Mutex<VecDeque<RequestId>>>,
}

impl Writer {
    /// Starts the thread, which ends with the last clone of this and never holds up the program's
    /// end.
    pub(super) fn start() -> Self {
        let (sender, entries) = mpsc::channel::<(Entry, OwnedSemaphorePermit)>();
        let unwritten = Arc::new(Mutex::new(VecDeque::new()));
        let writer = Self {
            entries: sender,
            room: Arc::new(Semaphore::new(MAX_BYTES as usize)),
            unwritten: Arc::clone(&unwritten),
        };
        std::thread::spawn(move || {
            for (entry, _room) in entries {
                entry.write();
                lock(&unwritten).pop_front();
            }
        });
        writer
    }

    /// Has a record written, without waiting for that; back it comes if too many wait already.
    pub(super) fn keep(&self, entry: Entry) -> Result<(), Entry> {
        let bytes = u32::try_from(entry.line.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else {
            return Err(entry);
        };
        let mut unwritten = lock(&self.unwritten);
        unwritten.push_back(entry.request_id);
        self.entries
            .send((entry, room))
            .map_err(|unsent| unsent.0.0)
    }

    /// Waits until all is written, for [`LIMIT`] at most, and says what is not. Nothing more may come.
    pub(super) async fn finish(&self) {
        if timeout(LIMIT, self.room.acquire_many(MAX_BYTES))
            .await
            .is_ok()
        {
            return;
        }
        for request_id in lock(&self.unwritten).iter() {
            tracing::error!(
                %request_id,
                "an event is lost: the file that `event.on_failure` names could not be written within {LIMIT:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_file_that_blocks_holds_up_nobody_and_what_waits_for_it_has_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let entry = |bytes| Entry {
            function: "f".parse().unwrap(),
            request_id: RequestId::random(),
            path: path.clone(),
            line: "x".repeat(bytes),
        };
        let writer = Writer::start();
        let half = MAX_BYTES as usize / 2;
        assert!(writer.keep(entry(half)).is_ok());
        let second = entry(half);
        let id = second.request_id;
        assert!(writer.keep(second).is_ok());
        assert!(writer.keep(entry(1)).is_err(), "full");
        writer.finish().await;
        assert_eq!(lock(&writer.unwritten).back(), Some(&id));
        // Somebody reads after all.
        let read = tokio::task::spawn_blocking({
            let path = path.clone();
            move || {
                let mut file = std::fs::File::open(path).unwrap();
                std::io::copy(&mut file, &mut std::io::sink()).unwrap()
            }
        });
        assert!(read.await.unwrap() >= half as u64);
    }
}
