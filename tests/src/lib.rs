//! The harness of the end-to-end tests: every part that a test needs, started in one line,
//! ended when it goes out of scope, and its log printed when the test failed.
//!
//! | module | gives a test |
//! |---|---|
//! | [`mesh`] | a real Envoy with the real filter, configured from the shipped `envoy/*.yaml` |
//! | [`invoker`] | the real `sidecar-invoker`, from a YAML text |
//! | [`emulator`] | AWS's Runtime Interface Emulator with a function |
//! | [`kubernetes`] | what Istio and Envoy Gateway make of the shipped resources |
//! | [`upstream`] | a stand-in for an Invoke API that misbehaves as scripted and records its calls |
//! | [`event_stream`] | the messages of a streamed answer |
//! | [`client`] | requests over HTTP/1.1, HTTP/2 without TLS, and plain bytes |
//! | [`aws`] | a stand-in for AWS that verifies signatures, and AWS's own clients |
//! | [`generated`] | configurations that `envoy-config` writes, run as they are; `lrp` |
//! | [`golden`] | the tables of `fixtures/golden` and their matching rules |
//! | [`shared`] | one part for all tests of a module |
//!
//! ```no_run
//! use lambda_mesh_tests::{mesh::Mesh, upstream::Upstream};
//! use serde_json::json;
//!
//! let upstream = Upstream::answering(json!({ "statusCode": 201 }));
//! let mesh = Mesh::to(&upstream).start();
//! assert_eq!(mesh.get("/page?x=1").send().status, 201);
//! assert_eq!(upstream.call().event()["rawPath"], "/page");
//! ```
//!
//! Everything blocks: a test is a plain function. What has to run beside it does so on a
//! runtime of the harness ([`block_on`]), which outlives the tests, so that a shared part
//! never depends on the test that happened to start it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by a panic, and the harness is a part of the test"
)]

pub mod aws;
pub mod client;
pub mod emulator;
pub mod event_stream;
pub mod generated;
pub mod golden;
pub mod invoker;
pub mod kubernetes;
pub mod mesh;
mod process;
pub mod shared;
pub mod upstream;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take to become ready or true. Generous, because it is only spent
/// by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the runtime of the harness starts"));

/// Runs `future` to its end on the harness's runtime. Not to be called from that runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    RUNTIME.spawn(future)
}

/// Asks `probe` every few milliseconds until it gives a value.
///
/// # Panics
/// After [`PATIENCE`], with `what` it waited for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
