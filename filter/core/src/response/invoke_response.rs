//! What the upstream answered to the invocation.

use lambda_api::headers;

use crate::request::HeaderMap;
use crate::request::header_map::first;

/// What the upstream answered to the invocation.
#[derive(Debug)]
pub struct InvokeResponse<'a> {
    /// The upstream's headers, with `:status`.
    pub headers: &'a HeaderMap,
    /// Its whole body.
    pub body: &'a [u8],
}

impl InvokeResponse<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        first(self.headers, name)
    }

    /// The upstream's status; 0 if it has none.
    #[must_use]
    pub(crate) fn status(&self) -> u16 {
        let text = std::str::from_utf8(self.header(":status").unwrap_or_default());
        text.ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// AWS and the invoker always name the request. The emulator never does, and it reports a
    /// function's error as a plain 200 (or, if the process ended, 502) that only the payload
    /// tells from an answer.
    pub(super) fn is_from_emulator(&self) -> bool {
        self.header(headers::REQUEST_ID).is_none() && self.header(headers::ERROR_TYPE).is_none()
    }
}
