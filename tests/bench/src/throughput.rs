//! Responses per second, CPU time per response and memory of each contestant in each scenario.
//!
//! Each round has new processes. A process keeps the places of its code and memory for as long as it lives, and with
//! them an advantage or a disadvantage, so that rounds of one process could show an interval that the next run leaves.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::entrant::{self, Entrant};
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process;
use crate::scenario::Scenario;
use crate::stats::{Interval, Summary};

/// The number of connections whose ratios are published. Other numbers have a few rounds only.
pub const MAIN_CONCURRENCY: usize = 32;
/// The number of rounds for other numbers of connections.
const OTHER_ROUNDS: usize = 3;
/// More rounds are made until all ratios of CPU times are known as well as this.
const UNCERTAINTY_PERCENT: f64 = 3.0;
/// The number of rounds from which on an interval has the median with a probability of 95 %.
const FEWEST_ROUNDS: usize = 6;
/// The number of rounds at most, for each round that was asked for.
const MOST_ROUNDS_FACTOR: usize = 2;
/// The largest size of the bodies of all connections together in bytes. All contestants keep the memory that they need
/// for them until the end of the round.
const MAX_CONCURRENT_BYTES: usize = 200_000_000;

/// The figures of a contestant in a scenario at a concurrency.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// The number of connections.
    pub concurrency: usize,
    /// The contestant.
    pub contestant: Contestant,
    /// Responses per second.
    pub responses_per_second: Summary,
    /// CPU time per response in microseconds: of Envoy and a service that does the filter's work, or of the proxy in
    /// their place.
    pub proxy_cpu_us: Summary,
    /// The same for each round, which has new processes. The contestants take turns in it.
    pub proxy_cpu_rounds_us: Vec<f64>,
    /// The invoker's CPU time per response, if it takes part, in microseconds.
    pub invoker_cpu_us: Option<Summary>,
    /// The CPU time per response of load generator and upstream, which are one process, in microseconds.
    pub load_cpu_us: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
    /// Envoy's resident memory before the measurement of the first round, in KiB.
    pub before_kib: u64,
    /// Envoy's resident memory after that of the last round, in KiB.
    pub after_kib: u64,
    /// The peak of Envoy's resident memory in all rounds, in KiB.
    pub peak_kib: u64,
}

/// Measures all contestants in turn in each round, in each scenario and at each number of connections.
///
/// # Errors
/// A contestant does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut cells = Vec::new();
    for &scenario in &lab.effort.scenarios {
        let new = |&concurrency: &usize| Cell::new(lab, scenario, concurrency);
        let mut concurrency = lab.effort.concurrency.clone();
        concurrency.retain(|count| count * scenario.body_bytes() <= MAX_CONCURRENT_BYTES);
        cells.extend(concurrency.iter().map(new));
    }
    let asked = lab.effort.rounds;
    for round in 0..asked * MOST_ROUNDS_FACTOR {
        let mut open: Vec<_> = cells.iter_mut().collect();
        open.retain(|cell| cell.needs(round, asked));
        let uncertainty = open.iter().map(|cell| cell.uncertainty_percent());
        let uncertainty = uncertainty.fold(0.0, f64::max);
        if open.is_empty() {
            break;
        }
        match round < asked {
            true => xtask::say(format_args!("throughput: round {} of {asked}", round + 1)),
            false => xtask::say(format_args!(
                "throughput: round {}, as ratios are known to ± {uncertainty:.1} % only",
                round + 1
            )),
        }
        run_round(lab, round, open)?;
    }
    let uncertainty = cells.iter().filter(|cell| cell.is_main());
    let uncertainty = uncertainty
        .map(Cell::uncertainty_percent)
        .fold(0.0, f64::max);
    if asked >= FEWEST_ROUNDS && uncertainty > UNCERTAINTY_PERCENT {
        xtask::say(format_args!(
            "the machine is too busy: ratios are known to ± {uncertainty:.1} % only"
        ));
    }
    Ok(cells.into_iter().flat_map(Cell::rows).collect())
}

