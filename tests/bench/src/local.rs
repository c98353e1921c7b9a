//! Functions that the invoker, AWS's emulator and `cargo lambda watch` run.
//!
//! No program has a core of its own here. A runner and its function on one core would only show how well
//! they share it, and the load must not wait for them either.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lambda_api::headers;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::bare_function::{self, BareFunction, EVENT};
use crate::invoker::{self, invocation};
use crate::lab::Lab;
use crate::load::{Exchange, Outcome};
use crate::process::{Process, free_address};
use crate::stats::Summary;

/// The program that runs the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// The invoker.
    Invoker,
    /// AWS's Runtime Interface Emulator, which takes one call at a time.
    Emulator,
    /// `cargo lambda watch`.
    CargoLambda,
    /// None. The function has a Runtime API with prepared responses, which is the limit if the cores are busy.
    FunctionAlone,
}

/// The figures of a runner at a concurrency, with warm calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The runner.
    pub runner: Runner,
    /// The number of connections.
    pub concurrency: usize,
    /// Responses per second.
    pub responses_per_second: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
    /// CPU time of the runner per response in microseconds.
    pub runner_cpu_us: Summary,
    /// CPU time of the function's processes per response in microseconds.
    pub function_cpu_us: Summary,
}

/// The first call of a function, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ColdStart {
    /// The time from the start of the function's process until it requests an invocation, without the invoker.
    pub process_ms: Summary,
    /// The time from a request to an invoker without running processes until the response.
    pub first_call_ms: Summary,
}

struct RunnerUnderTest {
    runner: Runner,
    address: SocketAddr,
    path: &'static str,
    process: Process,
}

/// The figures of several rounds.
#[derive(Default)]
struct Figures([Vec<f64>; 5]);

impl Figures {
    fn add(&mut self, outcome: &Outcome, runner: Duration, functions: Duration) {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / outcome.responses as f64;
        let latency = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
        let found = [
            outcome.rate(),
            latency(0.5),
            latency(0.99),
            each(runner),
            each(functions),
        ];
        for (figures, figure) in self.0.iter_mut().zip(found) {
            figures.push(figure);
        }
    }

    fn row(self, runner: Runner, concurrency: usize) -> Row {
        let [
            responses_per_second,
            p50_us,
            p99_us,
            runner_cpu_us,
            function_cpu_us,
        ] = self.0.map(Summary::of);
        Row {
            runner,
            concurrency,
            responses_per_second,
            p50_us,
            p99_us,
            runner_cpu_us,
            function_cpu_us,
        }
    }
}

/// Measures warm calls of the trivial function.
///
/// # Errors
/// A runner does not start, or a response is wrong.
pub fn warm(lab: &Lab) -> Result<Vec<Row>> {
    let _shared = lab.cores.share()?;
    let contestants = [invoker(lab)?, emulator(lab)?, cargo_lambda(lab)?];
    let mut rows = Vec::new();
    for concurrency in [1, 16] {
        let takes_part =
            |runner: &&RunnerUnderTest| runner.runner != Runner::Emulator || concurrency == 1;
        let contestants: Vec<_> = contestants.iter().filter(takes_part).collect();
        let mut figures: Vec<Figures> = contestants.iter().map(|_| Figures::default()).collect();
        let mut limit = Figures::default();
        for round in 0..lab.effort.rounds {
            xtask::say(format_args!(
                "local functions at {concurrency}: round {} of {}",
                round + 1,
                lab.effort.rounds
            ));
            for (contestant, figures) in contestants.iter().zip(&mut figures) {
                let exchange = Exchange {
                    requests: vec![invocation(contestant.path, EVENT.as_bytes())],
                    status: 200,
                    response_bytes: check_response(contestant)?,
                };
                let family = || contestant.process.family_cpu();
                let (outcome, before, after) =
                    lab.full_load(contestant.address, &exchange, concurrency, family)?;
                figures.add(&outcome, after.0 - before.0, after.1 - before.1);
            }
            let (outcome, cpu) = function_alone(lab, concurrency)?;
            limit.add(&outcome, Duration::ZERO, cpu);
        }
        for (contestant, figures) in contestants.iter().zip(figures) {
            rows.push(figures.row(contestant.runner, concurrency));
        }
        rows.push(limit.row(Runner::FunctionAlone, concurrency));
    }
    Ok(rows)
}

