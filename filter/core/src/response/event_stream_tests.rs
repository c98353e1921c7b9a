use proptest::prelude::*;

use super::*;

/// A message with headers of text, encoded as AWS does.
fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).unwrap());
        encoded.extend_from_slice(name.as_bytes());
        encoded.push(7);
        encoded.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    raw_message(&encoded, payload)
}

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

fn chunk(payload: &[u8]) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", "PayloadChunk"),
        (":content-type", "application/octet-stream"),
    ];
    message(&headers, payload)
}

fn complete(payload: &[u8]) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", "InvokeComplete"),
        (":content-type", "application/json"),
    ];
    message(&headers, payload)
}

/// What is decoded from `stream`, cut at `cuts`: the payload and the end, or why not.
fn decode(stream: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<End>), String> {
    let mut decoder = Decoder::new();
    let mut payload = Vec::new();
    let mut rest = stream;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        rest = after;
        let mut piece = piece.to_vec();
        decoder.decode(&mut piece)?;
        payload.extend_from_slice(&piece);
    }
    let mut last = rest.to_vec();
    decoder.decode(&mut last)?;
    payload.extend_from_slice(&last);
    Ok((payload, decoder.end().cloned()))
}

fn stream() -> Vec<u8> {
    let parts = [chunk(b"one "), chunk(b""), chunk(b"two"), complete(b"{}")];
    parts.concat()
}

#[test]
fn messages_may_be_cut_at_every_byte() {
    let stream = stream();
    let expected = Ok((b"one two".to_vec(), Some(End::Complete)));
    for cut in 0..=stream.len() {
        assert_eq!(decode(&stream, &[cut]), expected, "at {cut}");
    }
    assert_eq!(decode(&stream, &vec![1; stream.len()]), expected);
}

#[test]
fn a_payload_passes_before_its_message_is_whole() {
    let message = chunk(&[b'x'; 1000]);
    let mut first = message[..900].to_vec();
    Decoder::new().decode(&mut first).unwrap();
    assert!((700..900).contains(&first.len()), "{}", first.len());
}

#[test]
fn any_flipped_bit_is_noticed() {
    let stream = stream();
    for byte in 0..stream.len() {
        for bit in 0..8 {
            let mut broken = stream.clone();
            broken[byte] ^= 1 << bit;
            let decoded = decode(&broken, &[]);
            // A longer message is one that has not ended.
            let is_noticed = decoded.is_err() || matches!(decoded, Ok((_, None)));
            assert!(is_noticed, "bit {bit} of byte {byte}: {decoded:?}");
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
        let error = decode(&prelude(total, headers), &[]).unwrap_err();
        assert!(error.contains(&total.to_string()), "{error}");
    }
    assert!(decode(&prelude(16, 0), &[]).is_ok());
    let large = complete(&vec![b' '; MAX_COMPLETE_BYTES + 1]);
    assert!(decode(&large, &[]).is_err());
}

#[test]
fn the_end_says_what_went_wrong() {
    let end = |message: &[u8]| decode(message, &[]).unwrap().1.unwrap();
    assert_eq!(end(&complete(b"")), End::Complete);
    assert_eq!(end(&complete(br#"{"LogResult":"bG9n"}"#)), End::Complete);
    let runtimes = br#"{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"E\"}"}"#;
    assert_eq!(
        end(&complete(runtimes)),
        End::Function(br#"{"errorType":"E"}"#.to_vec())
    );
    let text = br#"{"ErrorCode":"Sandbox.Timedout","ErrorDetails":"Task timed out"}"#;
    assert_eq!(
        end(&complete(text)),
        End::Function(
            br#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}"#.to_vec()
        )
    );
    let exception = [
        (":message-type", "exception"),
        (":exception-type", "ServiceException"),
    ];
    assert_eq!(
        end(&message(&exception, b"{}")),
        End::Service("ServiceException".to_owned())
    );
    let error = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
    ];
    assert_eq!(
        end(&message(&error, b"")),
        End::Service("InternalFailure".to_owned())
    );
}

#[test]
fn what_follows_the_end_is_dropped() {
    let stream = [complete(b"{}"), chunk(b"more"), vec![0xff; 40]].concat();
    assert_eq!(decode(&stream, &[]), Ok((Vec::new(), Some(End::Complete))));
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
    let named = b"\x0b:event-type\x07\0\x0cPayloadChunk";
    headers.extend_from_slice(named);
    let (payload, _) = decode(&raw_message(&headers, b"x"), &[]).unwrap();
    assert_eq!(payload, b"x");
    for end in 1..headers.len() {
        let _ = decode(&raw_message(&headers[..end], b"x"), &[]);
    }
    assert!(decode(&raw_message(b"\x01h\x0a", b""), &[]).is_err());
    // An event that AWS may add one day.
    let unknown = message(&[(":event-type", "New")], b"x");
    assert_eq!(decode(&unknown, &[]), Ok((Vec::new(), None)));
}

#[test]
fn twelve_bytes_tell_an_event_stream() {
    let message = chunk(b"x");
    assert_eq!(begins_message(&message[..11]), None);
    assert_eq!(begins_message(&message[..12]), Some(true));
    assert_eq!(begins_message(br#"{"statusCode":200}"#), Some(false));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_payload_in_any_pieces(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
        cuts in prop::collection::vec(0..200_usize, 0..40),
    ) {
        let mut stream: Vec<u8> = payloads.iter().flat_map(|payload| chunk(payload)).collect();
        stream.extend(complete(b"{}"));
        let expected = (payloads.concat(), Some(End::Complete));
        prop_assert_eq!(decode(&stream, &cuts), Ok(expected));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0..50_usize, 0..10)) {
        let decoded = decode(&bytes, &cuts);
        prop_assert_eq!(decode(&bytes, &[]).is_ok(), decoded.is_ok());
    }
}
