//! Answers per second, and CPU time per answer, of each contestant in each scenario.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::envoy::Contestant;
use crate::lab::Lab;
use crate::scenario::Scenario;
use crate::stats::Summary;

/// How many connections.
const CONCURRENCY: [usize; 3] = [1, 32, 256];

/// One contestant in one scenario at one concurrency.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// Connections.
    pub concurrency: usize,
    /// The contestant.
    pub contestant: Contestant,
    /// Answers per second.
    pub answers_per_second: Summary,
    /// Envoy's CPU time per answer in microseconds.
    pub envoy_cpu_us: Summary,
    /// The invoker's, where there is one.
    pub invoker_cpu_us: Option<Summary>,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
}

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    envoy: Vec<f64>,
    invoker: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures all of them in turns, round after round.
///
/// # Errors
/// An Envoy does not start, or an answer is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut figures: BTreeMap<(Scenario, usize, Contestant), Rounds> = BTreeMap::new();
    for scenario in Scenario::ALL {
        let envoys =
            Contestant::ALL.map(|contestant| (contestant, lab.contestant(scenario, contestant)));
        for round in 0..lab.effort.rounds {
            xtask::say(format_args!(
                "{}: round {} of {}",
                scenario.title(),
                round + 1,
                lab.effort.rounds
            ));
            for concurrency in CONCURRENCY {
                for (contestant, envoy) in &envoys {
                    let envoy = envoy
                        .as_ref()
                        .map_err(|error| anyhow::anyhow!("{error:#}"))?;
                    let rounds = figures
                        .entry((scenario, concurrency, *contestant))
                        .or_default();
                    let (outcome, before, after) = lab
                        .full_load(envoy.address, &scenario.exchange(), concurrency, || {
                            envoy.cpu()
                        })
                        .with_context(|| format!("{}, {}", contestant.title(), scenario.title()))?;
                    let all = outcome.answers as f64;
                    rounds.rate.push(outcome.rate());
                    rounds
                        .envoy
                        .push(after.envoy.saturating_sub(before.envoy).as_secs_f64() * 1e6 / all);
                    if let (Some(before), Some(after)) = (before.invoker, after.invoker) {
                        rounds
                            .invoker
                            .push(after.saturating_sub(before).as_secs_f64() * 1e6 / all);
                    }
                    rounds
                        .p50
                        .push(outcome.latency.value_at_quantile(0.5) as f64 / 1e3);
                    rounds
                        .p99
                        .push(outcome.latency.value_at_quantile(0.99) as f64 / 1e3);
                }
            }
        }
    }
    let row =
        |((scenario, concurrency, contestant), rounds): ((Scenario, usize, Contestant), Rounds)| {
            Row {
                scenario,
                concurrency,
                contestant,
                answers_per_second: Summary::of(rounds.rate),
                envoy_cpu_us: Summary::of(rounds.envoy),
                invoker_cpu_us: (!rounds.invoker.is_empty()).then(|| Summary::of(rounds.invoker)),
                p50_us: Summary::of(rounds.p50),
                p99_us: Summary::of(rounds.p99),
            }
        };
    Ok(figures.into_iter().map(row).collect())
}