/// Measures the first call, and the share of the process's own start.
///
/// # Errors
/// The function does not start.
pub fn cold(lab: &Lab) -> Result<ColdStart> {
    let _shared = lab.cores.share()?;
    let runtime = runtime()?;
    let (mut process_ms, mut first_call_ms) = (Vec::new(), Vec::new());
    for round in 0..lab.effort.rounds.max(20) {
        xtask::say(format_args!("cold start: round {}", round + 1));
        let function = runtime.block_on(BareFunction::start(lab, 0))?;
        process_ms.push(function.start.as_secs_f64() * 1e3);
        drop(function);

        let contestant = invoker(lab)?;
        let start = Instant::now();
        check_response(&contestant)?;
        first_call_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(ColdStart {
        process_ms: Summary::of(process_ms),
        first_call_ms: Summary::of(first_call_ms),
    })
}

/// Warms up and measures like [`Lab::full_load`]. Returns the CPU time of the functions too.
fn function_alone(lab: &Lab, concurrency: usize) -> Result<(Outcome, Duration)> {
    runtime()?.block_on(async {
        let mut all = Vec::new();
        for index in 0..concurrency {
            all.push(BareFunction::start(lab, index).await?);
        }
        let cpu =
            |all: &[BareFunction]| all.iter().map(BareFunction::cpu).sum::<Result<Duration>>();
        let (all, _) = bare_function::run(all, lab.effort.duration / 8).await?;
        let before = cpu(&all)?;
        let (all, outcome) = bare_function::run(all, lab.effort.duration).await?;
        Ok((outcome, cpu(&all)? - before))
    })
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

fn invoker(lab: &Lab) -> Result<RunnerUnderTest> {
    let functions = json!({ "functions": { "trivial": { "local": {
        "command": [lab.function],
        "concurrency": 16,
    } } } });
    let (address, process) = invoker::start(
        &lab.invoker,
        "invoker-local",
        lab.anywhere(),
        functions,
        &[],
    )?;
    let contestant = RunnerUnderTest {
        runner: Runner::Invoker,
        address,
        path: "trivial",
        process,
    };
    // The invoker listens before it is ready. A dry run does not start the function.
    let dry_run = format!("{}: DryRun\r\n", headers::INVOCATION_TYPE);
    let (head, _) = call(&contestant, &dry_run)?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 204"), "{head}");
    Ok(contestant)
}

fn emulator(lab: &Lab) -> Result<RunnerUnderTest> {
    let (address, runtime_api) = (free_address()?, free_address()?);
    let mut command = Command::new(xtask::emulator::binary()?);
    command
        .args(["--runtime-interface-emulator-address", &address.to_string()])
        .args(["--runtime-api-address", &runtime_api.to_string()])
        .arg(&lab.function);
    let mut process = Process::start("emulator", &mut command, lab.anywhere())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(RunnerUnderTest {
        runner: Runner::Emulator,
        address,
        path: "function",
        process,
    })
}

fn cargo_lambda(lab: &Lab) -> Result<RunnerUnderTest> {
    let address = free_address()?;
    let mut command = Command::new(xtask::cargo_lambda::binary()?);
    command
        .args(["lambda", "watch", "--release", "--ignore-changes"])
        .args(["--package", "lambda-mesh-bench", "--bin", "trivial"])
        .args(["--invoke-address", &address.ip().to_string()])
        .args(["--invoke-port", &address.port().to_string()])
        .env("CARGO_TARGET_DIR", xtask::target_dir())
        .current_dir(xtask::workspace_root());
    let mut process = Process::start("cargo-lambda", &mut command, lab.anywhere())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    let contestant = RunnerUnderTest {
        runner: Runner::CargoLambda,
        address,
        path: "trivial",
        process,
    };
    // On the first call, cargo checks that the function is built.
    let deadline = Instant::now() + Duration::from_secs(600);
    while let Err(error) = check_response(&contestant) {
        if Instant::now() > deadline {
            return Err(error.context("cargo lambda watch does not respond"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(contestant)
}

/// Checks that the response is the event, and returns its size.
fn check_response(contestant: &RunnerUnderTest) -> Result<usize> {
    let (head, body) = call(contestant, "")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    // The emulator's body is in chunks.
    anyhow::ensure!(body.contains(EVENT), "not the function's response: {body}");
    Ok(EVENT.len())
}

/// Returns the head and the body of the response to an invocation with this additional header.
fn call(contestant: &RunnerUnderTest, header: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(contestant.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let request = invocation(contestant.path, EVENT.as_bytes());
    let request = String::from_utf8_lossy(&request).replacen(
        "\r\n",
        &format!("\r\nconnection: close\r\n{header}"),
        1,
    );
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("no response")?;
    Ok((head.to_owned(), body.to_owned()))
}
