//! The function without a runner, invoked by a Runtime API that has every response ready. It shows how
//! often the function can be invoked at all, and how long its process takes to start.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;

use crate::lab::Lab;
use crate::load::Outcome;
use crate::process::Process;
use crate::wire::Reader;

/// The event for local functions.
pub const EVENT: &str = r#"{"name":"mesh"}"#;

/// A function that has requested its first invocation.
pub struct BareFunction {
    /// The time from the start of the process until that request.
    pub start: Duration,
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    process: Process,
}

impl BareFunction {
    /// Starts the function. `index` distinguishes several of them.
    ///
    /// # Errors
    /// The function does not start, or does not request an invocation.
    pub async fn start(lab: &Lab, index: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut command = Command::new(&lab.function);
        let api = listener.local_addr()?.to_string();
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "trivial"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "trivial"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "trivial"),
        ]);
        let begun = Instant::now();
        let name = format!("trivial-{index}");
        let process = Process::start(&name, &mut command, lab.anywhere())?;
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut reader = Reader::new(reader);
        ensure!(reader.request().await?, "the function has ended");
        Ok(Self {
            start: begun.elapsed(),
            reader,
            writer,
            process,
        })
    }

    /// Returns the CPU time of the process so far.
    ///
    /// # Errors
    /// The process has ended.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(self.process.usage()?.cpu)
    }

    /// Invokes the function repeatedly. A latency is the time from one event to the next.
    async fn drive(mut self, event: String, until: Instant) -> Result<(Self, Histogram<u64>)> {
        let mut latency = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
        loop {
            let begun = Instant::now();
            if begun >= until {
                return Ok((self, latency));
            }
            self.writer.write_all(event.as_bytes()).await?;
            ensure!(self.reader.request().await?, "the function has ended");
            self.writer.write_all(ACCEPTED).await?;
            ensure!(self.reader.request().await?, "the function has ended");
            latency.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
        }
    }
}

/// Invokes all functions concurrently for this time, and returns them.
///
/// # Errors
/// A function has ended.
pub async fn run(
    functions: Vec<BareFunction>,
    duration: Duration,
) -> Result<(Vec<BareFunction>, Outcome)> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for function in functions {
        tasks.spawn(function.drive(event(), start + duration));
    }
    let mut latency = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let mut functions = Vec::new();
    while let Some(task) = tasks.join_next().await {
        let (function, latencies) = task.context("a task has ended")??;
        latency.add(latencies)?;
        functions.push(function);
    }
    let outcome = Outcome {
        responses: latency.len(),
        elapsed: start.elapsed(),
        first_byte: latency.clone(),
        latency,
    };
    Ok((functions, outcome))
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n\
    content-length: 15\r\n\r\n{\"status\":\"OK\"}";

/// Returns the response to the function's `next`.
fn event() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
         lambda-runtime-deadline-ms: 4102444800000\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:trivial\r\n\
         lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\
         content-length: {}\r\n\r\n{EVENT}",
        EVENT.len()
    )
}
