use std::path::Path;
use std::time::SystemTime;

use hyper::Response;
use lambda_api::{FunctionAddress, InvocationType, LogType, Operation};

use super::super::{MAX_STREAMS, Replayer};
use super::*;
use crate::backend::Backends;
use crate::backend::local::{LocalContext, Output};
use crate::config::Config;
use crate::invocation::RequestId;
use crate::metrics::Metrics;
use crate::observation::Observer;
use crate::recorder::{Begin, Recorder, Recording};
use crate::traces::Tracer;

/// The number of records that are kept.
const MAX_RECORDS: usize = 500;

fn console() -> Arc<Console> {
    let config = "functions: { f: { rie: 'http://localhost:1' } }";
    let config = Config::parse("invoker.yaml", config, Path::new("/")).unwrap();
    let (output, _) = Output::to(io::sink(), config.log_format, SystemTime::now);
    let context = LocalContext::new(SystemTime::now, output);
    let metrics = Arc::new(Metrics::new(&config));
    let tracer = Tracer::without_spans(SystemTime::now);
    let observer = Observer::new(Arc::clone(&metrics), tracer, None);
    let backends = Arc::new(Backends::new(&config, &observer, context).unwrap());
    let recorder = Recorder::new(MAX_RECORDS, SystemTime::now);
    let replayer: Replayer = Box::new(|_, _| None);
    let clock = SystemTime::now;
    Console::new(recorder, (backends, metrics), (None, &[]), replayer, clock)
}

fn begin(console: &Console) -> Recording {
    let begin = Begin {
        request_id: RequestId::random(),
        address: &FunctionAddress::parse("f", None).unwrap(),
        operation: Operation::Invoke,
        invocation_type: InvocationType::RequestResponse,
        log_type: LogType::None,
        client_context: None,
        tenant_id: None,
        client_request: None,
        replay_of: None,
        is_attempt: false,
    };
    Recording::begin(&console.recorder, &begin)
}

fn end(mut recording: Recording) {
    recording.respond(&Ok(Response::new(())));
    recording.piece(&Bytes::from_static(b"{}"));
    recording.complete();
}

fn calls(console: &Console, count: usize) {
    (0..count).for_each(|_| end(begin(console)));
}

