//! All figures of a run, and the goals.

use serde::Serialize;

use crate::console::{self, Console};
use crate::contestant::Contestant;
use crate::functions::{self, Layout};
use crate::invoker_alone::{self, Between};
use crate::local::{self, Runner};
use crate::scenario::Scenario;
use crate::stats::Ratio;
use crate::{latency, memory, stream, throughput};

/// All figures of a run. Experiments that were not run are empty.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The setting.
    pub setting: Setting,
    /// Responses per second.
    pub throughput: Vec<throughput::Row>,
    /// Latency at half load.
    pub latency: Vec<latency::Row>,
    /// Streamed responses.
    pub stream: Vec<stream::Row>,
    /// Envoy's memory over many requests.
    pub memory: Vec<memory::Row>,
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

/// A goal and its figure.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// The measured quantity.
    pub what: &'static str,
    /// The goal.
    pub target: &'static str,
    /// The figure with its unit.
    pub found: String,
    /// The figure reaches the goal.
    pub is_met: bool,
}

impl Report {
    /// Returns the figures of a contestant in a scenario at concurrency 32.
    pub fn row(&self, scenario: Scenario, contestant: Contestant) -> Option<&throughput::Row> {
        let mut rows = self.throughput.iter();
        rows.find(|row| {
            (row.scenario, row.contestant, row.concurrency) == (scenario, contestant, 32)
        })
    }

    fn rate(&self, scenario: Scenario, contestant: Contestant) -> Option<f64> {
        Some(self.row(scenario, contestant)?.responses_per_second.median)
    }

    /// Returns the goals that have figures.
    pub fn goals(&self) -> Vec<Goal> {
        use Contestant::{
            AwsLambda, Module, ModuleBody, ModuleSigned, Ours, OursInvoker, OursShim, OursSigned,
            PassThrough,
        };
        let ratio = |contestant, peer| {
            Some(self.rate(Scenario::SmallGet, contestant)? / self.rate(Scenario::SmallGet, peer)?)
        };
        let times = |what, target, least: f64, found: Option<f64>| {
            found.map(|found| Goal {
                what,
                target,
                found: format!("{found:.2} ×"),
                is_met: found >= least,
            })
        };
        let mut goals = vec![
            times(
                "unsigned, towards the invoker or a local function",
                "≥ 1.6 × aws_lambda",
                1.6,
                ratio(Ours, AwsLambda),
            ),
            times(
                "unsigned, towards the invoker or a local function",
                "≥ 0.72 × pass-through",
                0.72,
                ratio(Ours, PassThrough),
            ),
            times(
                "unsigned, towards an emulator",
                "≥ 1.3 × aws_lambda",
                1.3,
                ratio(OursShim, AwsLambda),
            ),
            times(
                "signed by Envoy",
                "≥ 1.1 × aws_lambda",
                1.1,
                ratio(OursSigned, AwsLambda),
            ),
            times(
                "signed by the invoker, Envoy's core",
                "≥ 1.5 × aws_lambda",
                1.5,
                self.cpu_ratio(Scenario::SmallGet, OursInvoker, AwsLambda)
                    .map(|ratio| ratio.median),
            ),
            times(
                "the invoker, signing, per core",
                "≥ 0.7 × a bare proxy",
                0.7,
                self.invoker_ratio(),
            ),
        ];
        // By Envoy's CPU time per response, which other work on the machine changes least.
        let get = Scenario::SmallGet;
        for (what, target, least, scenario, contestant, peer) in [
            (
                "module, towards the invoker",
                "≥ 1.8 × aws_lambda",
                1.8,
                get,
                Module,
                AwsLambda,
            ),
            (
                "module, towards the invoker",
                "≥ 0.72 × pass-through",
                0.72,
                get,
                Module,
                PassThrough,
            ),
            (
                "module, towards an emulator",
                "≥ 1.6 × aws_lambda",
                1.6,
                get,
                ModuleBody,
                AwsLambda,
            ),
            (
                "module, signed by Envoy",
                "≥ 1.3 × aws_lambda",
                1.3,
                get,
                ModuleSigned,
                AwsLambda,
            ),
            (
                "module, POST 10 KB",
                "≥ 2.5 × aws_lambda",
                2.5,
                Scenario::PostJson,
                Module,
                AwsLambda,
            ),
            (
                "module, POST 1 MB",
                "≥ 0.6 × pass-through",
                0.6,
                Scenario::PostBinary,
                Module,
                PassThrough,
            ),
            (
                "module, GET 5 MB",
                "≥ 0.6 × pass-through",
                0.6,
                Scenario::GetBinary,
                Module,
                PassThrough,
            ),
        ] {
            let ratio = self.cpu_ratio(scenario, contestant, peer);
            goals.push(ratio.map(|ratio| Goal {
                what,
                target,
                found: format!(
                    "{:.2} × ({:.2} to {:.2})",
                    ratio.median, ratio.low, ratio.high
                ),
                is_met: ratio.median >= least,
            }));
        }
        for (what, scenario) in [
            ("POST 1 MB binary", Scenario::PostBinary),
            ("GET 5 MB binary", Scenario::GetBinary),
        ] {
            let (ours, native) = (self.rate(scenario, Ours), self.rate(scenario, AwsLambda));
            goals.push(times(
                what,
                "≥ 1 × aws_lambda",
                1.0,
                ours.zip(native).map(|(ours, native)| ours / native),
            ));
            goals.push(ours.map(|rate| {
                let megabytes = rate * scenario.body_bytes() as f64 / 1e6;
                Goal {
                    what,
                    target: "≥ 200 MB/s of body",
                    found: format!("{megabytes:.0} MB/s"),
                    is_met: megabytes >= 200.0,
                }
            }));
        }
        goals.extend([self.added_p99(), self.memory_growth(), self.wasm_size()]);
        goals.extend(self.many_functions());
        goals.extend(self.local_goals());
        goals.extend(self.console_goals());
        goals.into_iter().flatten().collect()
    }

