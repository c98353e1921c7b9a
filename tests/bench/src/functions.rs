//! The cost of many functions, in the route metadata of one cluster, and with a cluster for each.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::contestant::Contestant;
use crate::envoy::{Envoy, bootstrap, cluster};
use crate::lab::Lab;
use crate::load::{Exchange, Load, Until};
use crate::process::free_address;
use crate::scenario::Scenario;
use crate::stats::Summary;

/// The number of rounds for each round of other experiments. Losses of a few percent matter here.
const ROUNDS_FACTOR: usize = 2;

/// The place of the functions in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One cluster. The metadata of each route names a function.
    RouteMetadata,
    /// A cluster with its own filters for each function.
    Clusters,
}

/// The figures for a number of functions.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The place of the functions in the configuration.
    pub layout: Layout,
    /// The number of functions.
    pub functions: usize,
    /// The time from Envoy's start until it accepts connections, in seconds.
    pub start_seconds: f64,
    /// Envoy's resident memory before any request, in KiB.
    pub resident_kib: u64,
    /// Envoy's resident memory after requests to every function, in KiB.
    pub used_kib: u64,
    /// Small GETs per second, to all functions in turn.
    pub responses_per_second: Summary,
    /// Envoy's CPU time per response in microseconds.
    pub envoy_cpu_us: Summary,
}

/// Measures 1, 100 and the largest number of functions.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let mut envoys = Vec::new();
    for layout in [Layout::RouteMetadata, Layout::Clusters] {
        let most = lab.effort.functions;
        let mut counts = vec![1, 100, most];
        counts.retain(|&count| count <= most);
        counts.dedup();
        for functions in counts {
            xtask::say(format_args!(
                "{functions} functions as {}",
                match layout {
                    Layout::RouteMetadata => "route metadata",
                    Layout::Clusters => "clusters",
                }
            ));
            let start = Instant::now();
            let envoy = self::start(lab, layout, functions)?;
            let start_seconds = start.elapsed().as_secs_f64();
            let resident_kib = envoy.process.usage()?.resident_kib;
            envoys.push((
                layout,
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
    let rounds = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..rounds {
        xtask::say(format_args!("functions: round {} of {rounds}", round + 1));
        for (_, functions, _, _, envoy, (rate, cpu)) in &mut envoys {
            let exchange = exchange(*functions);
            let (outcome, before, after) =
                lab.full_load(envoy.address, &exchange, 32, || envoy.cpu())?;
            let used = after.envoy.saturating_sub(before.envoy);
            rate.push(outcome.rate());
            cpu.push(used.as_secs_f64() * 1e6 / outcome.responses as f64);
        }
    }
    envoys
        .into_iter()
        .map(
            |(layout, functions, start_seconds, resident_kib, envoy, (rate, cpu))| {
                Ok(Row {
                    layout,
                    functions,
                    start_seconds,
                    resident_kib,
                    used_kib: envoy.process.usage()?.resident_kib,
                    responses_per_second: Summary::of(rate),
                    envoy_cpu_us: Summary::of(cpu),
                })
            },
        )
        .collect()
}

/// Returns an exchange with a request to each function.
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

fn start(lab: &Lab, layout: Layout, functions: usize) -> Result<Envoy> {
    let upstream = lab.upstream(Scenario::SmallGet.script(Contestant::Ours))?;
    let filters = lab.filter.chain(Contestant::Ours);
    let name = |index| match layout {
        Layout::RouteMetadata => "upstream".to_owned(),
        Layout::Clusters => format!("f{index}"),
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
    let clusters: Vec<Value> = match layout {
        Layout::RouteMetadata => vec![cluster("upstream", upstream, &filters)],
        Layout::Clusters => (0..functions)
            .map(|index| cluster(&name(index), upstream, &filters))
            .collect(),
    };
    let hosts: Vec<Value> = (0..functions).map(virtual_host).collect();
    let address = free_address()?;
    let config = bootstrap(address, &hosts, &[], &clusters);
    Envoy::start(
        &format!("functions-{functions}-{layout:?}"),
        address,
        &config,
        lab.on(lab.cores.proxy),
    )
}
