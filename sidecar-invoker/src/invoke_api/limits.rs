//! The sizes that Lambda allows.

/// Largest payload of a synchronous invocation in bytes, each way.
///
/// Source: the error text of AWS's own `RequestTooLargeException`.
pub const MAX_PAYLOAD_BYTES: usize = 6_291_556;
