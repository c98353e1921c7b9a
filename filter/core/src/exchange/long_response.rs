//! A response whose body is decoded as it comes, on a host that [can change
//! parts](super::Capabilities::changes_parts).

use super::client_response::{add_ids, is_head, send_whole};
use super::host::{Flow, Host, Side};
use super::phase::{Attempt, BodyBuffer, Exchange, Phase};
use crate::request::HeaderMap;
use crate::response::has_body;
use crate::response::long_body::LongBody;

/// Takes the first part of a response's body, which is not the last.
pub(super) fn begin(host: &impl Host, mut attempt: Attempt, headers: HeaderMap) -> Phase {
    let start = attempt.decode_start(host);
    let mut body: Option<LongBody> = None;
    let is_begun = has_body(&headers, &attempt.config)
        && host.change_part(|piece, out| match &mut body {
            Some(body) => body.read(piece, out),
            None => {
                body = LongBody::begin(piece, out);
                body.is_some()
            }
        });
    attempt.decode_end(host, start);
    match body {
        Some(body) if is_begun => Phase::DecodingBody(attempt, headers, Box::new(body)),
        _ => Phase::BufferingResponse(attempt, headers, BodyBuffer::Present),
    }
}

/// Takes a further part of the body.
pub(super) fn go_on(
    host: &impl Host,
    mut attempt: Attempt,
    headers: HeaderMap,
    mut body: Box<LongBody>,
) -> Phase {
    let start = attempt.decode_start(host);
    let is_read = body.read_part(|body| host.change_part(|piece, out| body.read(piece, out)));
    attempt.decode_end(host, start);
    if is_read {
        Phase::DecodingBody(attempt, headers, body)
    } else {
        undo(host, &body);
        Phase::BufferingResponse(attempt, headers, BodyBuffer::Present)
    }
}

/// Puts the payload back as it came.
fn undo(host: &impl Host, body: &LongBody) {
    let payload = body.payload(&host.body(Side::Response));
    host.set_body(Side::Response, &payload);
}

impl Exchange {
    /// Sends the response, whose body is complete.
    pub(super) fn finish_long_response(&mut self, host: &impl Host) -> Flow {
        let Phase::DecodingBody(mut attempt, headers, body) = self.take() else {
            return Flow::Continue;
        };
        let start = attempt.decode_start(host);
        // While there is another attempt, a response may have to wait, and then needs its body.
        if self.attempts.total(attempt.key) <= 1
            && let Some((mut response, length)) = body.finish(&headers, &attempt.config)
        {
            attempt.decode_end(host, start);
            attempt.record_decode_time(host);
            add_ids(&mut response, &attempt, &headers);
            let is_head = is_head(&attempt);
            send_whole(host, &response, is_head, BodyBuffer::Present, Some(length));
            self.phase = Phase::PassingThrough(attempt);
            return Flow::Continue;
        }
        attempt.decode_end(host, start);
        undo(host, &body);
        self.phase = Phase::BufferingResponse(attempt, headers, BodyBuffer::Present);
        self.decode_response(host)
    }
}
