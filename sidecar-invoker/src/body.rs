//! Message bodies: reading those of bounded size, and the responses' own.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};

use crate::error::MAX_PAYLOAD_BYTES;

/// A response's body: whole, or passed on as it comes.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> ResponseBody {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is larger than [`MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// The peer broke off.
    BrokenOff(hyper::Error),
}

/// Reads a whole body and its trailers, and no further than [`MAX_PAYLOAD_BYTES`].
pub(crate) async fn read(body: &mut Incoming) -> Result<(Bytes, Option<HeaderMap>), ReadError> {
    if body.size_hint().lower() > MAX_PAYLOAD_BYTES as u64 {
        return Err(ReadError::TooLarge);
    }
    match Limited::new(body, MAX_PAYLOAD_BYTES).collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            Ok((collected.to_bytes(), trailers))
        }
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(error) => match error.downcast() {
            Ok(error) => Err(ReadError::BrokenOff(*error)),
            Err(_) => Err(ReadError::TooLarge),
        },
    }
}

/// Reads what is left of a body and throws it away.
pub(crate) async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Like [`drain`], but no further than twice [`MAX_PAYLOAD_BYTES`]; tells whether the body has ended.
pub(crate) async fn skip(body: &mut Incoming) -> bool {
    let mut left = 2 * MAX_PAYLOAD_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}
