use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use lambda_api::{FunctionAddress, InvocationType, LogType, Operation};

use super::store::MAX_BYTES;
use super::*;
use crate::invocation::RequestId;

fn recorder(max_records: usize) -> Arc<Recorder> {
    Recorder::new(max_records, SystemTime::now)
}

fn begin(recorder: &Arc<Recorder>) -> Recording {
    begin_with(recorder, None)
}

fn begin_with(recorder: &Arc<Recorder>, client_request: Option<&HeaderValue>) -> Recording {
    let address = FunctionAddress::parse("hello", None).unwrap();
    Recording::begin(
        recorder,
        &Begin {
            request_id: RequestId::random(),
            address: &address,
            operation: Operation::Invoke,
            invocation_type: InvocationType::RequestResponse,
            log_type: LogType::None,
            client_context: None,
            tenant_id: None,
            client_request,
            replay_of: None,
            is_attempt: false,
        },
    )
}

fn call(recorder: &Arc<Recorder>, event: &Bytes, payload: &Bytes) -> u64 {
    let mut recording = begin(recorder);
    recording.event(event);
    recording.respond(&Ok(Response::new(())));
    recording.piece(payload);
    recording.complete();
    recording.id()
}

#[test]
fn a_record_has_what_was_observed() {
    let recorder = recorder(10);
    let (event, payload) = (Bytes::from_static(b"{}"), Bytes::from_static(b"[1]"));
    let id = call(&recorder, &event, &payload);
    let record = recorder.find(id).unwrap();
    let kept = record.snapshot();
    assert_eq!(kept.event, Some(event));
    assert_eq!(kept.body.pieces, [payload]);
    assert!(kept.end.unwrap().is_complete);
    assert!(matches!(kept.response, Some(ResponseHead::Ok(status, _)) if status == 200));
}

#[test]
fn a_caller_that_leaves_leaves_an_end() {
    let recorder = recorder(10);
    let recording = begin(&recorder);
    let record = recorder.find(recording.id()).unwrap();
    assert_eq!(record.end(), None);
    let before = recorder.last_change();
    drop(recording);
    assert!(!record.end().unwrap().is_complete);
    let changes = recorder.changed_since(before);
    assert_eq!(changes.changed, [(before + 1, record.id)]);
    assert_eq!(changes.last_id, record.id);
}

#[test]
fn the_oldest_make_room() {
    let recorder = recorder(3);
    let none = Bytes::new();
    let ids: Vec<_> = (0..5).map(|_| call(&recorder, &none, &none)).collect();
    let (kept, dropped) = recorder.all();
    assert_eq!(
        kept.iter().map(|record| record.id).collect::<Vec<_>>(),
        ids[2..]
    );
    assert_eq!(dropped, 2);
    assert!(recorder.find(ids[1]).is_none() && recorder.find(ids[4] + 1).is_none());
    recorder.clear();
    assert_eq!(recorder.all().0.len(), 0);
    assert_eq!(recorder.times_cleared(), 1);
    assert_eq!(call(&recorder, &none, &none), ids[4] + 1);
}

#[test]
fn a_record_that_is_read_outlives_its_place_and_no_other_shows_its_parts() {
    let recorder = recorder(1);
    let (event, payload) = (Bytes::from_static(b"{}"), Bytes::from_static(b"[1]"));
    let first = recorder.find(call(&recorder, &event, &payload)).unwrap();
    let second = call(&recorder, &payload, &event);
    // Its place was taken, but not its memory.
    assert!(recorder.find(first.id).is_none());
    assert_eq!(first.id + 1, second);
    assert_eq!(
        recorder.find(second).unwrap().snapshot().event,
        Some(payload)
    );
    let recording = begin(&recorder);
    let third = recorder.find(recording.id()).unwrap().snapshot();
    assert!(third.event.is_none() && third.response.is_none() && third.end.is_none());
    assert_eq!((third.body.pieces.len(), third.body.size), (0, 0));
}

#[test]
fn small_pieces_of_a_stream_are_one() {
    let recorder = recorder(1);
    let mut recording = begin(&recorder);
    recording.respond(&Ok(Response::new(())));
    let piece = Bytes::from_static(b"piece;");
    (0..1000).for_each(|_| recording.piece(&piece));
    let body = recorder.find(recording.id()).unwrap().snapshot().body;
    assert_eq!(body.pieces, ["piece;".repeat(1000)]);
    drop(recording);
    assert!(recorder.bytes() >= 6_000);
}

