use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{call, get, start};

/// A reader of the stream of events.
pub(super) struct Events {
    stream: TcpStream,
    text: String,
}

/// An event: its name, its id and its data.
type Event = (String, String, Value);

impl Events {
    pub(super) async fn open(admin: &str, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let request =
            format!("GET /console/api/stream{query} HTTP/1.1\r\nhost: {admin}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self {
            stream,
            text: String::new(),
        };
        events.read_until("\r\n\r\n").await;
        // The first event may come in the same segment as the head.
        let end = events.text.find("\r\n\r\n").unwrap();
        let head: String = events.text.drain(..end).collect();
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        events
    }

    async fn read_until(&mut self, text: &str) {
        let mut piece = vec![0; 64 << 10];
        while !self.text.contains(text) {
            let read = self.stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the stream ended: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }

    /// Returns the next event with this name.
    pub(super) async fn next(&mut self, name: &str) -> Event {
        loop {
            let event = self.any().await;
            if event.0 == name {
                return event;
            }
        }
    }

    /// Returns the next event.
    pub(super) async fn any(&mut self) -> Event {
        let next = async {
            self.read_until("event: ").await;
            let at = self.text.find("event: ").unwrap();
            self.text.drain(..at);
            self.read_until("\n\n").await;
            let end = self.text.find("\n\n").unwrap();
            let event: String = self.text.drain(..end).collect();
            let line = |name: &str| {
                let mut lines = event.lines();
                let line = lines.find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            let data = serde_json::from_str(&line("data: ")).unwrap();
            (line("event: "), line("id: "), data)
        };
        timeout(Duration::from_secs(10), next).await.unwrap()
    }
}

#[tokio::test]
async fn a_reader_gets_each_invocation_and_continues_where_it_left() {
    let invoker = start("").await;
    call(&invoker, &json!({})).await;
    let mut events = Events::open(&invoker.admin, "", "").await;
    let (_, id, first) = events.next("invocation").await;
    assert_eq!((&first["id"], &first["state"]), (&json!(1), &json!("done")));
    let (.., functions) = events.next("functions").await;
    assert_eq!(functions[0]["name"], "f");
    call(&invoker, &json!({})).await;
    let (.., second) = events.next("invocation").await;
    assert_eq!(second["id"], 2);
    drop(events);
    call(&invoker, &json!({})).await;
    let mut events = Events::open(&invoker.admin, "", &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(events.next("invocation").await.2["id"], 2);
    assert_eq!(events.next("invocation").await.2["id"], 3);
    // An id of another run says nothing.
    let mut events = Events::open(&invoker.admin, "", "last-event-id: 1-1-0\r\n").await;
    assert_eq!(events.next("invocation").await.2["id"], 1);
}

#[tokio::test]
async fn nothing_is_missed_between_the_list_and_the_stream() {
    let invoker = start("").await;
    call(&invoker, &json!({})).await;
    let list = get(&invoker, "invocations").await;
    call(&invoker, &json!({})).await;
    let cursor = list["cursor"].as_str().unwrap();
    let mut events = Events::open(&invoker.admin, &format!("?after={cursor}"), "").await;
    assert_eq!(events.next("invocation").await.2["id"], 2);
    let json = [("content-type", "application/json")];
    let path = "/console/api/invocations";
    super::admin(&invoker, hyper::Method::DELETE, path, &json, "").await;
    assert_eq!(events.next("cleared").await.2, json!({}));
}

#[tokio::test]
async fn a_reader_hears_how_many_invocations_it_missed() {
    let invoker = start("").await;
    let cursor = get(&invoker, "invocations").await["cursor"].clone();
    let query = format!("?after={}", cursor.as_str().unwrap());
    let mut events = Events::open(&invoker.admin, &query, "").await;
    events.next("functions").await;
    let dry_run = [("x-amz-invocation-type", "DryRun")];
    for _ in 0..40 {
        let calls =
            (0..10).map(|_| invoker.request(hyper::Method::POST, super::INVOKE, &dry_run, "{}"));
        for call in calls {
            call.await;
        }
    }
    let (.., missed) = events.next("missed").await;
    assert!(missed["count"].as_u64().unwrap() > 0, "{missed}");
}
