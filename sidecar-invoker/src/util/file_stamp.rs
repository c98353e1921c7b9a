//! The identity of a file's content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The identity of a file's content: modification time in seconds and nanoseconds, length, inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp(i64, i64, u64, u64);

impl FileStamp {
    /// Returns the identity of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.len(),
            metadata.ino(),
        )
    }
}
