//! The backends that run functions: AWS Lambda, Runtime Interface Emulators, and local processes.

pub(crate) mod aws;
mod changes;
mod concurrency_limit;
mod event_queue;
mod functions;
mod invoke;
pub(crate) mod local;
mod registry;
mod rie;

pub(crate) use changes::Changes;
pub(crate) use registry::Backends;
