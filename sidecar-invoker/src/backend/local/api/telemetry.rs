//! The Telemetry API and the Logs API, which deliver nothing here.
//!
//! A refusal ends many extensions, so both APIs accept every subscription, as the Runtime Interface
//! Emulator does.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::response::error;

/// Responds to a subscription to the Telemetry API.
pub(crate) fn telemetry() -> Response<Full<Bytes>> {
    let message = "Telemetry API is not supported";
    error(StatusCode::ACCEPTED, "Telemetry.NotSupported", message)
}

/// Responds to a subscription to the Logs API.
pub(crate) fn logs() -> Response<Full<Bytes>> {
    let message = "Logs API is not supported";
    error(StatusCode::ACCEPTED, "Logs.NotSupported", message)
}
