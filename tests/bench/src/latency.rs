//! The latency that the filter adds at half load.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::entrant;
use crate::lab::Lab;
use crate::load::Load;
use crate::process;
use crate::scenario::Scenario;
use crate::stats::{Interval, Summary};
use crate::throughput::MAIN_CONCURRENCY;

/// The number of rounds for each round of other experiments. Only the half counts in which load and proxies
/// waited least for their cores, because other work of the machine affects the 99th percentile most.
const ROUNDS_FACTOR: usize = 4;
/// The number of measurements of a contestant in a round, of which the median counts. A pause of the machine of some
/// milliseconds makes more than a hundredth of the requests in one of them late, but not in most.
const PARTS: u32 = 5;
const CONTESTANTS: [Contestant; 5] = [
    Contestant::PassThrough,
    Contestant::AwsLambda,
    Contestant::Module,
    Contestant::Ours,
    Contestant::ExtProc,
];

/// The figures of a contestant, at the same rate for all contestants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// Requests per second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
    /// The median latency above that of the first contestant, in microseconds.
    pub added_p50_us: Option<Interval>,
    /// The 99th percentile above that of the first contestant, in microseconds.
    pub added_p99_us: Option<Interval>,
}

/// The percentiles of a contestant, by round.
type Percentiles = (Vec<f64>, Vec<f64>);

/// Measures small GETs at half of the highest rate of our filter as WebAssembly. Each round has new processes.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let contestants = lab.among(&CONTESTANTS);
    let mut rate = None;
    let mut rounds = Vec::new();
    let count = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..count {
        xtask::say(format_args!("latency: round {} of {count}", round + 1));
        let (waiting, percentiles) = run_round(lab, &contestants, &mut rate)?;
        rounds.push((waiting, percentiles));
    }
    rounds.sort_by_key(|(waiting, _)| *waiting);
    rounds.truncate(count.div_ceil(2));
    let of = |index: usize| -> Percentiles {
        let of_round = rounds.iter().filter_map(|(_, all)| all.get(index));
        of_round.copied().unzip()
    };
    let (limit_p50, limit_p99) = of(0);
    let rows = contestants.iter().enumerate().map(|(index, contestant)| {
        let (p50, p99) = of(index);
        let added = |figures, limit| Interval::difference(figures, limit).filter(|_| index > 0);
        Row {
            contestant: *contestant,
            rate: rate.unwrap_or_default(),
            added_p50_us: added(&p50, &limit_p50),
            added_p99_us: added(&p99, &limit_p99),
            p50_us: Summary::of(p50),
            p99_us: Summary::of(p99),
        }
    });
    Ok(rows.collect())
}

/// Returns the time for which load and proxies have waited for a core, and the percentiles of each contestant. The
/// first round finds the rate.
fn run_round(
    lab: &Lab,
    contestants: &[Contestant],
    rate: &mut Option<f64>,
) -> Result<(std::time::Duration, Vec<(f64, f64)>)> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let entrants = entrant::start(lab, scenario, contestants)?;
    for entrant in &entrants {
        lab.warm_up(entrant.address, &exchange)?;
        if rate.is_none() && entrant.contestant == Contestant::Ours {
            let most = Load::most(MAIN_CONCURRENCY, lab.effort.duration);
            *rate = Some(lab.load(entrant.address, &exchange, most)?.rate() / 2.0);
        }
    }
    let mut waited = std::time::Duration::ZERO;
    let mut percentiles = Vec::new();
    for entrant in &entrants {
        let load = Load {
            rate: *rate,
            ..Load::most(MAIN_CONCURRENCY, lab.effort.duration / 2)
        };
        let waiting = || anyhow::Ok(entrant.waiting()? + process::own_waiting()?);
        let before = waiting()?;
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for _ in 0..PARTS {
            let latency = lab.load(entrant.address, &exchange, load)?.latency;
            let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
            p50.push(at(0.5));
            p99.push(at(0.99));
        }
        waited += waiting()?.saturating_sub(before);
        percentiles.push((Summary::of(p50).median, Summary::of(p99).median));
    }
    Ok((waited, percentiles))
}
