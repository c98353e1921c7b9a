//! The upstream's response to an invocation.

use lambda_api::headers;

use crate::request::HeaderMap;
use crate::request::header_map::first;

/// The upstream's response to an invocation.
#[derive(Debug)]
pub struct InvokeResponse<'a> {
    /// The upstream's headers, with `:status`.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

impl InvokeResponse<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        first(self.headers, name)
    }

    /// Returns the upstream's status, and 0 if there is none.
    #[must_use]
    pub(crate) fn status(&self) -> u16 {
        let text = std::str::from_utf8(self.header(":status").unwrap_or_default());
        text.ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// Returns whether an emulator responded. AWS and the invoker always send a request id or an error
    /// type, the emulator neither. It sends a function error as a 200 (or a 502, if the process ended)
    /// that only the payload tells from a response.
    pub(super) fn is_from_emulator(&self) -> bool {
        self.header(headers::REQUEST_ID).is_none() && self.header(headers::ERROR_TYPE).is_none()
    }
}
