//! Random calls of all kinds at once. Each call gets exactly one response, the right one, and no
//! process and no open file is left at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use serde_json::{Value, json};

use crate::support::events::Events;
use crate::support::{Invoker, eventually, fixture_function, is_running};

const CALLS: usize = 500;
const CALLERS: usize = 20;

/// The behaviour that a call asks of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Plain,
    Raise,
    Exit,
    Hang,
    Kill,
    WrongId,
    Twice,
    Disconnect,
    Stream,
    StreamExit,
    StreamCut,
    StreamError,
    StreamDisconnect,
    Event,
}

const KINDS: [(Kind, usize); 14] = [
    (Kind::Plain, 40),
    (Kind::Raise, 8),
    (Kind::Exit, 5),
    (Kind::Hang, 2),
    (Kind::Kill, 4),
    (Kind::WrongId, 6),
    (Kind::Twice, 6),
    (Kind::Disconnect, 4),
    (Kind::Stream, 10),
    (Kind::StreamExit, 3),
    (Kind::StreamCut, 3),
    (Kind::StreamError, 4),
    (Kind::StreamDisconnect, 3),
    (Kind::Event, 6),
];

/// Steele and Vigna's SplitMix64: small, and the same on each machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn kind(&mut self) -> Kind {
        let mut left = self.below(KINDS.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in KINDS {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        Kind::Plain
    }
}

struct Chaos {
    invoker: Invoker,
    folder: tempfile::TempDir,
}

impl Chaos {
    fn file(&self, name: &str, call: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}-{call}"))
    }

    /// Makes one call and checks its response.
    async fn call(&self, call: usize, kind: Kind) {
        let echo = json!({ "call": call });
        match kind {
            Kind::Plain => {
                let response = self.invoker.invoke(echo.clone()).await;
                assert_eq!(response.header("x-amz-function-error"), None);
                assert_eq!(response.json()["event"], echo);
            }
            Kind::Raise => self.fails(json!({ "do": "raise" }), "ValueError").await,
            Kind::Exit => {
                let exit = json!({ "do": "exit", "status": 3 });
                self.fails(exit, "Runtime.ExitError").await;
            }
            Kind::Hang => {
                let child = json!({ "do": "child", "file": self.file("child", call) });
                self.fails(child, "Sandbox.Timedout").await;
            }
            Kind::Kill => {
                let kill = json!({ "do": "kill" });
                self.fails(kill, "Runtime.ExitError").await;
            }
            Kind::WrongId => {
                let response = self.invoker.invoke(json!({ "do": "wrong-id" })).await;
                assert_eq!(response.json()[0][0], 400);
            }
            Kind::Twice => {
                let twice = json!({ "do": "twice", "file": self.file("twice", call) });
                assert_eq!(self.invoker.invoke(twice).await.json(), "first");
            }
            Kind::Disconnect => {
                let slow = json!({ "do": "sleep", "seconds": 0.05 });
                let limit = std::time::Duration::from_millis(20);
                let _ = tokio::time::timeout(limit, self.invoker.invoke(slow)).await;
            }
            Kind::Event => {
                let event = json!({ "do": "log", "file": self.file("event", call), "line": "ran" });
                let path = "/2015-03-31/functions/f/invocations";
                let headers = [("x-amz-invocation-type", "Event")];
                let body = event.to_string();
                let response = self.invoker.request(Method::POST, path, &headers, body);
                assert_eq!(response.await.status, 202);
            }
            Kind::Stream
            | Kind::StreamExit
            | Kind::StreamCut
            | Kind::StreamError
            | Kind::StreamDisconnect => self.stream(call, kind).await,
        }
    }

    async fn fails(&self, event: Value, error_type: &str) {
        let response = self.invoker.invoke(event).await;
        assert_eq!(response.function_error(), error_type);
    }

    async fn stream(&self, call: usize, kind: Kind) {
        let (end, error_type) = match kind {
            Kind::StreamExit => ("exit", "Runtime.ExitError"),
            Kind::StreamCut => ("cut", "Runtime.TruncatedResponse"),
            Kind::StreamError => ("error", "Late"),
            _ => ("", ""),
        };
        let chunk = format!("chunk {call}");
        let mebibytes = usize::from(kind == Kind::StreamDisconnect) * 2;
        let event =
            json!({ "do": "stream", "chunks": [chunk], "end": end, "mebibytes": mebibytes });
        let mut events = Events::invoke(&self.invoker, &[], &event).await;
        assert_eq!(events.chunk().await, chunk);
        match kind {
            Kind::StreamDisconnect => {}
            Kind::Stream => assert_eq!(events.complete().await, json!({})),
            _ => assert_eq!(events.error().await["errorType"], error_type),
        }
    }
}

