//! The thread that writes records. A file that blocks delays nothing but records.

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

/// The maximum number of bytes that wait to be written. A record has up to 1 MiB of event and 6 MiB of
/// response, and six times as much if every byte has to be escaped.
const MAX_BYTES: u32 = 64 * 1_048_576;
/// The longest wait for unwritten records at the shutdown.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// A record that waits to be written to its file.
pub(super) struct QueuedRecord {
    pub(super) function: FunctionName,
    pub(super) request_id: RequestId,
    pub(super) path: PathBuf,
    pub(super) line: String,
}

impl QueuedRecord {
    fn write(self) {
        let Self {
            function,
            request_id,
            path,
            line,
        } = self;
        if let Err(error) = record::append(&path, &line) {
            let path = path.display();
            tracing::error!(
                %function,
                %request_id,
                "an event is lost: it cannot be written to {path}: {error}; make room there, or name another file in `event.on_failure`"
            );
        }
    }
}

/// Writes the records of all functions, one after the other.
#[derive(Clone)]
pub(super) struct RecordWriter {
    records: mpsc::Sender<(QueuedRecord, OwnedSemaphorePermit)>,
    /// The permits of the bytes that wait to be written.
    bytes: Arc<Semaphore>,
    /// The ids of the records that are not written yet, in order.
    unwritten: Arc<Mutex<VecDeque<RequestId>>>,
}

impl RecordWriter {
    /// Starts the thread. It ends with the last clone of the writer, and does not keep the program from
    /// ending.
    pub(super) fn start() -> Self {
        let (sender, records) = mpsc::channel::<(QueuedRecord, OwnedSemaphorePermit)>();
        let unwritten = Arc::new(Mutex::new(VecDeque::new()));
        let writer = Self {
            records: sender,
            bytes: Arc::new(Semaphore::new(MAX_BYTES as usize)),
            unwritten: Arc::clone(&unwritten),
        };
        std::thread::spawn(move || {
            for (record, _permit) in records {
                record.write();
                lock(&unwritten).pop_front();
            }
        });
        writer
    }

    /// Hands a record to the thread.
    ///
    /// # Errors
    /// Returns the record if too many bytes wait already.
    pub(super) fn keep(&self, record: QueuedRecord) -> Result<(), QueuedRecord> {
        let bytes = u32::try_from(record.line.len()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) else {
            return Err(record);
        };
        let mut unwritten = lock(&self.unwritten);
        unwritten.push_back(record.request_id);
        self.records
            .send((record, permit))
            .map_err(|unsent| unsent.0.0)
    }

    /// Waits up to [`WRITE_TIMEOUT`] until all records are written, and logs those that are not. No
    /// record may follow.
    pub(super) async fn finish(&self) {
        if timeout(WRITE_TIMEOUT, self.bytes.acquire_many(MAX_BYTES))
            .await
            .is_ok()
        {
            return;
        }
        for request_id in lock(&self.unwritten).iter() {
            tracing::error!(
                %request_id,
                "an event is lost: the file that `event.on_failure` names could not be written within {WRITE_TIMEOUT:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_file_that_blocks_delays_no_caller_and_the_waiting_records_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let record = |bytes| QueuedRecord {
            function: "f".parse().unwrap(),
            request_id: RequestId::random(),
            path: path.clone(),
            line: "x".repeat(bytes),
        };
        let writer = RecordWriter::start();
        let half = MAX_BYTES as usize / 2;
        assert!(writer.keep(record(half)).is_ok());
        let second = record(half);
        let id = second.request_id;
        assert!(writer.keep(second).is_ok());
        assert!(writer.keep(record(1)).is_err(), "full");
        writer.finish().await;
        assert_eq!(lock(&writer.unwritten).back(), Some(&id));
        // The records are written once the file can be written to.
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
