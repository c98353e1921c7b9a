//! All figures of a run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The setting.
    pub setting: Setting,
    /// The contestants that could not take part.
    pub skipped: Vec<Skipped>,
    /// Responses per second.
    pub throughput: Vec<throughput::Row>,
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
    /// The same in instructions.
    #[serde(default)]
    pub instructions: Vec<observation::Instructions>,
    /// The size of the filter in bytes.
    pub wasm_bytes: u64,
}

/// The setting of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
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
    /// Reads the `report.json` of an earlier run.
    ///
    /// # Errors
    /// The file cannot be read, or is not of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is no report of this version; make one with `cargo xtask bench`",
                path.display()
            )
        })
    }

    /// Takes this run's setting.
    ///
    /// # Errors
    /// The figures are those of another machine or of other programs.
    pub fn continued(mut self, setting: Setting) -> Result<Self> {
        let programs = |of: &Setting| (of.processor.clone(), of.envoy.clone(), of.version.clone());
        ensure!(
            programs(&self.setting) == programs(&setting),
            "the earlier figures are those of another processor, Envoy or lambda-mesh; leave out --keep"
        );
        self.setting = setting;
        Ok(self)
    }

    /// Returns the figures of a contestant in a scenario at the main number of connections.
    pub fn row(&self, scenario: Scenario, contestant: Contestant) -> Option<&throughput::Row> {
        let mut rows = self.throughput.iter();
        rows.find(|row| {
            (row.scenario, row.contestant, row.concurrency)
                == (scenario, contestant, MAIN_CONCURRENCY)
        })
    }

    /// Returns the contestants with figures at the main number of connections.
    pub fn contestants(&self) -> Vec<Contestant> {
        let mut all = Contestant::value_variants().to_vec();
        all.retain(|contestant| {
            let mut scenarios = Scenario::WHOLE.into_iter();
            scenarios.any(|scenario| self.row(scenario, *contestant).is_some())
        });
        all
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
                        scenario,
                        contestant,
                        peer,
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

    /// Returns the memory that a contestant takes beyond that of a plain Envoy, in MiB.
    pub fn added_mib(&self, contestant: Contestant) -> Option<Interval> {
        let mut rows = self.workers.iter();
        rows.find(|row| row.contestant == contestant)?.added_mib
    }

    /// Returns the time to the first byte of a streamed response in milliseconds.
    pub fn first_byte_ms(&self, contestant: Contestant) -> Option<f64> {
        let mut rows = self.stream.iter();
        let row = rows.find(|row| row.contestant == contestant)?;
        Some(row.first_byte_p50_ms)
    }

    /// Returns the ratio of the CPU time of a local call to that without a console.
    pub fn console_ratio(&self, console: console::Console) -> Option<Interval> {
        let mut rows = self.console.iter();
        rows.find(|row| row.console == console)?.ratio
    }

    /// Returns the ratio of the CPU time of a call through Envoy to that with nothing switched on.
    pub fn observation_ratio(&self, setup: observation::Setup) -> Option<Interval> {
        let mut rows = self.observation.iter();
        rows.find(|row| row.setup == setup)?.ratio
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let mut report = Report {
            wasm_bytes: 7,
            ..Report::default()
        };
        report.setting.processor = "a processor".to_owned();
        fs::write(&path, serde_json::to_string(&report).unwrap()).unwrap();
        let read = Report::read(&path).unwrap();
        assert_eq!(read.wasm_bytes, 7);
        assert!(read.continued(Setting::default()).is_err());
        let read = Report::read(&path).unwrap();
        assert!(read.continued(report.setting).is_ok());
    }

    #[test]
    fn a_file_that_is_no_report_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, "{}").unwrap();
        let error = Report::read(&path).unwrap_err().to_string();
        assert!(error.contains("`cargo xtask bench`"), "{error}");
        let missing = folder.path().join("missing");
        let error = Report::read(&missing).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
    }
}
