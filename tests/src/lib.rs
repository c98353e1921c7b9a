//! The harness of the end-to-end tests. It starts what a test needs in one line, stops it when it goes
//! out of scope, and prints its log if the test fails.
//!
//! | module | provides |
//! |---|---|
//! | [`mesh`] | a real Envoy with the real filter, configured by the shipped `envoy/*.yaml` |
//! | [`invoker`] | the real `sidecar-invoker` |
//! | [`emulator`] | AWS's Runtime Interface Emulator with a function |
//! | [`kubernetes`] | the Envoy configuration that Istio and Envoy Gateway make of the shipped resources |
//! | [`endpoint`] | addresses of servers |
//! | [`upstream`] | a scripted stand-in for an Invoke API, which records its calls |
//! | [`event_stream`] | the messages of a streamed response |
//! | [`client`] | requests over HTTP/1.1, HTTP/2 without TLS, and plain bytes |
//! | [`aws`] | a stand-in for AWS that verifies signatures, and AWS's own clients |
//! | [`generated`] | an Envoy with a configuration that `envoy-config` wrote; `lrp` |
//! | [`collector`] | a real OpenTelemetry collector, and the spans that it received |
//! | [`prometheus`] | a real Prometheus that scrapes the invoker and Envoy |
//! | [`documents`] | the commands in documents, run as a reader would |
//! | [`golden`] | the cases of `fixtures/golden` and their matching rules |
//! | [`shared`] | a component that several tests share |
//!
//! ```no_run
//! use lambda_mesh_tests::{mesh::Mesh, upstream::Upstream};
//! use serde_json::json;
//!
//! let upstream = Upstream::responding(json!({ "statusCode": 201 }));
//! let mesh = Mesh::to(&upstream).start();
//! assert_eq!(mesh.get("/page?x=1").send().status, 201);
//! assert_eq!(upstream.call().event()["rawPath"], "/page");
//! ```
//!
//! All calls block: a test is a plain function. Tasks in the background run on a runtime of the harness
//! ([`block_on`]). It outlives the tests, so that a shared component does not depend on the test that
//! started it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed test panics, and the harness is a part of the test"
)]

pub mod aws;
pub mod client;
pub mod collector;
pub mod documents;
pub mod emulator;
pub mod endpoint;
pub mod event_stream;
pub mod generated;
pub mod golden;
pub mod invoker;
pub mod kubernetes;
pub mod mesh;
mod process;
pub mod prometheus;
pub mod proxy;
pub mod shared;
pub mod up;
pub mod upstream;
pub mod vpc;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The time limit for each wait of a test. It is generous, because only a failing test reaches it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the runtime of the harness starts"));

/// Runs `future` to its end on the runtime of the harness.
///
/// # Panics
/// The caller is a task of that runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    RUNTIME.spawn(future)
}

/// Calls `probe` every few milliseconds until it returns a value.
///
/// # Panics
/// `probe` returns no value within [`TIMEOUT`]. `what` names the condition in the message.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
