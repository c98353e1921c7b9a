//! Responses per second, CPU time per response and memory of each contestant in each scenario.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::contestant::Contestant;
use crate::lab::{Entrant, Lab};
use crate::load::{Exchange, Load, Until};
use crate::process;
use crate::scenario::Scenario;
use crate::stats::Summary;

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
            for _ in 0..if is_heavy { 1 } else { lab.effort.rounds } {
                for (entrant, rounds) in entrants.iter().zip(&mut figures) {
                    measure(lab, entrant, &exchange, concurrency, is_heavy, rounds).with_context(
                        || format!("{}, {}", entrant.contestant.title(), scenario.title()),
                    )?;
                }
            }
            for (entrant, rounds) in entrants.iter().zip(figures) {
                rows.push(rounds.row(scenario, concurrency, entrant.contestant));
            }
        }
    }
    Ok(rows)
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
            envoy_cpu_us: Summary::of(self.envoy),
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
