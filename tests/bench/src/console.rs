//! The cost of the invoker's console: an invoker without one, one with the page closed, and one with it open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bare_function::EVENT;
use crate::invoker::{self, invocation};
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process::{Process, free_address};
use crate::stats::{Interval, Summary};

/// The number of connections.
const CONCURRENCY: usize = 16;

/// The number of rounds for each round of other experiments. Differences of one percent matter here.
const ROUNDS_FACTOR: usize = 3;

/// The state of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// There is none.
    Off,
    /// It records, and nobody looks.
    Closed,
    /// A page reads its stream.
    Open,
}

/// The figures of an invoker that runs the trivial function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The state of the console.
    pub console: Console,
    /// Responses per second.
    pub responses_per_second: Summary,
    /// CPU time of the invoker and of the function's processes per response in microseconds.
    pub cpu_us: Summary,
    /// The ratio of this time to that without a console.
    pub ratio: Option<Interval>,
}

/// Measures warm calls, in turn. Each round has new processes.
///
/// # Errors
/// An invoker does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    const STATES: [Console; 3] = [Console::Off, Console::Closed, Console::Open];
    let _shared = lab.cores.share()?;
    let exchange = Exchange {
        requests: vec![invocation("trivial", EVENT.as_bytes())],
        status: 200,
        response_bytes: EVENT.len(),
    };
    let mut figures = [const { (Vec::new(), Vec::new()) }; STATES.len()];
    let rounds = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..rounds {
        xtask::say(format_args!("the console: round {} of {rounds}", round + 1));
        let mut order: Vec<_> = STATES.iter().zip(&mut figures).collect();
        order.rotate_left(round % STATES.len());
        for (state, (rates, times)) in order {
            let (address, process) = start(lab, *state)?;
            lab.warm_up(address, &exchange)?;
            let family = || process.family_cpu();
            let (outcome, before, after) =
                lab.full_load(address, &exchange, CONCURRENCY, family)?;
            let cpu = after.0 + after.1 - before.0 - before.1;
            rates.push(outcome.rate());
            times.push(cpu.as_secs_f64() * 1e6 / outcome.responses as f64);
        }
    }
    let off = figures[0].1.clone();
    let rows = STATES.into_iter().zip(figures);
    let rows = rows.map(|(console, (rates, times))| Row {
        console,
        responses_per_second: Summary::of(rates),
        ratio: Interval::ratio(&times, &off).filter(|_| console != Console::Off),
        cpu_us: Summary::of(times),
    });
    Ok(rows.collect())
}

fn start(lab: &Lab, console: Console) -> Result<(SocketAddr, Process)> {
    let admin = free_address()?;
    let keys = json!({
        "admin": admin.to_string(),
        "console": console != Console::Off,
        "functions": { "trivial": { "local": {
            "command": [lab.function],
            "concurrency": CONCURRENCY,
        } } },
    });
    let name = format!("invoker-console-{console:?}");
    let started = invoker::start(&lab.invoker, &name, lab.anywhere(), keys, &[])?;
    if console == Console::Open {
        read_stream(admin)?;
    }
    Ok(started)
}

/// Reads the console's stream as a page does, until the invoker ends.
///
/// # Errors
/// The invoker has no console at this address.
pub fn read_stream(admin: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(admin)?;
    let request = format!("GET /console/api/stream HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut piece = [0; 16 << 10];
    let read = stream.read(&mut piece)?;
    let begin = String::from_utf8_lossy(piece.get(..read).context("a response")?).into_owned();
    anyhow::ensure!(begin.starts_with("HTTP/1.1 200"), "{begin}");
    thread::spawn(move || while stream.read(&mut piece).is_ok_and(|read| read > 0) {});
    Ok(())
}
