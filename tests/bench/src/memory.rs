//! Envoy's memory over many requests, and with many workers.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::entrant::Entrant;
use crate::lab::Lab;
use crate::load::{Load, Until};
use crate::scenario::Scenario;
use crate::stats::Interval;

/// The number of requests after which the memory is read first. By then, Envoy has allocated everything for
/// its connections.
const WARM_UP_REQUESTS: u64 = 10_000;

/// The number of workers of an Envoy with many.
pub const WORKERS: usize = 8;

/// The number of connections for many workers. The kernel spreads them at random, so that each worker has some.
const CONNECTIONS: usize = 64;

const CONTESTANTS: [Contestant; 3] = [
    Contestant::PassThrough,
    Contestant::Module,
    Contestant::Ours,
];

/// Envoy's resident memory after some requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// The number of requests so far.
    pub requests: u64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The peak of the resident memory in KiB.
    pub peak_kib: u64,
}

/// Envoy's resident memory with many workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkersRow {
    /// The contestant.
    pub contestant: Contestant,
    /// Resident memory before any request, in MiB.
    pub start_mib: Interval,
    /// Resident memory after requests to every worker, in MiB.
    pub used_mib: Interval,
    /// The same above that of the first contestant, in MiB.
    pub added_mib: Option<Interval>,
}

/// Sends many small GETs to a plain Envoy, and to one with each form of the filter.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let mut rows = Vec::new();
    for contestant in CONTESTANTS {
        let entrant = Entrant::start(lab, scenario, contestant, 1)?;
        let mut sent = 0;
        for requests in [
            0,
            WARM_UP_REQUESTS.min(lab.effort.requests),
            lab.effort.requests,
        ] {
            xtask::say(format_args!(
                "memory of {} after {requests} requests",
                contestant.title()
            ));
            sent += lab
                .send(entrant.address, &exchange, requests - sent)?
                .responses;
            let usage = entrant.usage()?;
            rows.push(Row {
                contestant,
                requests: sent,
                resident_kib: usage.resident_kib,
                peak_kib: usage.peak_kib,
            });
        }
    }
    Ok(rows)
}

/// Reads the memory of Envoys with many workers. Each round has new processes.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn with_workers(lab: &Lab) -> Result<Vec<WorkersRow>> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let mut figures = [const { (Vec::new(), Vec::new()) }; CONTESTANTS.len()];
    let mebibytes = |entrant: &Entrant| anyhow::Ok(entrant.usage()?.resident_kib as f64 / 1024.0);
    for round in 0..lab.effort.rounds {
        xtask::say(format_args!(
            "memory with {WORKERS} workers: round {} of {}",
            round + 1,
            lab.effort.rounds
        ));
        for (contestant, (start, used)) in CONTESTANTS.iter().zip(&mut figures) {
            let entrant = Entrant::start(lab, scenario, *contestant, WORKERS)?;
            start.push(mebibytes(&entrant)?);
            let load = Load {
                concurrency: CONNECTIONS,
                until: Until::Requests(WARM_UP_REQUESTS.min(lab.effort.requests)),
                ..Load::most(CONNECTIONS, lab.effort.duration)
            };
            lab.load(entrant.address, &exchange, load)?;
            used.push(mebibytes(&entrant)?);
        }
    }
    let limit = figures.first().map(|(_, used)| used.clone());
    let rows = CONTESTANTS
        .iter()
        .zip(figures)
        .filter_map(|(contestant, (start, used))| {
            let limit = limit
                .as_ref()
                .filter(|_| *contestant != Contestant::PassThrough);
            Some(WorkersRow {
                contestant: *contestant,
                start_mib: Interval::of(start)?,
                added_mib: limit.and_then(|limit| Interval::difference(&used, limit)),
                used_mib: Interval::of(used)?,
            })
        });
    Ok(rows.collect())
}
