//! The list of records.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::record::{Begin, Record};
use crate::util::lock;

/// The most memory of all records together, in bytes.
pub(super) const MAX_BYTES: usize = 64 << 20;

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
    records: VecDeque<Entry>,
    bytes: usize,
    /// The number of changes of all records.
    changes: u64,
    last_id: u64,
    dropped: u64,
    cleared: u64,
}

#[derive(Debug)]
struct Entry {
    /// The number of the last change of the record.
    change: u64,
    /// The memory of the record, as far as it is counted: at the beginning, with a large event, while a long response
    /// comes, and at the end.
    bytes: usize,
    is_running: bool,
    record: Arc<Record>,
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

    /// Adds the record of an invocation that begins. It takes the memory of the oldest, if that has to make room.
    pub(super) fn add(&self, begin: &Begin<'_>) -> Arc<Record> {
        let started = (self.clock)();
        let mut kept = lock(&self.kept);
        let oldest = match kept.records.len() >= self.max_records {
            true => kept.take_oldest(),
            false => None,
        };
        kept.last_id += 1;
        kept.changes += 1;
        let (record, bytes) = Record::begin(oldest, kept.last_id, started, begin);
        let entry = Entry {
            change: kept.changes,
            bytes,
            is_running: true,
            record: Arc::clone(&record),
        };
        kept.records.push_back(entry);
        kept.bytes += bytes;
        kept.make_room();
        record
    }

    /// Keeps the event of a record. A large event counts at once, since the response may take long.
    pub(super) fn take_event(&self, record: &Record, event: &Bytes) {
        if let Some(bytes) = record.take_event(event) {
            self.changed(record, bytes, true);
        }
    }

    /// Notes that a record has changed, and the memory that it takes by now. With the lock, no change appears after a
    /// later one.
    pub(super) fn changed(&self, record: &Record, bytes: usize, is_running: bool) {
        let mut kept = lock(&self.kept);
        let change = kept.changes + 1;
        let Some(entry) = kept.find(record.id) else {
            // It has been forgotten in the meantime.
            record.forget();
            return;
        };
        entry.change = change;
        entry.is_running = is_running;
        let before = std::mem::replace(&mut entry.bytes, bytes);
        kept.changes = change;
        kept.bytes = (kept.bytes + bytes).saturating_sub(before);
        kept.make_room();
    }

    /// Returns all records, oldest first, and the number of those that had to make room.
    pub(crate) fn all(&self) -> (Vec<Arc<Record>>, u64) {
        let kept = lock(&self.kept);
        let records = kept.records.iter();
        let records = records.map(|entry| Arc::clone(&entry.record)).collect();
        (records, kept.dropped)
    }

    /// Returns the changes after a change.
    pub(crate) fn changed_since(&self, change: u64) -> Changes {
        let kept = lock(&self.kept);
        let first = kept.records.front().map_or(0, |entry| entry.record.id);
        let changed = (first..).zip(&kept.records);
        let changed = changed.filter(|(_, entry)| entry.change > change);
        let mut changed: Vec<_> = changed.map(|(id, entry)| (entry.change, id)).collect();
        let (last_id, cleared) = (kept.last_id, kept.cleared);
        drop(kept);
        changed.sort_unstable();
        Changes {
            changed,
            last_id,
            cleared,
        }
    }

    /// Returns the ids of the records whose end is not among the changes yet.
    pub(crate) fn running(&self) -> HashSet<u64> {
        let kept = lock(&self.kept);
        let running = kept.records.iter().filter(|entry| entry.is_running);
        running.map(|entry| entry.record.id).collect()
    }

    /// Returns the record with this id, if it is still kept.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Record>> {
        let mut kept = lock(&self.kept);
        kept.find(id).map(|entry| Arc::clone(&entry.record))
    }

    /// Forgets all records.
    pub(crate) fn clear(&self) {
        let mut kept = lock(&self.kept);
        while let Some(entry) = kept.records.pop_front() {
            entry.record.forget();
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

/// The changes after a change, all of one moment.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The changes in their order, each with the id of its record.
    pub(crate) changed: Vec<(u64, u64)>,
    /// The id of the last record, which may have made room already.
    pub(crate) last_id: u64,
    /// The number of times that all records were forgotten.
    pub(crate) cleared: u64,
}

impl Kept {
    fn find(&mut self, id: u64) -> Option<&mut Entry> {
        let first = self.records.front()?.record.id;
        let index = usize::try_from(id.checked_sub(first)?).ok()?;
        self.records.get_mut(index)
    }

    fn make_room(&mut self) {
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.take_oldest()
        {
            oldest.forget();
        }
    }

    fn take_oldest(&mut self) -> Option<Arc<Record>> {
        let oldest = self.records.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.bytes);
        self.dropped += 1;
        Some(oldest.record)
    }
}
