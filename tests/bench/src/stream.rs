//! Streamed responses: the time to the first byte, and the throughput.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::entrant::{self, Entrant};
use crate::lab::Lab;
use crate::load::{Exchange, Load, histogram};
use crate::scenario::Scenario;
use crate::stats::Summary;

/// The contestants. Envoy's own filter is missing, because it cannot invoke with a response stream.
const CONTESTANTS: [Contestant; 4] = [
    Contestant::PassThrough,
    Contestant::Module,
    Contestant::Ours,
    Contestant::OursInvoker,
];

/// The number of concurrent streams.
pub const CONCURRENCY: usize = 16;

/// The delay between the starts of two paced streams, which take about a quarter of a second.
const STAGGER: Duration = Duration::from_millis(15);

/// The duration of the measurement of paced streams, as a multiple of that of others. There are few paced
/// streams per second.
const DURATION_FACTOR: u32 = 4;

/// The figures of a contestant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// The time from the request to the first byte of a paced stream's body, median, in milliseconds.
    pub first_byte_p50_ms: f64,
    /// The same, 99th percentile over all rounds.
    pub first_byte_p99_ms: f64,
    /// The time from the request to the end of a paced stream, median, in milliseconds.
    pub end_p50_ms: f64,
    /// The same, 99th percentile over all rounds.
    pub end_p99_ms: f64,
    /// Megabytes of body per second in streams without pauses.
    pub megabytes_per_second: Summary,
    /// Envoy's CPU time per megabyte of body in microseconds.
    pub envoy_cpu_us: Summary,
}

/// Measures paced streams, then streams without pauses.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let entrants = entrant::start(lab, Scenario::PacedStream, &lab.among(&CONTESTANTS))?;
    let mut paced = Vec::new();
    for _ in &entrants {
        paced.push((histogram()?, histogram()?));
    }
    let exchange = Scenario::PacedStream.exchange();
    for round in 0..lab.effort.rounds {
        say(lab, "paced streams", round);
        for (entrant, (first_byte, end)) in entrants.iter().zip(&mut paced) {
            let load = Load {
                stagger: STAGGER,
                ..Load::most(CONCURRENCY, lab.effort.duration * DURATION_FACTOR)
            };
            let outcome = lab.load(entrant.address, &exchange, load);
            let outcome = outcome.with_context(|| entrant.contestant.title())?;
            first_byte.add(outcome.first_byte)?;
            end.add(outcome.latency)?;
        }
    }
    let exchange = Scenario::FastStream.exchange();
    let mut fast = vec![(Vec::new(), Vec::new()); entrants.len()];
    for entrant in &entrants {
        entrant.prepare(Scenario::FastStream);
    }
    for round in 0..lab.effort.rounds {
        say(lab, "streams without pauses", round);
        for (entrant, (rate, cpu)) in entrants.iter().zip(&mut fast) {
            let (megabytes_per_second, cpu_us) = measure(lab, entrant, &exchange)?;
            rate.push(megabytes_per_second);
            cpu.push(cpu_us);
        }
    }
    let milliseconds =
        |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    let rows = entrants.iter().zip(paced).zip(fast);
    let rows = rows.map(|((entrant, (first_byte, end)), (rate, cpu))| Row {
        contestant: entrant.contestant,
        first_byte_p50_ms: milliseconds(&first_byte, 0.5),
        first_byte_p99_ms: milliseconds(&first_byte, 0.99),
        end_p50_ms: milliseconds(&end, 0.5),
        end_p99_ms: milliseconds(&end, 0.99),
        megabytes_per_second: Summary::of(rate),
        envoy_cpu_us: Summary::of(cpu),
    });
    Ok(rows.collect())
}

/// Returns the megabytes per second, and Envoy's CPU time per megabyte in microseconds.
fn measure(lab: &Lab, entrant: &Entrant, exchange: &Exchange) -> Result<(f64, f64)> {
    let (outcome, before, after) = lab
        .full_load(entrant.address, exchange, CONCURRENCY, || entrant.cpu())
        .with_context(|| entrant.contestant.title())?;
    let megabytes = outcome.responses as f64 * exchange.response_bytes as f64 / 1e6;
    let cpu = after.proxy.saturating_sub(before.proxy).as_secs_f64() * 1e6;
    Ok((megabytes / outcome.elapsed.as_secs_f64(), cpu / megabytes))
}

fn say(lab: &Lab, what: &str, round: usize) {
    xtask::say(format_args!(
        "{what}: round {} of {}",
        round + 1,
        lab.effort.rounds
    ));
}