    /// Returns by how much less CPU time a contestant's Envoy takes than that of a peer.
    pub fn cpu_ratio(
        &self,
        scenario: Scenario,
        contestant: Contestant,
        peer: Contestant,
    ) -> Option<Ratio> {
        let rounds = |contestant| Some(&self.row(scenario, contestant)?.envoy_cpu_rounds_us);
        Ratio::of(rounds(peer)?, rounds(contestant)?)
    }

    fn invoker_ratio(&self) -> Option<f64> {
        let rate = |between: Between| {
            let mut rows = self.invoker.iter();
            let row = rows.find(|row| row.between == between && row.concurrency == 32)?;
            Some(row.responses_per_second.median)
        };
        Some(rate(Between::Invoker)? / rate(Between::BareProxy)?)
    }

    /// Returns the latency that the filter adds to the 99th percentile.
    fn added_p99(&self) -> Option<Goal> {
        let p99 = |contestant| {
            let mut rows = self.latency.iter();
            Some(rows.find(|row| row.contestant == contestant)?.p99_us.median)
        };
        let added = (p99(Contestant::Ours)? - p99(Contestant::PassThrough)?) / 1e3;
        Some(Goal {
            what: "p99 at half load",
            target: "< 0.3 ms above pass-through",
            found: format!("{added:.2} ms"),
            is_met: added < 0.3,
        })
    }

    /// Returns the growth of Envoy's memory over many requests.
    pub fn memory_growth(&self) -> Option<Goal> {
        let resident = |requests| {
            let mut rows = self.memory.iter();
            let row =
                rows.find(|row| (row.contestant, row.requests) == (Contestant::Ours, requests))?;
            Some(row.resident_kib as f64)
        };
        let growth = (resident(1_000_000)? / resident(10_000)? - 1.0) * 100.0;
        Some(Goal {
            what: "Envoy's memory after 1 M requests",
            target: "within 5 % of after 10 k",
            found: format!("{growth:+.1} %"),
            is_met: growth <= 5.0,
        })
    }

