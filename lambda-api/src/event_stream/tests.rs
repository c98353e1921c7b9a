use proptest::prelude::*;

use super::*;

/// A message with encoded headers.
fn raw_message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(headers.len() + payload.len() + 16).unwrap();
    let mut bytes = total.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Returns the payload and the end of `stream`, which comes in pieces of these lengths.
fn read(stream: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, Option<End>), StreamError> {
    let mut reader = Reader::new();
    let (mut payload, mut end) = (Vec::new(), None);
    let mut rest = stream;
    let lengths = pieces.iter().copied().chain([usize::MAX]);
    for length in lengths {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        let found = reader.read(&mut piece)?;
        payload.extend_from_slice(&piece);
        assert!(found.is_none() || end.is_none(), "a second end: {found:?}");
        end = end.or(found);
        assert_eq!(reader.has_ended(), end.is_some());
    }
    Ok((payload, end))
}

fn complete(json: &[u8]) -> Option<End> {
    Some(End::Complete(json.to_vec()))
}

fn stream() -> Vec<u8> {
    let messages = [
        payload_chunk(b"one "),
        payload_chunk(b""),
        payload_chunk(b"two"),
        invoke_complete(b"{}"),
    ];
    messages.map(|message| message.to_vec()).concat()
}

#[test]
fn a_message_has_the_framing_of_the_specification() {
    let bytes = message(&[("a", "b")], b"{}").to_vec();
    let prelude = [0, 0, 0, 24, 0, 0, 0, 6];
    assert_eq!(bytes[..8], prelude);
    assert_eq!(bytes[8..12], crc32fast::hash(&prelude).to_be_bytes());
    assert_eq!(bytes[12..18], [1, b'a', 7, 0, 1, b'b']);
    assert_eq!(bytes[18..20], *b"{}");
    assert_eq!(bytes[20..], crc32fast::hash(&bytes[..20]).to_be_bytes());
}

#[test]
fn messages_may_be_cut_at_every_byte() {
    let stream = stream();
    let expected = Ok((b"one two".to_vec(), complete(b"{}")));
    for cut in 0..=stream.len() {
        assert_eq!(read(&stream, &[cut]), expected, "at {cut}");
    }
    assert_eq!(read(&stream, &vec![1; stream.len()]), expected);
}

#[test]
fn payload_passes_before_its_message_is_whole() {
    let message = payload_chunk(&[b'x'; 1000]).to_vec();
    let mut first = message[..900].to_vec();
    assert_eq!(Reader::new().read(&mut first), Ok(None));
    assert!((700..900).contains(&first.len()), "{}", first.len());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let stream = stream();
    for byte in 0..stream.len() {
        for bit in 0..8 {
            let mut broken = stream.clone();
            broken[byte] ^= 1 << bit;
            let outcome = read(&broken, &[]);
            // A message that became longer has not ended.
            let is_noticed = matches!(outcome, Err(_) | Ok((_, None)));
            assert!(is_noticed, "bit {bit} of byte {byte}: {outcome:?}");
        }
    }
}

#[test]
fn lengths_have_limits() {
    let prelude = |total: u32, headers: u32| {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    };
    for (total, headers) in [
        (15, 0),
        (16, 1),
        (u32::MAX, 0),
        (200_000, 131_073),
        (u32::MAX, u32::MAX),
    ] {
        let expected = Err(StreamError::Lengths { total, headers });
        assert_eq!(read(&prelude(total, headers), &[]), expected);
    }
    assert!(read(&prelude(16, 0), &[]).is_ok());
    let bytes = MAX_COMPLETE_BYTES + 1;
    let large = invoke_complete(&vec![b' '; bytes]).to_vec();
    assert_eq!(read(&large, &[]), Err(StreamError::CompleteTooLarge(bytes)));
}

#[test]
fn an_exception_or_error_ends_the_stream() {
    let end = |message: Message<'_>| read(&message.to_vec(), &[]).unwrap().1.unwrap();
    assert_eq!(
        end(exception("ServiceException", b"{}")),
        End::Exception("ServiceException".to_owned())
    );
    let error = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
    ];
    assert_eq!(
        end(message(&error, b"")),
        End::Exception("InternalFailure".to_owned())
    );
}

#[test]
fn bytes_behind_the_end_are_dropped() {
    let end = invoke_complete(b"{}").to_vec();
    let stream = [end, payload_chunk(b"more").to_vec(), vec![0xff; 40]].concat();
    for pieces in [&[][..], &[1; 150]] {
        assert_eq!(read(&stream, pieces), Ok((Vec::new(), complete(b"{}"))));
    }
}

#[test]
fn headers_of_every_type_are_read_over() {
    let mut headers = Vec::new();
    for (kind, value) in [
        (0, &b""[..]),
        (1, b""),
        (2, b"1"),
        (3, b"12"),
        (4, b"1234"),
        (5, b"12345678"),
        (6, b"\0\x02ab"),
        (8, b"12345678"),
        (9, b"0123456789abcdef"),
        (7, b"\0\x02ab"),
    ] {
        headers.extend_from_slice(b"\x01h");
        headers.push(kind);
        headers.extend_from_slice(value);
    }
    headers.extend_from_slice(b"\x0b:event-type\x07\0\x0cPayloadChunk");
    let (payload, _) = read(&raw_message(&headers, b"x"), &[]).unwrap();
    assert_eq!(payload, b"x");
    for end in 1..headers.len() {
        let _ = read(&raw_message(&headers[..end], b"x"), &[]);
    }
    let unknown_type = raw_message(b"\x01h\x0a", b"");
    assert_eq!(read(&unknown_type, &[]), Err(StreamError::Headers));
    // An event that AWS may add one day.
    let unknown = message(&[(":event-type", "New")], b"x").to_vec();
    assert_eq!(read(&unknown, &[]), Ok((Vec::new(), None)));
}

#[test]
fn headers_are_cut_to_the_longest_that_the_format_allows() {
    let message = exception(&"x".repeat(70_000), b"{}").to_vec();
    let (_, end) = read(&message, &[]).unwrap();
    assert_eq!(end, Some(End::Exception("x".repeat(32_767))));
}

#[test]
fn twelve_bytes_tell_an_event_stream() {
    let message = payload_chunk(b"x").to_vec();
    assert_eq!(begins_message(&message[..11]), None);
    assert_eq!(begins_message(&message[..12]), Some(true));
    assert_eq!(begins_message(br#"{"statusCode":200}"#), Some(false));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec(0..50_usize, 0..10),
    ) {
        prop_assert_eq!(read(&bytes, &pieces).is_ok(), read(&bytes, &[]).is_ok());
    }
}
