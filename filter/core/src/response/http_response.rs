//! A response in the making.

/// A response in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names in lower case, checked; no content-length.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// The length that the function itself gave: for HEAD, where the body is left out.
    pub declared_length: Option<u64>,
}

/// Whether a response with this status may have a body: RFC 9110, sections 15.3.5, 15.3.6 and
/// 15.4.5.
#[must_use]
pub(crate) fn has_content(status: u16) -> bool {
    !matches!(status, 204 | 205 | 304)
}
