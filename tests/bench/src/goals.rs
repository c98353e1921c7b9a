//! The goals of the project, with their figures.

use serde::Serialize;

use crate::console::Console;
use crate::contestant::Contestant::{
    self, AwsLambda, Module, ModuleBody, ModuleSigned, Ours, OursInvoker, OursShim, OursSigned,
    PassThrough,
};
use crate::functions::Layout;
use crate::invoker_alone::Between;
use crate::local::{self, Runner};
use crate::memory::WORKERS;
use crate::observation::Setup;
use crate::report::Report;
use crate::scenario::Scenario::{self, GetBinary, PostBinary, PostJson, SmallGet};
use crate::stats::Interval;

/// A goal and its figure.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// The measured quantity.
    pub what: String,
    /// The goal.
    pub target: String,
    /// The figure with its unit.
    pub found: String,
    /// The figure reaches the goal.
    pub is_met: bool,
}

/// A goal for a ratio of CPU times.
type RatioGoal = (&'static str, f64, Scenario, Contestant, Contestant);

/// By CPU time per response, which other work on the machine changes least.
const CPU_RATIOS: [RatioGoal; 8] = [
    (
        "module, towards the invoker",
        1.8,
        SmallGet,
        Module,
        AwsLambda,
    ),
    (
        "module, towards the invoker",
        0.72,
        SmallGet,
        Module,
        PassThrough,
    ),
    (
        "module, towards an emulator",
        1.6,
        SmallGet,
        ModuleBody,
        AwsLambda,
    ),
    (
        "module, signed by Envoy",
        1.3,
        SmallGet,
        ModuleSigned,
        AwsLambda,
    ),
    ("module, POST 10 KB", 2.5, PostJson, Module, AwsLambda),
    ("module, POST 1 MB", 0.6, PostBinary, Module, PassThrough),
    ("module, GET 5 MB", 0.6, GetBinary, Module, PassThrough),
    (
        "signed by the invoker, Envoy's core",
        1.5,
        SmallGet,
        OursInvoker,
        AwsLambda,
    ),
];

/// By responses per second.
const RATE_RATIOS: [RatioGoal; 6] = [
    (
        "unsigned, towards the invoker",
        1.6,
        SmallGet,
        Ours,
        AwsLambda,
    ),
    (
        "unsigned, towards the invoker",
        0.72,
        SmallGet,
        Ours,
        PassThrough,
    ),
    (
        "unsigned, towards an emulator",
        1.3,
        SmallGet,
        OursShim,
        AwsLambda,
    ),
    ("signed by Envoy", 1.1, SmallGet, OursSigned, AwsLambda),
    ("POST 1 MB binary", 1.0, PostBinary, Ours, AwsLambda),
    ("GET 5 MB binary", 1.0, GetBinary, Ours, AwsLambda),
];

impl Goal {
    fn at_least(what: &str, least: f64, unit: &str, found: f64) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≥ {least} {unit}"),
            found: format!("{found:.2}"),
            is_met: found >= least,
        }
    }

    fn at_most(what: &str, most: f64, unit: &str, found: f64) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≤ {most} {unit}"),
            found: format!("{found:.2}"),
            is_met: found <= most,
        }
    }

    fn with(mut self, interval: &Interval) -> Self {
        let Interval { median, low, high } = interval;
        self.found = format!("{median:.2} ({low:.2} to {high:.2})");
        self
    }
}

/// Returns the goals that have figures.
pub fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (what, least, scenario, contestant, peer) in CPU_RATIOS {
        let unit = format!("× {}", peer.name());
        let ratio = report.cpu_ratio(scenario, contestant, peer);
        goals.extend(
            ratio.map(|ratio| Goal::at_least(what, least, &unit, ratio.median).with(&ratio)),
        );
    }
    goals.extend(latency(report));
    goals.extend(memory(report));
    goals.extend(functions(report));
    goals.extend(observation(report));
    goals.extend(wasm(report));
    goals.extend(local(report));
    goals
}

fn latency(report: &Report) -> impl Iterator<Item = Goal> {
    let goal = |(contestant, most)| {
        let added = report.latency_of(contestant)?.added_p99_us?;
        let added = Interval {
            median: added.median / 1e3,
            low: added.low / 1e3,
            high: added.high / 1e3,
        };
        let what = format!("{}, p99 at half load", contestant.title());
        let unit = "ms above pass-through";
        Some(Goal::at_most(&what, most, unit, added.median).with(&added))
    };
    [(Module, 0.1), (Ours, 0.3)].into_iter().filter_map(goal)
}

fn memory(report: &Report) -> Vec<Goal> {
    let mut rows = report.workers.iter();
    let module = rows.find(|row| row.contestant == Module);
    let added = module.and_then(|row| row.added_mib).map(|added| {
        let what = format!("native module, memory with {WORKERS} workers");
        Goal::at_most(&what, 3.0, "MiB above pass-through", added.median).with(&added)
    });
    let growth = memory_growth_percent(report).map(|growth| {
        Goal::at_most(
            "Envoy's memory after 1 M requests",
            5.0,
            "% above after 10 k",
            growth,
        )
    });
    added.into_iter().chain(growth).collect()
}

/// Returns the growth of the memory of an Envoy with WebAssembly, from ten thousand to a million requests.
pub fn memory_growth_percent(report: &Report) -> Option<f64> {
    let resident = |requests| {
        let mut rows = report.memory.iter();
        let row = rows.find(|row| (row.contestant, row.requests) == (Ours, requests))?;
        Some(row.resident_kib as f64)
    };
    Some((resident(1_000_000)? / resident(10_000)? - 1.0) * 100.0)
}

