//! The last invocations, as the console shows them.
//!
//! A call hands over what it has anyway: references to bytes, and copies of small ones. Nothing is read or formatted
//! before somebody looks at it.

mod record;
mod recording;
mod store;

pub(crate) use record::{Begin, End, Record, Replayed, ResponseHead, Snapshot};
pub(crate) use recording::Recording;
pub(crate) use store::{Changes, Recorder};

#[cfg(test)]
mod tests;
