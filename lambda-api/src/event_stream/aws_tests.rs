//! The writer and the reader of event streams against AWS's own crate.

use aws_smithy_eventstream::frame::{
    DecodedFrame, MessageFrameDecoder, read_message_from, write_message_to,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use proptest::prelude::*;

use super::{End, Reader, exception, invoke_complete, message, payload_chunk};

/// Returns the headers of a message, in order.
fn texts(message: &Message) -> Vec<(&str, &str)> {
    let headers = message.headers().iter();
    headers
        .map(|header| {
            let value = header.value().as_string().unwrap();
            (header.name().as_str(), value.as_str())
        })
        .collect()
}

/// Returns a message as AWS's crate writes it.
fn written_by_aws(headers: Vec<Header>, payload: &[u8]) -> Vec<u8> {
    let message = Message::new_from_parts(headers, payload.to_vec());
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn event(name: &'static str, more: Vec<Header>, payload: &[u8]) -> Vec<u8> {
    let mut headers = more;
    headers.push(Header::new(":event-type", HeaderValue::String(name.into())));
    headers.push(Header::new(
        ":message-type",
        HeaderValue::String("event".into()),
    ));
    written_by_aws(headers, payload)
}

/// Returns the payload and the end of a stream that comes in pieces of these lengths.
fn read(mut stream: &[u8], pieces: &[usize]) -> (Vec<u8>, Option<End>) {
    let mut reader = Reader::new();
    let (mut payload, mut end) = (Vec::new(), None);
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, rest) = stream.split_at(length.min(stream.len()));
        stream = rest;
        let mut piece = piece.to_vec();
        end = end.or(reader.read(&mut piece).unwrap());
        payload.extend_from_slice(&piece);
    }
    (payload, end)
}

#[test]
fn aws_reads_our_events() {
    let chunk = read_message_from(payload_chunk(b"hello").to_vec().as_slice()).unwrap();
    assert_eq!(
        texts(&chunk),
        [
            (":event-type", "PayloadChunk"),
            (":content-type", "application/octet-stream"),
            (":message-type", "event"),
        ]
    );
    assert_eq!(&chunk.payload()[..], b"hello");

    let complete = read_message_from(invoke_complete(b"{}").to_vec().as_slice()).unwrap();
    assert_eq!(
        texts(&complete),
        [
            (":event-type", "InvokeComplete"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ]
    );
    assert_eq!(&complete.payload()[..], b"{}");

    let exception = exception("ServiceException", b"{}").to_vec();
    let exception = read_message_from(exception.as_slice()).unwrap();
    assert_eq!(
        texts(&exception),
        [
            (":exception-type", "ServiceException"),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ]
    );
}

#[test]
fn our_reader_reads_over_every_type_of_aws_s_headers() {
    let values = [
        HeaderValue::Bool(true),
        HeaderValue::Bool(false),
        HeaderValue::Byte(-1),
        HeaderValue::Int16(-1),
        HeaderValue::Int32(-1),
        HeaderValue::Int64(-1),
        HeaderValue::ByteArray(vec![0xff; 300].into()),
        HeaderValue::String("PayloadChunk".into()),
        HeaderValue::Timestamp(DateTime::from_secs(1)),
        HeaderValue::Uuid(u128::MAX),
    ];
    let headers: Vec<Header> = values.map(|value| Header::new("h", value)).into();
    let stream = event("PayloadChunk", headers, b"x");
    assert_eq!(read(&stream, &[]), (b"x".to_vec(), None));
}

#[test]
fn aws_s_exceptions_and_errors_end_the_stream() {
    let text = |name, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let exception = written_by_aws(
        vec![
            text(":message-type", "exception"),
            text(":exception-type", "ServiceException"),
        ],
        b"{}",
    );
    let error = written_by_aws(
        vec![
            text(":message-type", "error"),
            text(":error-code", "InternalFailure"),
        ],
        b"",
    );
    for (stream, name) in [(exception, "ServiceException"), (error, "InternalFailure")] {
        let end = Some(End::Exception(name.to_owned()));
        assert_eq!(read(&stream, &[]), (Vec::new(), end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn our_reader_reads_aws_s_stream_in_any_pieces(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
        complete in prop::collection::vec(any::<u8>(), 0..100),
        pieces in prop::collection::vec(0..200_usize, 0..40),
    ) {
        let mut stream: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| event("PayloadChunk", Vec::new(), payload))
            .collect();
        stream.extend(event("InvokeComplete", Vec::new(), &complete));
        let expected = (payloads.concat(), Some(End::Complete(complete)));
        prop_assert_eq!(read(&stream, &pieces), expected);
    }

    #[test]
    fn aws_reads_our_stream_in_any_pieces(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
        pieces in prop::collection::vec(0..200_usize, 0..40),
    ) {
        let stream: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| payload_chunk(payload).to_vec())
            .collect();
        let mut decoder = MessageFrameDecoder::new();
        // AWS's decoder keeps what it has not read in the caller's buffer.
        let (mut buffered, mut decoded) = (Vec::new(), Vec::new());
        let mut rest = stream.as_slice();
        for length in pieces.into_iter().chain([usize::MAX]) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            buffered.extend_from_slice(piece);
            let mut unread = buffered.as_slice();
            while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut unread).unwrap() {
                decoded.push(message.payload().to_vec());
            }
            buffered = unread.to_vec();
        }
        prop_assert_eq!(decoded, payloads);
        prop_assert!(buffered.is_empty());
    }

    #[test]
    fn aws_reads_any_message_of_ours(
        headers in prop::collection::vec(("[a-z:-]{1,255}", ".{0,300}"), 0..8),
        payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let borrowed: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let bytes = message(&borrowed, &payload).to_vec();
        let message = read_message_from(bytes.as_slice()).unwrap();
        prop_assert_eq!(texts(&message), borrowed);
        prop_assert_eq!(&message.payload()[..], &payload[..]);
    }
}
