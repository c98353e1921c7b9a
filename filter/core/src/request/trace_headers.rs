//! The trace of a request.

use std::hash::{DefaultHasher, Hash, Hasher};

use lambda_api::headers::{TRACE_ID, TRACEPARENT, TRACESTATE};
use lambda_api::trace::{self, Trace};

use super::RequestAttributes;

/// Returns the trace that a request's headers name, or a new one.
///
/// Envoy's tracer has already put its span into `traceparent`, for each attempt anew.
pub(crate) fn trace_of<'a>(
    map: &'a [(String, Vec<u8>)],
    attributes: &RequestAttributes,
) -> Trace<'a> {
    let values = |wanted: &'static str| {
        let headers = map.iter().filter(move |(name, _)| name == wanted);
        headers.map(|(_, value)| value.as_slice())
    };
    let mut parents = values(TRACEPARENT);
    // W3C Trace Context: of several, none counts.
    let parent = parents.next().filter(|_| parents.next().is_none());
    let trace = Trace::read(values(TRACE_ID).next(), parent);
    trace.unwrap_or_else(|| Trace::root(new_id(attributes), None))
}

/// Returns the `tracestate` that goes with a valid `traceparent`: its lines are one list.
pub(crate) fn trace_state(headers: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let lines = headers.iter().filter(|(name, _)| *name == TRACESTATE);
    let lines: Vec<_> = lines.map(|(_, value)| *value).collect();
    Some(lines.join(&b","[..])).filter(|state| trace::is_valid_state(state))
}

/// Returns the id of a new trace. It is made from the request's id and time, so that it is the same for each
/// attempt.
fn new_id(attributes: &RequestAttributes) -> u128 {
    let seconds = attributes.time_ns / 1_000_000_000;
    let mut hasher = DefaultHasher::new();
    (&attributes.request_id, attributes.time_ns).hash(&mut hasher);
    let high = hasher.finish();
    high.hash(&mut hasher);
    let low = hasher.finish() >> 32;
    let random = u128::from(high) << 32 | u128::from(low);
    trace::new_id(u32::try_from(seconds).unwrap_or_default(), random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HeaderMap;

    const XRAY: &[u8] =
        b"Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";
    const PARENT: &[u8] = b"00-58406520a006649127e371903a2de979-53995c3f42cd8ad8-01";

    fn trace(headers: &[(&str, &[u8])]) -> (String, Option<String>) {
        let attributes = RequestAttributes {
            request_id: "6b1c7a0e-0d5e-4c57-9a40-0c7a1a5d7e11".to_owned(),
            time_ns: 1_584_039_838_390_000_000,
            ..RequestAttributes::default()
        };
        let map = headers.iter();
        let map: HeaderMap = map
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        let trace = trace_of(&map, &attributes);
        (
            trace.xray().to_owned(),
            trace.traceparent().map(str::to_owned),
        )
    }

    #[test]
    fn a_trace_is_made_if_there_is_none_and_is_the_same_for_each_attempt() {
        let made = trace(&[]);
        let digest = made.0.strip_prefix("Root=1-5e6a879e-").unwrap();
        assert_eq!((digest.len(), &made.1), (24, &None));
        for invalid in [&b"\xff"[..], b"Root=1-a-b", &[b'a'; 513]] {
            assert_eq!(trace(&[(TRACE_ID, invalid)]), made);
            assert_eq!(trace(&[(TRACEPARENT, invalid)]), made);
        }
        assert_eq!(trace(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]), made);
    }

    #[test]
    fn each_header_of_a_trace_is_made_from_the_other() {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let both = (text(XRAY), Some(text(PARENT)));
        assert_eq!(trace(&[(TRACE_ID, XRAY)]), both);
        assert_eq!(trace(&[(TRACEPARENT, PARENT)]), both);
        assert_eq!(trace(&[(TRACEPARENT, PARENT), (TRACE_ID, b"x")]), both);
    }

    #[test]
    fn the_lines_of_a_trace_state_are_one_list() {
        let a: (&str, &[u8]) = (TRACESTATE, b"a=1");
        let b: (&str, &[u8]) = (TRACESTATE, b"b=2");
        assert_eq!(trace_state(&[a, ("x", b"y"), b]).unwrap(), b"a=1,b=2");
        // Envoy's tracer leaves an empty one.
        assert_eq!(trace_state(&[(TRACESTATE, b"")]), None);
        assert_eq!(trace_state(&[]), None);
    }
}
