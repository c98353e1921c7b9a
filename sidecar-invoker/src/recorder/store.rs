//! The list of records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::record::{Begin, Record};
use crate::util::lock;

/// The most memory of all records together, in bytes.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// The memory of a record besides the bytes that it keeps.
const RECORD_BYTES: usize = 1024;

/// The last invocations.
#[derive(Debug)]
pub(crate) struct Recorder {
    kept: Mutex<Kept>,
    max_records: usize,
    clock: fn() -> SystemTime,
    /// Tells this recorder from that of another run of the program.
    epoch: u64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The records, oldest first. Their ids follow each other.
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    /// The number of changes of all records. A record has that of its own last change.
    changes: u64,
    last_id: u64,
    dropped: u64,
    cleared: u64,
}

impl Recorder {
    /// Creates a recorder of at most `max_records` invocations.
    pub(crate) fn new(max_records: usize, clock: fn() -> SystemTime) -> Arc<Self> {
        let since_1970 = clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            kept: Mutex::default(),
            max_records,
            clock,
            epoch: u64::try_from(since_1970.as_micros()).unwrap_or_default(),
        })
    }

    /// Adds the record of an invocation that begins.
    pub(super) fn add(&self, begin: &Begin<'_>) -> Arc<Record> {
        let mut kept = lock(&self.kept);
        kept.last_id += 1;
        kept.changes += 1;
        let record = Record::new(kept.last_id, (self.clock)(), kept.changes, begin);
        let record = Arc::new(record);
        kept.records.push_back(Arc::clone(&record));
        if kept.records.len() > self.max_records {
            kept.drop_oldest();
        }
        kept.grow(&record, RECORD_BYTES + record.request_bytes());
        record
    }

    /// Counts more bytes of a record.
    pub(super) fn grow(&self, record: &Record, bytes: usize) {
        lock(&self.kept).grow(record, bytes);
    }

    /// Notes that a record has changed. With the lock, no change appears after a later one.
    pub(super) fn touch(&self, record: &Record) {
        let mut kept = lock(&self.kept);
        kept.changes += 1;
        record.set_change(kept.changes);
    }

    /// Returns all records, oldest first, and the number of those that had to make room.
    pub(crate) fn all(&self) -> (Vec<Arc<Record>>, u64) {
        let kept = lock(&self.kept);
        (kept.records.iter().cloned().collect(), kept.dropped)
    }

    /// Returns the records that have changed after a change, in the order of their changes.
    pub(crate) fn changed_since(&self, change: u64) -> Vec<Arc<Record>> {
        let kept = lock(&self.kept);
        let changed = kept.records.iter();
        let changed = changed.filter(|record| record.change() > change);
        let mut changed: Vec<_> = changed.cloned().collect();
        drop(kept);
        changed.sort_by_key(|record| record.change());
        changed
    }

    /// Returns the record with this id, if it is still kept.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Record>> {
        lock(&self.kept).find(id).cloned()
    }

    /// Forgets all records.
    pub(crate) fn clear(&self) {
        let mut kept = lock(&self.kept);
        while let Some(record) = kept.records.pop_front() {
            record.forget();
        }
        kept.bytes = 0;
        kept.dropped = 0;
        kept.cleared += 1;
    }

    /// Returns the bytes that all records keep.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        lock(&self.kept).bytes
    }

    /// Returns how often all records were forgotten.
    pub(crate) fn times_cleared(&self) -> u64 {
        lock(&self.kept).cleared
    }

    /// Returns the number of the last change.
    pub(crate) fn last_change(&self) -> u64 {
        lock(&self.kept).changes
    }

    /// Returns the number that tells this recorder from that of another run of the program.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Kept {
    fn find(&self, id: u64) -> Option<&Arc<Record>> {
        let first = self.records.front()?.id;
        let index = usize::try_from(id.checked_sub(first)?).ok()?;
        self.records.get(index)
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.records.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            self.dropped += 1;
            oldest.forget();
        }
    }

    /// Counts bytes that a record keeps, and makes room for them.
    fn grow(&mut self, record: &Record, bytes: usize) {
        if self.find(record.id).is_none() {
            // It has been forgotten in the meantime.
            record.forget();
            return;
        }
        record.add_bytes(bytes);
        self.bytes += bytes;
        while self.bytes > MAX_BYTES && !self.records.is_empty() {
            self.drop_oldest();
        }
    }
}