/// Counts the open files of this process by kind.
fn open_files() -> BTreeMap<String, usize> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        // The directory itself is closed by now.
        let Ok(target) = fs::read_link(entry.unwrap().path()) else {
            continue;
        };
        let target = target.display().to_string();
        let kind = target.split(['[', ':']).next().unwrap().to_owned();
        *open.entry(kind).or_default() += 1;
    }
    open
}

/// Returns the processes that have this folder in their environment.
fn processes(folder: &Path) -> Vec<String> {
    let marker = folder.display().to_string();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&marker)
    })
    .filter(|pid| is_running(pid))
    .collect()
}

/// Set for the process in which the calls are made.
const ALONE: &str = "LAMBDA_MESH_CHAOS_ALONE";

/// Runs in a process of its own, because it counts the open files of the process.
#[test]
fn each_call_gets_exactly_one_response_and_nothing_leaks() {
    if std::env::var_os(ALONE).is_some() {
        return make_calls();
    }
    let name = "chaos::each_call_gets_exactly_one_response_and_nothing_leaks";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    // Not printed: the counter of tests would count the summary line of the child as well.
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let text = text.concat();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn make_calls() {
    let seed = match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
    };
    println!("CHAOS_SEED={seed} repeats this run");
    let folder = tempfile::tempdir().unwrap();
    let before = open_files();
    let keys = format!(
        "concurrency: 8, timeout: 2s, env: {{ MARKER: {} }}",
        folder.path().display()
    );
    let function = fixture_function(&keys)
        .replacen("timeout: 10s, ", "", 1)
        .replacen("queue: 1,", &format!("queue: {CALLERS},"), 1);
    let invoker = Invoker::start(&function).await;
    let chaos = Arc::new(Chaos { invoker, folder });

    let mut random = Random(seed);
    let kinds: Vec<Kind> = (0..CALLS).map(|_| random.kind()).collect();
    let kinds = Arc::new(kinds);
    let next = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (chaos, kinds, next) = (Arc::clone(&chaos), Arc::clone(&kinds), Arc::clone(&next));
            tokio::spawn(async move {
                let mut calls_made = 0;
                loop {
                    let call = next.fetch_add(1, Ordering::SeqCst);
                    let Some(&kind) = kinds.get(call) else {
                        return calls_made;
                    };
                    chaos.call(call, kind).await;
                    calls_made += 1;
                }
            })
        })
        .collect();
    let mut calls_made = 0;
    for caller in callers {
        calls_made += caller.await.unwrap();
    }
    assert_eq!(calls_made, CALLS);
    for (call, _) in kinds
        .iter()
        .enumerate()
        .filter(|(_, kind)| **kind == Kind::Event)
    {
        let file = chaos.file("event", call);
        let ran = eventually("the event", async || fs::read_to_string(&file).ok()).await;
        assert_eq!(ran, "ran\n", "exactly once");
    }

    let Ok(Chaos { invoker, folder }) = Arc::try_unwrap(chaos) else {
        panic!("a caller still runs");
    };
    let addresses = [invoker.listen.to_string(), invoker.admin.clone()];
    invoker.stop().await;
    assert_eq!(processes(folder.path()), [""; 0]);
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
    eventually("the end of the last connections", async || {
        (open_files() == before).then_some(())
    })
    .await;
}
