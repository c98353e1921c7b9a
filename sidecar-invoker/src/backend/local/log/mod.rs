//! What functions write: the end of it for callers who ask, all of it for the invoker's own output.

pub(crate) mod tail;
pub(crate) mod writer;
