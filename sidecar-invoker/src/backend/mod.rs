//! What runs functions: AWS Lambda, Runtime Interface Emulators, and processes of the invoker's own.

pub(crate) mod aws;
mod concurrency_limit;
mod event_queue;
mod invoke;
pub(crate) mod local;
mod registry;
mod rie;

pub(crate) use registry::Backends;
