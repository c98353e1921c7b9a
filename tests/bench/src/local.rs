//! Functions run by the invoker, by AWS's emulator and by `cargo lambda watch`.
//!
//! Nothing has a core of its own here: a runner and its function on one core would show how well they
//! share it, and the load must not wait for them either.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::alone::{self, Alone, EVENT};
use crate::invoker::{self, invocation};
use crate::lab::Lab;
use crate::load::{Exchange, Outcome};
use crate::process::{Process, free_address};
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
    /// Nobody: the function with a Runtime API that has every answer ready. Where the cores are busy,
    /// that is the limit.
    FunctionAlone,
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
    /// CPU time of the runner per answer in microseconds.
    pub runner_cpu_us: Summary,
    /// CPU time of the function's processes per answer in microseconds.
    pub function_cpu_us: Summary,
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
    process: Process,
}

/// What is found in several rounds.
#[derive(Default)]
struct Figures([Vec<f64>; 5]);

impl Figures {
    fn add(&mut self, outcome: &Outcome, runner: Duration, functions: Duration) {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / outcome.answers as f64;
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
            answers_per_second,
            p50_us,
            p99_us,
            runner_cpu_us,
            function_cpu_us,
        ] = self.0.map(Summary::of);
        Row {
            runner,
            concurrency,
            answers_per_second,
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
/// One of them does not start, or an answer is wrong.
pub fn warm(lab: &Lab) -> Result<Vec<Row>> {
    let _shared = lab.cores.share()?;
    let contestants = [invoker(lab)?, emulator(lab)?, cargo_lambda(lab)?];
    let mut rows = Vec::new();
    for concurrency in [1, 16] {
        let takes_part = |one: &&Contestant| one.runner != Runner::Emulator || concurrency == 1;
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
                    answer_bytes: answered(contestant)?,
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

/// Measures the first call, and what of it is the process's own start.
///
/// # Errors
/// The function does not start.
pub fn cold(lab: &Lab) -> Result<ColdStart> {
    let _shared = lab.cores.share()?;
    let runtime = runtime()?;
    let (mut process_ms, mut first_call_ms) = (Vec::new(), Vec::new());
    for round in 0..lab.effort.rounds.max(20) {
        xtask::say(format_args!("cold start: round {}", round + 1));
        let alone = runtime.block_on(Alone::start(lab, 0))?;
        process_ms.push(alone.start.as_secs_f64() * 1e3);
        drop(alone);

        let contestant = invoker(lab)?;
        let start = Instant::now();
        answered(&contestant)?;
        first_call_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(ColdStart {
        process_ms: Summary::of(process_ms),
        first_call_ms: Summary::of(first_call_ms),
    })
}

/// Warms up and measures as [`Lab::full_load`]; back comes the functions' CPU time too.
fn function_alone(lab: &Lab, concurrency: usize) -> Result<(Outcome, Duration)> {
    runtime()?.block_on(async {
        let mut all = Vec::new();
        for index in 0..concurrency {
            all.push(Alone::start(lab, index).await?);
        }
        let cpu = |all: &[Alone]| all.iter().map(Alone::cpu).sum::<Result<Duration>>();
        let (all, _) = alone::run(all, lab.effort.duration / 8).await?;
        let before = cpu(&all)?;
        let (all, outcome) = alone::run(all, lab.effort.duration).await?;
        Ok((outcome, cpu(&all)? - before))
    })
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

fn invoker(lab: &Lab) -> Result<Contestant> {
    let functions = json!({ "trivial": { "local": {
        "command": [lab.function],
        "concurrency": 16,
    } } });
    let (address, process) =
        invoker::start(lab, "invoker-local", None, "functions", functions, &[])?;
    let contestant = Contestant {
        runner: Runner::Invoker,
        address,
        path: "trivial",
        process,
    };
    // It listens before it serves; this has it answer without starting the function.
    let (head, _) = call(&contestant, "x-amz-invocation-type: DryRun\r\n")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 204"), "{head}");
    Ok(contestant)
}

fn emulator(lab: &Lab) -> Result<Contestant> {
    let (address, runtime_api) = (free_address()?, free_address()?);
    let mut command = Command::new(xtask::emulator::binary()?);
    command
        .args(["--runtime-interface-emulator-address", &address.to_string()])
        .args(["--runtime-api-address", &runtime_api.to_string()])
        .arg(&lab.function);
    let mut process = Process::start("emulator", &mut command, None, lab.folder())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(Contestant {
        runner: Runner::Emulator,
        address,
        path: "function",
        process,
    })
}

fn cargo_lambda(lab: &Lab) -> Result<Contestant> {
    let address = free_address()?;
    let mut command = Command::new(xtask::cargo_lambda::binary()?);
    command
        .args(["lambda", "watch", "--release", "--ignore-changes"])
        .args(["--package", "lambda-mesh-bench", "--bin", "trivial"])
        .args(["--invoke-address", &address.ip().to_string()])
        .args(["--invoke-port", &address.port().to_string()])
        .env("CARGO_TARGET_DIR", xtask::target_dir())
        .current_dir(xtask::workspace_root());
    let mut process = Process::start("cargo-lambda", &mut command, None, lab.folder())?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    let contestant = Contestant {
        runner: Runner::CargoLambda,
        address,
        path: "trivial",
        process,
    };
    // The first call has cargo look at the function, which is built already.
    let deadline = Instant::now() + Duration::from_secs(600);
    while let Err(error) = answered(&contestant) {
        if Instant::now() > deadline {
            return Err(error.context("cargo lambda watch does not answer"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(contestant)
}

/// The size of an answer, which has to be the event.
fn answered(contestant: &Contestant) -> Result<usize> {
    let (head, body) = call(contestant, "")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    // The emulator's is in chunks.
    anyhow::ensure!(body.contains(EVENT), "not the function's answer: {body}");
    Ok(EVENT.len())
}

/// Head and body of the response to an invocation with this header more.
fn call(contestant: &Contestant, header: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(contestant.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let request = invocation(contestant.path, EVENT.as_bytes());
    let request = String::from_utf8_lossy(&request).replacen(
        "\r\n",
        &format!("\r\nconnection: close\r\n{header}"),
        1,
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok((head.to_owned(), body.to_owned()))
}
