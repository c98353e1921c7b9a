//! The output of functions: its end for callers, and all of it for the invoker's own output.

mod lines;
pub(crate) mod tail;
pub(crate) mod writer;
