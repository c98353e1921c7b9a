//! What many functions cost: as route metadata of one cluster, and as a cluster each.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::envoy::{Contestant, Envoy, bootstrap, chain, cluster};
use crate::lab::Lab;
use crate::load::{Exchange, Load, Until};
use crate::process::free_address;
use crate::scenario::Scenario;
use crate::stats::Summary;

/// How many rounds for each one of other figures: the losses that matter here are of a few percent.
const MORE_ROUNDS: usize = 2;

/// Where the functions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// One cluster; each route's metadata names its function.
    RouteMetadata,
    /// A cluster each, with its own filters.
    Clusters,
}

/// One number of functions.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Where they stand.
    pub place: Place,
    /// How many.
    pub functions: usize,
    /// From Envoy's start until it accepts connections, in seconds.
    pub start_seconds: f64,
    /// Envoy's resident memory before any request, in KiB.
    pub resident_kib: u64,
    /// Its resident memory after requests to every function, in KiB.
    pub used_kib: u64,
    /// Small GETs per second, over all functions in turns.
    pub answers_per_second: Summary,
    /// Envoy's CPU time per answer in microseconds.
    pub envoy_cpu_us: Summary,
}

/// Measures 1, 100 and as many functions as are to be.
///
/// # Errors
/// An Envoy does not start, or an answer is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut envoys = Vec::new();
    for place in [Place::RouteMetadata, Place::Clusters] {
        let most = lab.effort.functions;
        let mut counts = vec![1, 100, most];
        counts.retain(|&count| count <= most);
        counts.dedup();
        for functions in counts {
            xtask::say(format_args!(
                "{functions} functions as {}",
                match place {
                    Place::RouteMetadata => "route metadata",
                    Place::Clusters => "clusters",
                }
            ));
            let start = Instant::now();
            let envoy = self::start(lab, place, functions)?;
            let start_seconds = start.elapsed().as_secs_f64();
            let resident_kib = envoy.process.usage()?.resident_kib;
            envoys.push((
                place,
                functions,
                start_seconds,
                resident_kib,
                envoy,
                (Vec::new(), Vec::new()),
            ));
        }
    }
    for (_, functions, _, _, envoy, _) in &envoys {
        let each_once = Load {
            concurrency: 32,
            until: Until::Requests(u64::try_from(*functions)?),
            rate: None,
            stagger: Duration::ZERO,
        };
        lab.load(envoy.address, &exchange(*functions), each_once)?;
    }
    let rounds = lab.effort.rounds * MORE_ROUNDS;
    for round in 0..rounds {
        xtask::say(format_args!("functions: round {} of {rounds}", round + 1));
        for (_, functions, _, _, envoy, (rate, cpu)) in &mut envoys {
            let exchange = exchange(*functions);
            let (outcome, before, after) =
                lab.full_load(envoy.address, &exchange, 32, || envoy.cpu())?;
            let used = after.envoy.saturating_sub(before.envoy);
            rate.push(outcome.rate());
            cpu.push(used.as_secs_f64() * 1e6 / outcome.answers as f64);
        }
    }
    envoys
        .into_iter()
        .map(
            |(place, functions, start_seconds, resident_kib, envoy, (rate, cpu))| {
                Ok(Row {
                    place,
                    functions,
                    start_seconds,
                    resident_kib,
                    used_kib: envoy.process.usage()?.resident_kib,
                    answers_per_second: Summary::of(rate),
                    envoy_cpu_us: Summary::of(cpu),
                })
            },
        )
        .collect()
}

/// A request to each function.
fn exchange(functions: usize) -> Exchange {
    let requests = (0..functions).map(|index| Scenario::SmallGet.request(&host(index)));
    Exchange {
        requests: requests.collect(),
        ..Scenario::SmallGet.exchange()
    }
}

fn host(index: usize) -> String {
    format!("f{index}.lambda.internal")
}

fn start(lab: &Lab, place: Place, functions: usize) -> Result<Envoy> {
    let upstream = lab.upstream(Scenario::SmallGet.script(Contestant::Ours))?;
    let filters = chain(Contestant::Ours, &lab.wasm);
    let name = |index| match place {
        Place::RouteMetadata => "upstream".to_owned(),
        Place::Clusters => format!("f{index}"),
    };
    let virtual_host = |index| {
        json!({
            "name": host(index),
            "domains": [host(index)],
            "routes": [{
                "match": { "prefix": "/" },
                "route": { "cluster": name(index) },
                "metadata": { "filter_metadata": { "lambda": { "function": format!("f{index}") } } },
            }],
        })
    };
    let clusters: Vec<Value> = match place {
        Place::RouteMetadata => vec![cluster("upstream", upstream, &filters)],
        Place::Clusters => (0..functions)
            .map(|index| cluster(&name(index), upstream, &filters))
            .collect(),
    };
    let hosts: Vec<Value> = (0..functions).map(virtual_host).collect();
    let address = free_address()?;
    let config = bootstrap(address, &hosts, &[], &clusters);
    Envoy::start(
        &format!("functions-{functions}-{place:?}"),
        address,
        &config,
        lab,
    )
}
