//! Functions run by the invoker, by AWS's emulator and by `cargo lambda watch`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::invoker::{self, invocation};
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process::{Process, free_address};
use crate::scenario::Scenario;
use crate::stats::Summary;

/// Who runs the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// The invoker.
    Invoker,
    /// AWS's Runtime Interface Emulator, which takes one call at a time.
    Emulator,
    /// `cargo lambda watch`.
    CargoLambda,
}

/// One of them at one concurrency, warm.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub runner: Runner,
    /// Connections.
    pub concurrency: usize,
    /// Answers per second.
    pub answers_per_second: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
}

/// The first call of a function, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct ColdStart {
    /// From the start of the function's process until it asks for an invocation, without invoker.
    pub process_ms: Summary,
    /// From a request to an invoker that runs no process yet until the answer.
    pub first_call_ms: Summary,
}

struct Contestant {
    runner: Runner,
    address: SocketAddr,
    path: &'static str,
    _process: Process,
}

/// Measures warm calls of the example function.
///
/// # Errors
/// One of them does not start, or an answer is wrong.
pub fn warm(lab: &Lab) -> Result<Vec<Row>> {
    let contestants = [invoker(lab)?, emulator(lab)?, cargo_lambda(lab)?];
    let mut rows = Vec::new();
    for concurrency in [1, 16] {
        for contestant in &contestants {
            if contestant.runner == Runner::Emulator && concurrency > 1 {
                continue;
            }
            let answer_bytes = answer_bytes(contestant)?;
            let exchange = Exchange {
                requests: vec![invocation(contestant.path, &Scenario::SmallGet.event())],
                status: 200,
                answer_bytes,
            };
            let mut figures: [Vec<f64>; 3] = Default::default();
            for round in 0..lab.effort.rounds {
                xtask::say(format_args!(
                    "{:?} at {concurrency}: round {} of {}",
                    contestant.runner,
                    round + 1,
                    lab.effort.rounds
                ));
                let (outcome, ..) =
                    lab.full_load(contestant.address, &exchange, concurrency, || Ok(()))?;
                let [rate, p50, p99] = &mut figures;
                rate.push(outcome.rate());
                p50.push(outcome.latency.value_at_quantile(0.5) as f64 / 1e3);
                p99.push(outcome.latency.value_at_quantile(0.99) as f64 / 1e3);
            }
            let [answers_per_second, p50_us, p99_us] = figures.map(Summary::of);
            rows.push(Row {
                runner: contestant.runner,
                concurrency,
                answers_per_second,
                p50_us,
                p99_us,
            });
        }
    }
    Ok(rows)
}

/// Measures the first call, and what of it is the process's own start.
///
/// # Errors
/// The function does not start.
pub fn cold(lab: &Lab) -> Result<ColdStart> {
    let (mut process_ms, mut first_call_ms) = (Vec::new(), Vec::new());
    for round in 0..lab.effort.rounds.max(5) {
        xtask::say(format_args!("cold start: round {}", round + 1));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut command = Command::new(&lab.function);
        command.envs([
            (
                "AWS_LAMBDA_RUNTIME_API",
                listener.local_addr()?.to_string().as_str(),
            ),
            ("AWS_LAMBDA_FUNCTION_NAME", "hello"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "hello"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "hello"),
        ]);
        let start = Instant::now();
        let process = Process::start("hello", &mut command, lab.cores.proxy, lab.folder())?;
        let (mut stream, _) = listener.accept()?;
        let read = stream.read(&mut [0; 64])?;
        anyhow::ensure!(read > 0, "the function has ended");
        process_ms.push(start.elapsed().as_secs_f64() * 1e3);
        drop(process);

        let contestant = invoker(lab)?;
        let start = Instant::now();
        answer_bytes(&contestant)?;
        first_call_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(ColdStart {
        process_ms: Summary::of(process_ms),
        first_call_ms: Summary::of(first_call_ms),
    })
}

fn invoker(lab: &Lab) -> Result<Contestant> {
    let functions = json!({ "hello": { "local": {
        "command": [lab.function],
        "concurrency": 16,
    } } });
    let core = lab.cores.proxy;
    let (address, process) =
        invoker::start(lab, "invoker-local", core, "functions", functions, &[])?;
    Ok(Contestant {
        runner: Runner::Invoker,
        address,
        path: "hello",
        _process: process,
    })
}

fn emulator(lab: &Lab) -> Result<Contestant> {
    let (address, runtime_api) = (free_address()?, free_address()?);
    let mut command = Command::new(xtask::emulator::binary()?);
    command
        .args(["--runtime-interface-emulator-address", &address.to_string()])
        .args(["--runtime-api-address", &runtime_api.to_string()])
        .arg(&lab.function);
    let mut process = Process::start("emulator", &mut command, lab.cores.proxy, lab.folder())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(Contestant {
        runner: Runner::Emulator,
        address,
        path: "function",
        _process: process,
    })
}

fn cargo_lambda(lab: &Lab) -> Result<Contestant> {
    let address = free_address()?;
    let mut command = Command::new(xtask::cargo_lambda::binary()?);
    let target: PathBuf = xtask::target_dir().join("cargo-lambda");
    command
        .args(["lambda", "watch", "--release", "--ignore-changes"])
        .args(["--package", "hello", "--bin", "hello"])
        .args(["--invoke-address", &address.ip().to_string()])
        .args(["--invoke-port", &address.port().to_string()])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(xtask::workspace_root());
    let mut process = Process::start("cargo-lambda", &mut command, lab.cores.proxy, lab.folder())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    let contestant = Contestant {
        runner: Runner::CargoLambda,
        address,
        path: "hello",
        _process: process,
    };
    // The first call has the function built.
    xtask::say("cargo lambda builds the function");
    let deadline = Instant::now() + Duration::from_secs(600);
    while let Err(error) = answer_bytes(&contestant) {
        if Instant::now() > deadline {
            return Err(error.context("cargo lambda watch does not answer"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(contestant)
}

/// The size of an answer; that of the function's own JSON.
fn answer_bytes(contestant: &Contestant) -> Result<usize> {
    let mut stream = TcpStream::connect(contestant.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let mut request = invocation(contestant.path, &Scenario::SmallGet.event()).to_vec();
    let head = b"connection: close\r\n";
    let at = request
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .unwrap_or_default()
        + 2;
    request.splice(at..at, head.iter().copied());
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{text}");
    let start = body.find('{').context("no JSON")?;
    let end = body.rfind('}').context("no JSON")?;
    let json = body.get(start..=end).unwrap_or_default();
    let payload: Value = serde_json::from_str(json).with_context(|| text.clone().into_owned())?;
    anyhow::ensure!(
        payload.get("statusCode").is_some(),
        "not the function's answer: {json}"
    );
    Ok(json.len())
}