    fn wasm_size(&self) -> Option<Goal> {
        let kilobytes = self.wasm_bytes as f64 / 1e3;
        (self.wasm_bytes > 0).then(|| Goal {
            what: "size of the filter",
            target: "≤ 250 KB",
            found: format!("{kilobytes:.0} KB"),
            is_met: kilobytes <= 250.0,
        })
    }

    /// Returns the cost of many functions: memory, then throughput.
    pub fn many_functions(&self) -> Vec<Option<Goal>> {
        let row = |functions| {
            let mut rows = self.functions.iter();
            rows.find(|row| row.layout == Layout::RouteMetadata && row.functions == functions)
        };
        let (Some(one), Some(many)) = (row(1), row(10_000)) else {
            return Vec::new();
        };
        let each = many.used_kib.saturating_sub(one.used_kib) as f64 / 9_999.0;
        let loss =
            (1.0 - many.responses_per_second.median / one.responses_per_second.median) * 100.0;
        let what = "10,000 functions in route metadata";
        vec![
            Some(Goal {
                what,
                target: "≤ 20 KB each",
                found: format!("{each:.1} KB"),
                is_met: each <= 20.0,
            }),
            Some(Goal {
                what,
                target: "≤ 3 % less throughput",
                found: format!("{loss:.1} %"),
                is_met: loss <= 3.0,
            }),
        ]
    }

    fn console_goals(&self) -> Vec<Option<Goal>> {
        let goal = |what, target, most: f64, console| {
            let mut rows = self.console.iter();
            let ratio = rows.find(|row| row.console == console)?.ratio?;
            Some(Goal {
                what,
                target,
                found: format!(
                    "{:.3} × ({:.3} to {:.3})",
                    ratio.median, ratio.low, ratio.high
                ),
                is_met: ratio.median <= most,
            })
        };
        vec![
            goal(
                "CPU time of a local call with the console, page closed",
                "≤ 1.01 × without",
                1.01,
                Console::Closed,
            ),
            goal(
                "CPU time of a local call with the console, page open",
                "≤ 1.03 × without",
                1.03,
                Console::Open,
            ),
        ]
    }

    fn local_goals(&self) -> Vec<Option<Goal>> {
        let row = |runner, concurrency| {
            let mut rows = self.local.iter();
            rows.find(|row: &&local::Row| (row.runner, row.concurrency) == (runner, concurrency))
        };
        let ratio =
            |what, target, least: f64, ours: Option<&local::Row>, peer: Option<&local::Row>| {
                let found = ours?.responses_per_second.median / peer?.responses_per_second.median;
                Some(Goal {
                    what,
                    target,
                    found: format!("{found:.1} ×"),
                    is_met: found >= least,
                })
            };
        let (one, many) = (row(Runner::Invoker, 1), row(Runner::Invoker, 16));
        let emulator = row(Runner::Emulator, 1);
        let cold = self.cold_start.as_ref().zip(one).map(|(cold, warm)| {
            let above =
                cold.first_call_ms.median - cold.process_ms.median - warm.p50_us.median / 1e3;
            Goal {
                what: "cold start of a local function",
                target: "< 10 ms above the process's own",
                found: format!("{above:.1} ms"),
                is_met: above < 10.0,
            }
        });
        let warm = one.map(|row| Goal {
            what: "a warm call of a local function, p50",
            target: "< 150 µs",
            found: format!("{:.0} µs", row.p50_us.median),
            is_met: row.p50_us.median < 150.0,
        });
        vec![
            ratio(
                "local function, concurrency 1",
                "≥ 2 × the emulator",
                2.0,
                one,
                emulator,
            ),
            ratio(
                "local function, concurrency 16",
                "≥ 10 × the emulator",
                10.0,
                many,
                emulator,
            ),
            ratio(
                "local function, concurrency 1",
                "≥ 3 × cargo lambda watch",
                3.0,
                one,
                row(Runner::CargoLambda, 1),
            ),
            ratio(
                "local function, concurrency 16",
                "≥ 3 × cargo lambda watch",
                3.0,
                many,
                row(Runner::CargoLambda, 16),
            ),
            warm,
            cold,
        ]
    }
}
