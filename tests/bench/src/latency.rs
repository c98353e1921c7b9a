//! The latency that the filter adds at half load.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::contestant::Contestant;
use crate::lab::Lab;
use crate::load::{Load, Until};
use crate::process;
use crate::scenario::Scenario;
use crate::stats::Summary;

const CONCURRENCY: usize = 32;
/// The number of rounds for each round of other experiments. Only the half counts in which load and Envoy
/// waited least for their cores, because other work of the machine affects the 99th percentile most.
const ROUNDS_FACTOR: usize = 4;
const CONTESTANTS: [Contestant; 5] = [
    Contestant::PassThrough,
    Contestant::AwsLambda,
    Contestant::Module,
    Contestant::Ours,
    Contestant::OursSigned,
];

/// The figures of a contestant, at the same rate for all contestants.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// Requests per second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
}

/// Measures small GETs at half of the highest rate of our filter.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let mut envoys = Vec::new();
    for contestant in CONTESTANTS {
        envoys.push((contestant, lab.entrant(scenario, contestant)?.envoy));
    }
    let mut rate = f64::INFINITY;
    for (contestant, envoy) in &envoys {
        let (outcome, ..) = lab.full_load(envoy.address, &exchange, CONCURRENCY, || Ok(()))?;
        if *contestant == Contestant::Ours {
            rate = outcome.rate() / 2.0;
        }
    }
    let mut figures = vec![Vec::new(); envoys.len()];
    let rounds = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..rounds {
        xtask::say(format_args!(
            "latency at {rate:.0}/s: round {} of {rounds}",
            round + 1
        ));
        for ((_, envoy), figures) in envoys.iter().zip(&mut figures) {
            let load = Load {
                concurrency: CONCURRENCY,
                until: Until::Elapsed(lab.effort.duration),
                rate: Some(rate),
                stagger: Duration::ZERO,
            };
            let waiting = || anyhow::Ok(envoy.process.waiting()? + process::own_waiting()?);
            let before = waiting()?;
            let latency = lab.load(envoy.address, &exchange, load)?.latency;
            let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
            figures.push((waiting()?.saturating_sub(before), at(0.5), at(0.99)));
        }
    }
    let rows = envoys
        .iter()
        .zip(figures)
        .map(|((contestant, _), mut figures)| {
            figures.sort_by_key(|(waiting, ..)| *waiting);
            figures.truncate(figures.len().div_ceil(2));
            let (p50, p99) = figures.into_iter().map(|(_, p50, p99)| (p50, p99)).unzip();
            Row {
                contestant: *contestant,
                rate,
                p50_us: Summary::of(p50),
                p99_us: Summary::of(p99),
            }
        });
    Ok(rows.collect())
}