fn functions(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let plain = report.kilobytes_per_function(Layout::PlainRoutes);
    for (layout, most) in [(Layout::ModuleRoutes, 4.0), (Layout::RouteMetadata, 20.0)] {
        let (Some(each), Some((one, many))) = (
            report.kilobytes_per_function(layout),
            report.functions_of(layout),
        ) else {
            continue;
        };
        let what = format!("10,000 functions, {}", layout.title());
        goals.push(Goal::at_most(&what, most, "KB each", each));
        goals.extend(
            plain.map(|plain| {
                Goal::at_most(&what, most, "KB each above plain routes", each - plain)
            }),
        );
        let loss = 1.0 - many.responses_per_second.median / one.responses_per_second.median;
        goals.push(Goal::at_most(&what, 3.0, "% less throughput", loss * 100.0));
    }
    goals
}

fn observation(report: &Report) -> Vec<Goal> {
    let of_console = |console| {
        let mut rows = report.console.iter();
        rows.find(|row| row.console == console)?.ratio
    };
    let of_all = |setup| {
        let mut rows = report.observation.iter();
        rows.find(|row| row.setup == setup)?.ratio
    };
    let figures = [
        (
            "CPU time of a local call with the console, page closed",
            1.01,
            of_console(Console::Closed),
        ),
        (
            "CPU time of a local call with the console, page open",
            1.03,
            of_console(Console::Open),
        ),
        (
            "CPU time of a call through Envoy with all of it, page closed",
            1.01,
            of_all(Setup::Everything),
        ),
        (
            "CPU time of a call through Envoy with all of it, page open",
            1.03,
            of_all(Setup::EverythingOpen),
        ),
    ];
    let goals = figures.into_iter().filter_map(|(what, most, ratio)| {
        let ratio = ratio?;
        let mut goal = Goal::at_most(what, most, "× without", ratio.median);
        // The limits are percents.
        goal.found = format!(
            "{:.3} ({:.3} to {:.3})",
            ratio.median, ratio.low, ratio.high
        );
        Some(goal)
    });
    goals.collect()
}

fn wasm(report: &Report) -> Vec<Goal> {
    let rate = |scenario, contestant| {
        Some(
            report
                .row(scenario, contestant)?
                .responses_per_second
                .median,
        )
    };
    let mut goals = Vec::new();
    for (what, least, scenario, contestant, peer) in RATE_RATIOS {
        let (found, limit) = (rate(scenario, contestant), rate(scenario, peer));
        let ratio = found.zip(limit).map(|(found, limit)| found / limit);
        let (what, unit) = (format!("WebAssembly, {what}"), format!("× {}", peer.name()));
        goals.extend(ratio.map(|ratio| Goal::at_least(&what, least, &unit, ratio)));
    }
    for scenario in [PostBinary, GetBinary] {
        let what = format!("WebAssembly, {}", scenario.title());
        goals.extend(rate(scenario, Ours).map(|rate| {
            let megabytes = rate * scenario.body_bytes() as f64 / 1e6;
            Goal::at_least(&what, 200.0, "MB/s of body", megabytes)
        }));
    }
    if report.wasm_bytes > 0 {
        let kilobytes = report.wasm_bytes as f64 / 1e3;
        goals.push(Goal::at_most("WebAssembly, size", 250.0, "KB", kilobytes));
    }
    goals
}

fn local(report: &Report) -> Vec<Goal> {
    let invoker = |between: Between| {
        let mut rows = report.invoker.iter();
        let row = rows.find(|row| row.between == between && row.concurrency == 32)?;
        Some(row.responses_per_second.median)
    };
    let signing = invoker(Between::Invoker).zip(invoker(Between::BareProxy));
    let signing = signing.map(|(found, limit)| {
        Goal::at_least(
            "the invoker, signing, per core",
            0.7,
            "× a bare proxy",
            found / limit,
        )
    });
    let row = |runner, concurrency| {
        let mut rows = report.local.iter();
        rows.find(|row: &&local::Row| (row.runner, row.concurrency) == (runner, concurrency))
    };
    let (one, many) = (row(Runner::Invoker, 1), row(Runner::Invoker, 16));
    let emulator = row(Runner::Emulator, 1);
    let figures = [
        ("the emulator", 1, 2.0, one, emulator),
        ("the emulator", 16, 10.0, many, emulator),
        (
            "cargo lambda watch",
            1,
            3.0,
            one,
            row(Runner::CargoLambda, 1),
        ),
        (
            "cargo lambda watch",
            16,
            3.0,
            many,
            row(Runner::CargoLambda, 16),
        ),
    ];
    let ratios = figures
        .into_iter()
        .filter_map(|(peer, connections, least, ours, of_peer)| {
            let found = ours?.responses_per_second.median / of_peer?.responses_per_second.median;
            let what = format!("local function, concurrency {connections}");
            Some(Goal::at_least(&what, least, &format!("× {peer}"), found))
        });
    let warm = one.map(|row| {
        Goal::at_most(
            "a warm call of a local function, p50",
            150.0,
            "µs",
            row.p50_us.median,
        )
    });
    let cold = report.cold_start.as_ref().zip(one).map(|(cold, warm)| {
        let above = cold.first_call_ms.median - cold.process_ms.median - warm.p50_us.median / 1e3;
        Goal::at_most(
            "cold start of a local function",
            10.0,
            "ms above the process's own",
            above,
        )
    });
    signing
        .into_iter()
        .chain(ratios)
        .chain(warm)
        .chain(cold)
        .collect()
}