#[test]
fn a_snapshot_of_a_long_stream_of_small_pieces_copies_only_its_end() {
    let recorder = recorder(1);
    let mut recording = begin(&recorder);
    let event = Bytes::from_static(b"{}");
    recording.event(&event);
    let response = Response::builder().header("name", "value").body(());
    recording.respond(&Ok(response.unwrap()));
    let mut sent = String::new();
    for number in 0..30_000 {
        let piece = format!("piece {number};");
        sent.push_str(&piece);
        recording.piece(&piece.into());
    }
    let record = recorder.find(recording.id()).unwrap();
    let (first, second) = (record.snapshot(), record.snapshot());
    assert!(first.body.pieces.concat() == sent.as_bytes());
    assert_eq!(first.event, Some(event));
    let Some(ResponseHead::Ok(_, headers)) = first.response else {
        panic!("{:?}", first.response);
    };
    assert_eq!(headers[0].1, b"value");
    let pairs = first.body.pieces.iter().zip(&second.body.pieces);
    let copied = pairs.filter(|(first, second)| first.as_ptr() != second.as_ptr());
    let copied: usize = copied.map(|(piece, _)| piece.len()).sum();
    assert!(copied < 64 << 10, "{copied}");
    drop(recording);
    assert!((sent.len()..sent.len() + (256 << 10)).contains(&recorder.bytes()));
}

#[test]
fn the_bytes_of_all_records_have_a_limit() {
    let recorder = recorder(10_000);
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..200 {
        call(&recorder, &large, &large);
    }
    let (kept, dropped) = recorder.all();
    assert!((28..=32).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.len() as u64 + dropped, 200);
    assert!(recorder.bytes() <= MAX_BYTES);
    recorder.clear();
    assert_eq!(recorder.bytes(), 0);
}

#[test]
fn large_events_count_before_the_end() {
    let recorder = recorder(500);
    let event = Bytes::from(vec![b'x'; 6 << 20]);
    let recordings = (0..20).map(|_| {
        let recording = begin(&recorder);
        recording.recipient().take_event(&event);
        recording
    });
    let recordings: Vec<_> = recordings.collect();
    assert!(recorder.bytes() <= MAX_BYTES);
    let (kept, dropped) = recorder.all();
    let events = kept.iter().filter_map(|record| record.snapshot().event);
    assert_eq!(events.map(|event| event.len()).sum::<usize>(), 60 << 20);
    assert_eq!((kept.len(), dropped), (10, 10));
    drop(recordings);
    assert_eq!(recorder.all().0.len(), 10);
}

#[test]
fn what_the_request_keeps_counts_from_the_beginning() {
    let recorder = recorder(500);
    let report = HeaderValue::from_bytes(&vec![b'x'; 1 << 20]).unwrap();
    let recordings = (0..100).map(|_| begin_with(&recorder, Some(&report)));
    let recordings: Vec<_> = recordings.collect();
    assert!(recorder.bytes() <= MAX_BYTES);
    assert_eq!(recorder.all().0.len(), 63);
    drop(recordings);
    recorder.clear();
    assert_eq!(recorder.bytes(), 0);
}

#[test]
fn a_stream_is_kept_up_to_a_limit_and_counts_while_it_comes() {
    let recorder = recorder(10);
    let mut recordings: Vec<_> = (0..10).map(|_| begin(&recorder)).collect();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    for recording in &mut recordings {
        recording.respond(&Ok(Response::new(())));
        for _ in 0..20 {
            recording.piece(&piece);
        }
    }
    let last = recorder.find(recordings[9].id()).unwrap().snapshot().body;
    assert!(last.is_cut && last.size == 20 << 20 && last.pieces.len() == 6);
    recorder.clear();
    for recording in &mut recordings {
        // Nothing more is kept of a record that is forgotten.
        recording.piece(&piece);
    }
    drop(recordings);
    assert_eq!(recorder.bytes(), 0);
}

#[test]
fn small_pieces_do_not_keep_large_buffers() {
    let recorder = recorder(10);
    let buffer = Bytes::from(vec![b'x'; 1 << 20]);
    let id = call(&recorder, &buffer.slice(..10), &buffer.slice(10..20));
    assert!(buffer.is_unique());
    assert_eq!(
        recorder.find(id).unwrap().snapshot().event.unwrap().len(),
        10
    );
}
