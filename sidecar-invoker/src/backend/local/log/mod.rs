//! The output of functions: its end for callers, and all of it for the invoker's own output.

mod line_context;
mod lines;
pub(crate) mod tail;
pub(crate) mod writer;

pub(crate) use line_context::{LineContext, ReportFigures};
