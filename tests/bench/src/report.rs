//! All figures of a run.

use clap::ValueEnum;
use serde::Serialize;

use crate::agreement::Published;
use crate::contestant::Contestant;
use crate::peers::Skipped;
use crate::scenario::Scenario;
use crate::stats::Interval;
use crate::throughput::MAIN_CONCURRENCY;
use crate::{
    console, functions, invoker_alone, latency, local, memory, observation, stream, throughput,
};

/// All figures of a run. Experiments that were not run are empty.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The setting.
    pub setting: Setting,
    /// The contestants that could not take part.
    pub skipped: Vec<Skipped>,
    /// Responses per second.
    pub throughput: Vec<throughput::Row>,
    /// The ratios of CPU times that are published, for comparison with another run.
    pub published: Vec<Published>,
    /// Latency at half load.
    pub latency: Vec<latency::Row>,
    /// Streamed responses.
    pub stream: Vec<stream::Row>,
    /// Envoy's memory over many requests.
    pub memory: Vec<memory::Row>,
    /// Envoy's memory with many workers.
    pub workers: Vec<memory::WorkersRow>,
    /// Many functions.
    pub functions: Vec<functions::Row>,
    /// The invoker alone.
    pub invoker: Vec<invoker_alone::Row>,
    /// Local functions.
    pub local: Vec<local::Row>,
    /// The first call of a local function.
    pub cold_start: Option<local::ColdStart>,
    /// The cost of the console.
    pub console: Vec<console::Row>,
    /// The cost of all that shows what happens, in Envoy and in the invoker.
    pub observation: Vec<observation::Row>,
    /// The size of the filter in bytes.
    pub wasm_bytes: u64,
}

/// The setting of a run.
#[derive(Debug, Default, Serialize)]
pub struct Setting {
    /// The date, such as `2026-11-22`.
    pub date: String,
    /// The processor.
    pub processor: String,
    /// Envoy's version.
    pub envoy: String,
    /// This project's version.
    pub version: String,
    /// The number of rounds of each figure.
    pub rounds: usize,
    /// The duration of each round in seconds.
    pub seconds: f64,
}

impl Report {
    /// Returns the figures of a contestant in a scenario at the main number of connections.
    pub fn row(&self, scenario: Scenario, contestant: Contestant) -> Option<&throughput::Row> {
        let mut rows = self.throughput.iter();
        rows.find(|row| {
            (row.scenario, row.contestant, row.concurrency)
                == (scenario, contestant, MAIN_CONCURRENCY)
        })
    }

    /// Returns by how much less CPU time a contestant takes than a peer.
    pub fn cpu_ratio(
        &self,
        scenario: Scenario,
        contestant: Contestant,
        peer: Contestant,
    ) -> Option<Interval> {
        let rounds = |contestant| Some(&self.row(scenario, contestant)?.proxy_cpu_rounds_us);
        Interval::ratio(rounds(peer)?, rounds(contestant)?)
    }

    /// Returns the ratios that are published.
    pub fn published(&self) -> Vec<Published> {
        let mut published = Vec::new();
        for scenario in Scenario::WHOLE {
            for peer in [Contestant::AwsLambda, Contestant::PassThrough] {
                let contestants = Contestant::value_variants().iter();
                for &contestant in contestants.filter(|contestant| **contestant != peer) {
                    let ratio = self.cpu_ratio(scenario, contestant, peer);
                    published.extend(ratio.map(|ratio| Published {
                        scenario: scenario.name().to_owned(),
                        contestant: contestant.name().to_owned(),
                        peer: peer.name().to_owned(),
                        ratio,
                    }));
                }
            }
        }
        published
    }

    /// Returns the latency of a contestant.
    pub fn latency_of(&self, contestant: Contestant) -> Option<&latency::Row> {
        let mut rows = self.latency.iter();
        rows.find(|row| row.contestant == contestant)
    }

    /// Returns the kilobytes of memory that each of 10,000 functions takes.
    pub fn kilobytes_per_function(&self, layout: functions::Layout) -> Option<f64> {
        let (one, many) = self.functions_of(layout)?;
        let used = many.used_kib.saturating_sub(one.used_kib);
        Some(used as f64 * 1.024 / 9_999.0)
    }

    /// Returns the figures of a single function, and those of 10,000.
    pub fn functions_of(
        &self,
        layout: functions::Layout,
    ) -> Option<(&functions::Row, &functions::Row)> {
        let row = |functions| {
            let mut rows = self.functions.iter();
            rows.find(|row| (row.layout, row.functions) == (layout, functions))
        };
        Some((row(1)?, row(10_000)?))
    }
}
