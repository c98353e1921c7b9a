//! The cost of many functions: in routes of one cluster, and with a cluster for each.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::contestant::Contestant;
use crate::envoy;
use crate::envoy_config::{bootstrap, cluster};
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process::{Process, free_address};
use crate::scenario::Scenario;
use crate::stats::Summary;

/// The place of the functions in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One cluster without a filter. There is a route for each host, as for the functions.
    PlainRoutes,
    /// One cluster with the native module. Each route has the module's configuration with a function.
    ModuleRoutes,
    /// One cluster with the filter as WebAssembly. The metadata of each route names a function.
    RouteMetadata,
    /// A cluster with its own filters, with WebAssembly, for each function.
    Clusters,
}

impl Layout {
    const ALL: [Self; 4] = [
        Self::PlainRoutes,
        Self::ModuleRoutes,
        Self::RouteMetadata,
        Self::Clusters,
    ];

    /// Returns the title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::PlainRoutes => "plain routes, without a filter",
            Self::ModuleRoutes => "routes with the native module",
            Self::RouteMetadata => "route metadata with WebAssembly",
            Self::Clusters => "clusters with WebAssembly",
        }
    }

    fn contestant(self) -> Contestant {
        match self {
            Self::PlainRoutes => Contestant::PassThrough,
            Self::ModuleRoutes => Contestant::Module,
            Self::RouteMetadata | Self::Clusters => Contestant::Ours,
        }
    }
}

/// The number of rounds for each round of other experiments. Losses of a few percent matter here.
const ROUNDS_FACTOR: usize = 2;

/// The figures for a number of functions.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    for layout in Layout::ALL {
        let most = lab.effort.functions;
        let mut counts = vec![1, 100, most];
        counts.retain(|&count| count <= most);
        counts.dedup();
        for functions in counts {
            xtask::say(format_args!("{functions} functions: {}", layout.title()));
            let mut envoy = Measured::start(lab, layout, functions)?;
            let requests = u64::try_from(functions)?;
            lab.send(envoy.address, &envoy.exchange, requests)?;
            envoy.row.used_kib = envoy.process.usage()?.resident_kib;
            envoys.push(envoy);
        }
    }
    let rounds = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..rounds {
        xtask::say(format_args!("functions: round {} of {rounds}", round + 1));
        for envoy in &mut envoys {
            let cpu = || Ok(envoy.process.usage()?.cpu);
            let (outcome, before, after) =
                lab.full_load(envoy.address, &envoy.exchange, 32, cpu)?;
            let used = after.saturating_sub(before);
            envoy.rates.push(outcome.rate());
            let cpu_us = used.as_secs_f64() * 1e6 / outcome.responses as f64;
            envoy.cpu_us.push(cpu_us);
        }
    }
    Ok(envoys.into_iter().map(Measured::row).collect())
}

/// An Envoy with its figures so far.
struct Measured {
    address: SocketAddr,
    process: Process,
    exchange: Exchange,
    row: Row,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Measured {
    fn start(lab: &Lab, layout: Layout, functions: usize) -> Result<Self> {
        let start = Instant::now();
        let (address, process) = self::start(lab, layout, functions)?;
        Ok(Self {
            address,
            exchange: exchange(functions),
            row: Row {
                layout,
                functions,
                start_seconds: start.elapsed().as_secs_f64(),
                resident_kib: process.usage()?.resident_kib,
                used_kib: 0,
                responses_per_second: Summary::of(Vec::new()),
                envoy_cpu_us: Summary::of(Vec::new()),
            },
            process,
            rates: Vec::new(),
            cpu_us: Vec::new(),
        })
    }

    fn row(self) -> Row {
        Row {
            responses_per_second: Summary::of(self.rates),
            envoy_cpu_us: Summary::of(self.cpu_us),
            ..self.row
        }
    }
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

fn start(lab: &Lab, layout: Layout, functions: usize) -> Result<(SocketAddr, Process)> {
    let contestant = layout.contestant();
    let script = Scenario::SmallGet.script(contestant);
    let upstream = lab.upstream(script)?.address;
    let filters = lab.filter.chain(contestant);
    let name = |index| match layout {
        Layout::Clusters => format!("f{index}"),
        _ => "upstream".to_owned(),
    };
    let virtual_host = |index| {
        let mut route = json!({
            "match": { "prefix": "/" },
            "route": { "cluster": name(index) },
        });
        if let (true, Some(route)) = (layout != Layout::PlainRoutes, route.as_object_mut()) {
            let keys = json!({ "function": format!("f{index}") });
            route.extend(lab.filter.in_route(contestant, &keys));
        }
        json!({ "name": host(index), "domains": [host(index)], "routes": [route] })
    };
    let clusters: Vec<Value> = match layout {
        Layout::Clusters => (0..functions)
            .map(|index| cluster(&name(index), upstream, &filters))
            .collect(),
        _ => vec![cluster("upstream", upstream, &filters)],
    };
    let hosts: Vec<Value> = (0..functions).map(virtual_host).collect();
    let address = free_address()?;
    let listener_filters = lab.filter.listener_chain(contestant, true);
    let config = bootstrap(address, &hosts, &listener_filters, &clusters);
    let name = format!("functions-{functions}-{layout:?}");
    let process = envoy::start(&name, address, &config, 1, lab.on(lab.cores.proxy))?;
    Ok((address, process))
}
