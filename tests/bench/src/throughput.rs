//! Responses per second, CPU time per response and memory of each contestant in each scenario.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::contestant::Contestant;
use crate::lab::{Entrant, Lab};
use crate::load::{Exchange, Load, Until};
use crate::process;
use crate::scenario::Scenario;
use crate::stats::{Ratio, Summary};

/// More rounds are made until all ratios of CPU times are known as well as this.
const UNCERTAINTY_PERCENT: f64 = 3.0;
/// The number of rounds from which on an interval has the median with a probability of 95 %.
const FEWEST_ROUNDS: usize = 6;
/// The number of rounds at most, for each round that was asked for.
const MOST_ROUNDS_FACTOR: usize = 4;
/// If the bodies of all connections exceed this size in bytes, every connection makes only one request: a
/// round of Envoy's own filter would take minutes.
const MAX_CONCURRENT_BYTES: usize = 200_000_000;

/// The figures of a contestant in a scenario at a concurrency.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// The number of connections.
    pub concurrency: usize,
    /// The contestant.
    pub contestant: Contestant,
    /// Responses per second.
    pub responses_per_second: Summary,
    /// Envoy's CPU time per response in microseconds.
    pub envoy_cpu_us: Summary,
    /// The same for each round. The rounds of all contestants took turns.
    pub envoy_cpu_rounds_us: Vec<f64>,
    /// The invoker's CPU time per response, if it takes part, in microseconds.
    pub invoker_cpu_us: Option<Summary>,
    /// The CPU time per response of load generator and upstream, which are one process, in microseconds.
    pub load_cpu_us: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
    /// Envoy's resident memory before the first round, in KiB.
    pub before_kib: u64,
    /// Envoy's resident memory after the last round, in KiB.
    pub after_kib: u64,
    /// The peak of Envoy's resident memory in between, in KiB.
    pub peak_kib: u64,
}

/// Measures all contestants in turn in each round. One Envoy of each contestant serves all scenarios, the
/// small ones first.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let entrants = Contestant::ALL.map(|contestant| lab.entrant(Scenario::SmallGet, contestant));
    let entrants = entrants.into_iter().collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for scenario in Scenario::WHOLE {
        let exchange = scenario.exchange();
        for entrant in &entrants {
            entrant.prepare(scenario);
        }
        for &concurrency in &lab.effort.concurrency {
            xtask::say(format_args!(
                "{}: concurrency {concurrency}",
                scenario.title()
            ));
            let is_heavy = concurrency * scenario.body_bytes() > MAX_CONCURRENT_BYTES;
            let mut figures = Vec::new();
            figures.resize_with(entrants.len(), Rounds::default);
            let rounds = if is_heavy { 1 } else { lab.effort.rounds };
            // With fewer rounds, nobody asks for certainty.
            let is_repeated = rounds >= FEWEST_ROUNDS;
            for round in 0..rounds * MOST_ROUNDS_FACTOR {
                let uncertainty = uncertainty_percent(&figures);
                if round >= rounds && !(is_repeated && uncertainty > UNCERTAINTY_PERCENT) {
                    break;
                }
                if round == rounds {
                    xtask::say(format_args!(
                        "ratios are known to ± {uncertainty:.1} % only; more rounds"
                    ));
                }
                for (entrant, rounds) in entrants.iter().zip(&mut figures) {
                    measure(lab, entrant, &exchange, concurrency, is_heavy, rounds).with_context(
                        || format!("{}, {}", entrant.contestant.title(), scenario.title()),
                    )?;
                }
            }
            let uncertainty = uncertainty_percent(&figures);
            if is_repeated && uncertainty > UNCERTAINTY_PERCENT {
                xtask::say(format_args!(
                    "the machine is too busy: ratios are known to ± {uncertainty:.1} % only"
                ));
            }
            for (entrant, rounds) in entrants.iter().zip(figures) {
                rows.push(rounds.row(scenario, concurrency, entrant.contestant));
            }
        }
    }
    Ok(rows)
}

/// Returns how well the ratio of each contestant's CPU time to that of the first is known, in percent, for the
/// worst of them.
fn uncertainty_percent(figures: &[Rounds]) -> f64 {
    let Some((limit, others)) = figures.split_first() else {
        return 0.0;
    };
    let ratios = others
        .iter()
        .filter_map(|rounds| Ratio::of(&rounds.envoy, &limit.envoy));
    ratios
        .map(|ratio| ratio.uncertainty_percent())
        .fold(0.0, f64::max)
}

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    envoy: Vec<f64>,
    invoker: Vec<f64>,
    load: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    before_kib: Option<u64>,
    after_kib: u64,
    peak_kib: u64,
}

fn measure(
    lab: &Lab,
    entrant: &Entrant,
    exchange: &Exchange,
    concurrency: usize,
    is_heavy: bool,
    rounds: &mut Rounds,
) -> Result<()> {
    let envoy = &entrant.envoy;
    let meter = || Ok((envoy.cpu()?, process::own_cpu()?));
    let resident_kib = envoy.process.usage()?.resident_kib;
    rounds.before_kib.get_or_insert(resident_kib);
    envoy.process.forget_peak()?;
    let (outcome, before, after) = if is_heavy {
        let load = Load {
            concurrency,
            until: Until::Requests(u64::try_from(concurrency)?),
            rate: None,
            stagger: Duration::ZERO,
        };
        let before = meter()?;
        (lab.load(envoy.address, exchange, load)?, before, meter()?)
    } else {
        lab.full_load(envoy.address, exchange, concurrency, meter)?
    };
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.responses as f64
    };
    rounds.rate.push(outcome.rate());
    rounds.envoy.push(each(before.0.envoy, after.0.envoy));
    let invoker = before.0.invoker.zip(after.0.invoker);
    rounds
        .invoker
        .extend(invoker.map(|(before, after)| each(before, after)));
    rounds.load.push(each(before.1, after.1));
    let latency = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    rounds.p50.push(latency(0.5));
    rounds.p99.push(latency(0.99));
    let usage = envoy.process.usage()?;
    rounds.after_kib = usage.resident_kib;
    rounds.peak_kib = rounds.peak_kib.max(usage.peak_kib);
    Ok(())
}

impl Rounds {
    fn row(self, scenario: Scenario, concurrency: usize, contestant: Contestant) -> Row {
        Row {
            scenario,
            concurrency,
            contestant,
            responses_per_second: Summary::of(self.rate),
            envoy_cpu_us: Summary::of(self.envoy.clone()),
            envoy_cpu_rounds_us: self.envoy,
            invoker_cpu_us: (!self.invoker.is_empty()).then(|| Summary::of(self.invoker)),
            load_cpu_us: Summary::of(self.load),
            p50_us: Summary::of(self.p50),
            p99_us: Summary::of(self.p99),
            before_kib: self.before_kib.unwrap_or_default(),
            after_kib: self.after_kib,
            peak_kib: self.peak_kib,
        }
    }
}