/// Returns the data of the events with this name.
fn data(events: &str, name: &str) -> Vec<Value> {
    let events = events.split("\n\n");
    let of_name = events.filter(|event| event.starts_with(&format!("event: {name}\n")));
    let data = of_name.map(|event| event.split_once("data: ").unwrap().1);
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn collect(stream: &mut Stream) -> String {
    let mut events = String::new();
    stream.collect(&mut events);
    events
}

#[tokio::test]
async fn each_of_ten_thousand_invocations_in_ten_intervals_is_shown_or_counted() {
    let console = console();
    let mut stream = Stream::new(Arc::clone(&console), Some(Cursor::now(&console)));
    collect(&mut stream);
    let (mut shown, mut missed) = (HashSet::new(), 0);
    for _ in 0..10 {
        calls(&console, 1_000);
        let events = collect(&mut stream);
        let invocations = data(&events, "invocation");
        assert_eq!(invocations.len(), MAX_INVOCATIONS);
        assert!(events.len() < 32 << 10, "{}", events.len());
        shown.extend(invocations.iter().map(|one| one["id"].as_u64().unwrap()));
        missed += data(&events, "missed")[0]["count"].as_u64().unwrap();
    }
    assert_eq!(shown.len() as u64 + missed, 10_000);
    // The newest are shown.
    assert!(shown.contains(&10_000));
    assert_eq!(console.recorder.all().0.len(), MAX_RECORDS);
    assert_eq!(collect(&mut stream), "");
}

#[tokio::test]
async fn an_invocation_that_is_shown_as_running_ends_on_the_page_in_a_flood() {
    let console = console();
    let mut stream = Stream::new(Arc::clone(&console), Some(Cursor::now(&console)));
    let running = begin(&console);
    let first = data(&collect(&mut stream), "invocation");
    assert_eq!((first.len(), &first[0]["state"]), (1, &"running".into()));
    end(running);
    calls(&console, MAX_RECORDS - 1);
    let events = collect(&mut stream);
    let invocations = data(&events, "invocation");
    assert_eq!(invocations.len(), MAX_INVOCATIONS + 1);
    assert_eq!(invocations[0]["id"], first[0]["id"]);
    assert_eq!(invocations[0]["state"], "done");
    let missed = MAX_RECORDS - 1 - MAX_INVOCATIONS;
    assert_eq!(data(&events, "missed")[0]["count"], missed);
}

#[tokio::test]
async fn an_invocation_that_was_running_before_the_stream_ends_on_the_page_in_a_flood() {
    let console = console();
    let running = begin(&console);
    let id = running.id();
    let mut stream = Stream::new(Arc::clone(&console), Some(Cursor::now(&console)));
    assert!(data(&collect(&mut stream), "invocation").is_empty());
    end(running);
    calls(&console, MAX_RECORDS - 1);
    let events = collect(&mut stream);
    let invocations = data(&events, "invocation");
    assert_eq!(invocations.len(), MAX_INVOCATIONS + 1);
    assert_eq!(invocations[0]["id"], id);
    assert_eq!(invocations[0]["state"], "done");
}

#[tokio::test]
async fn an_invocation_that_was_counted_as_missed_while_it_ran_is_not_shown_when_it_ends() {
    const LEFT_OUT: usize = 5;
    let console = console();
    let mut stream = Stream::new(Arc::clone(&console), Some(Cursor::now(&console)));
    collect(&mut stream);
    let ids = |events: &str| -> HashSet<u64> {
        let invocations = data(events, "invocation").into_iter();
        invocations.map(|one| one["id"].as_u64().unwrap()).collect()
    };
    let running = (0..MAX_INVOCATIONS + LEFT_OUT).map(|_| begin(&console));
    let running: Vec<_> = running.collect();
    let events = collect(&mut stream);
    let shown = ids(&events);
    assert_eq!(shown.len(), MAX_INVOCATIONS);
    assert_eq!(data(&events, "missed")[0]["count"], LEFT_OUT);
    running.into_iter().for_each(end);
    let events = collect(&mut stream);
    assert_eq!(ids(&events), shown);
    assert!(data(&events, "missed").is_empty(), "{events}");
}

#[tokio::test]
async fn what_was_cleared_was_not_missed() {
    let console = console();
    let mut stream = Stream::new(Arc::clone(&console), Some(Cursor::now(&console)));
    collect(&mut stream);
    calls(&console, 100);
    console.recorder.clear();
    calls(&console, 1);
    let events = collect(&mut stream);
    assert!(events.starts_with("event: cleared\n"), "{events}");
    assert_eq!(data(&events, "invocation").len(), 1);
    assert!(data(&events, "missed").is_empty(), "{events}");
}

#[tokio::test]
async fn a_reader_that_was_away_hears_that_the_list_was_cleared() {
    let console = console();
    calls(&console, 2);
    let left_at = Cursor::now(&console).to_string();
    console.recorder.clear();
    calls(&console, 1);
    let mut stream = Stream::new(Arc::clone(&console), Cursor::parse(&left_at, &console));
    let events = collect(&mut stream);
    assert!(events.starts_with("event: cleared\n"), "{events}");
    let invocations = data(&events, "invocation");
    assert_eq!((invocations.len(), &invocations[0]["id"]), (1, &3.into()));
    // It hears of it once.
    let again = Cursor::now(&console).to_string();
    let mut stream = Stream::new(Arc::clone(&console), Cursor::parse(&again, &console));
    assert!(!collect(&mut stream).contains("cleared"));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let console = console();
    let permit = Arc::clone(&console.streams).try_acquire_owned().unwrap();
    let mut body = body(&console, None, permit);
    assert_eq!(console.streams.available_permits(), MAX_STREAMS - 1);
    tokio::time::sleep(HEARTBEAT + READ_TIMEOUT / 2).await;
    calls(&console, 1_000);
    assert_eq!(console.streams.available_permits(), MAX_STREAMS - 1);
    tokio::time::sleep(HEARTBEAT + READ_TIMEOUT).await;
    assert_eq!(console.streams.available_permits(), MAX_STREAMS);
    // One piece was waiting for it, from before it slept.
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(piece.starts_with(b"retry: 1000\n\n"));
    assert!(body.frame().await.is_none());
}