/// Starts new processes and measures them in turn. Neither their start nor their turns are always in the same order.
fn run_round(lab: &Lab, round: usize, cells: Vec<&mut Cell>) -> Result<()> {
    let mut order = lab.among(&lab.effort.contestants);
    let contestants = order.len().max(1);
    order.rotate_left(round % contestants);
    if round % 2 == 1 {
        order.reverse();
    }
    let entrants = entrant::start(lab, Scenario::SmallGet, &order)?;
    let mut prepared = None;
    for cell in cells {
        let exchange = cell.scenario.exchange();
        if prepared.replace(cell.scenario) != Some(cell.scenario) {
            for entrant in entrants_of(&entrants, cell.scenario) {
                entrant.prepare(cell.scenario);
                lab.warm_up(entrant.address, &exchange)?;
            }
        }
        for entrant in entrants_of(&entrants, cell.scenario) {
            cell.measure(lab, entrant, &exchange).with_context(|| {
                format!("{}, {}", entrant.contestant.title(), cell.scenario.title())
            })?;
        }
    }
    Ok(())
}

fn entrants_of(entrants: &[Entrant], scenario: Scenario) -> impl Iterator<Item = &Entrant> {
    entrants
        .iter()
        .filter(move |entrant| scenario.is_served_by(entrant.contestant))
}

/// A scenario at a number of connections, with the figures of each contestant.
struct Cell {
    scenario: Scenario,
    concurrency: usize,
    figures: Vec<(Contestant, Rounds)>,
}

impl Cell {
    fn new(lab: &Lab, scenario: Scenario, concurrency: usize) -> Self {
        let mut contestants = lab.among(&lab.effort.contestants);
        contestants.retain(|contestant| scenario.is_served_by(*contestant));
        let figures = contestants.into_iter();
        Self {
            scenario,
            concurrency,
            figures: figures
                .map(|contestant| (contestant, Rounds::default()))
                .collect(),
        }
    }

    fn is_main(&self) -> bool {
        self.concurrency == MAIN_CONCURRENCY
    }

    /// Returns whether this round has a measurement, where `asked` rounds were asked for.
    fn needs(&self, round: usize, asked: usize) -> bool {
        match () {
            () if !self.is_main() => round < asked.min(OTHER_ROUNDS),
            () if round < asked => true,
            // With fewer rounds, nobody asks for certainty.
            () => asked >= FEWEST_ROUNDS && self.uncertainty_percent() > UNCERTAINTY_PERCENT,
        }
    }

    /// Returns how well the ratio of each contestant's CPU time to that of the first is known, in percent, for the
    /// worst of them.
    fn uncertainty_percent(&self) -> f64 {
        let Some(((_, limit), others)) = self.figures.split_first() else {
            return 0.0;
        };
        let inside = others
            .iter()
            .filter(|(contestant, _)| contestant.is_inside_envoy());
        let ratios = inside.filter_map(|(_, rounds)| Interval::ratio(&rounds.proxy, &limit.proxy));
        ratios
            .map(|ratio| ratio.uncertainty_percent())
            .fold(0.0, f64::max)
    }

    fn measure(&mut self, lab: &Lab, entrant: &Entrant, exchange: &Exchange) -> Result<()> {
        let concurrency = self.concurrency;
        let mut figures = self.figures.iter_mut();
        match figures.find(|(contestant, _)| *contestant == entrant.contestant) {
            Some((_, rounds)) => measure(lab, entrant, exchange, concurrency, rounds),
            None => Ok(()),
        }
    }

    fn rows(self) -> Vec<Row> {
        let figures = self.figures.into_iter();
        let row = |(contestant, rounds): (_, Rounds)| {
            rounds.row(self.scenario, self.concurrency, contestant)
        };
        figures.map(row).collect()
    }
}

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    proxy: Vec<f64>,
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
    rounds: &mut Rounds,
) -> Result<()> {
    let meter = || Ok((entrant.cpu()?, process::own_cpu()?));
    let resident_kib = entrant.usage()?.resident_kib;
    rounds.before_kib.get_or_insert(resident_kib);
    entrant.forget_peak()?;
    let (outcome, before, after) = lab.full_load(entrant.address, exchange, concurrency, meter)?;
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.responses as f64
    };
    rounds.rate.push(outcome.rate());
    rounds.proxy.push(each(before.0.proxy, after.0.proxy));
    let invoker = before.0.invoker.zip(after.0.invoker);
    rounds
        .invoker
        .extend(invoker.map(|(before, after)| each(before, after)));
    rounds.load.push(each(before.1, after.1));
    let latency = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    rounds.p50.push(latency(0.5));
    rounds.p99.push(latency(0.99));
    let usage = entrant.usage()?;
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
            proxy_cpu_us: Summary::of(self.proxy.clone()),
            proxy_cpu_rounds_us: self.proxy,
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
