//! From a request to the event that its function gets: one module per format.

mod apigateway_v2;
pub(crate) mod json;
mod query;

use crate::config::{Config, Payload};
use crate::error::Error;
use crate::request::Request;

/// The event for a request, as JSON.
///
/// # Errors
/// [`Error::EventTooLarge`].
pub fn encode(request: &Request<'_>, config: &Config) -> Result<Vec<u8>, Error> {
    let limit = config.max_request_bytes;
    // Every format carries the body, so an event is never smaller.
    within(request.body.len(), limit)?;
    let event = match config.payload {
        Payload::ApigatewayV2 => apigateway_v2::encode(request, config),
    };
    within(event.len(), limit)?;
    Ok(event)
}

/// Refuses what is larger than an event may be.
///
/// # Errors
/// [`Error::EventTooLarge`].
pub fn within(found: usize, limit: usize) -> Result<(), Error> {
    if found > limit {
        return Err(Error::EventTooLarge { found, limit });
    }
    Ok(())
}
