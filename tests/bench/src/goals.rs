//! The goals of the project, with their figures.

use serde::Serialize;

use crate::console::Console;
use crate::contestant::Contestant::{
    self, AwsLambda, Module, ModuleBody, ModuleSigned, Ours, OursInvoker, OursShim, OursSigned,
    PassThrough,
};
use crate::functions::Layout;
use crate::invoker_alone::Between;
use crate::local::Runner;
use crate::memory::WORKERS;
use crate::observation::Setup;
use crate::report::Report;
use crate::scenario::Scenario::{self, GetBinary, PostBinary, PostJson, SmallGet};
use crate::stats::Interval;
use crate::table;

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

/// A figure as the report shows it.
struct Figure {
    value: f64,
    text: String,
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        let text = format!("{value:.2}");
        Self { value, text }
    }
}

impl From<Interval> for Figure {
    fn from(interval: Interval) -> Self {
        Self::with_decimals(&interval, 2)
    }
}

impl Figure {
    fn with_decimals(interval: &Interval, decimals: usize) -> Self {
        Self {
            value: interval.median,
            text: table::interval(Some(interval), decimals),
        }
    }
}

/// The goals that have figures.
#[derive(Default)]
struct Goals(Vec<Goal>);

impl Goals {
    fn at_least(&mut self, what: &str, least: f64, unit: &str, figure: Option<impl Into<Figure>>) {
        self.add(what, format!("≥ {least} {unit}"), figure, |value| {
            value >= least
        });
    }

    fn at_most(&mut self, what: &str, most: f64, unit: &str, figure: Option<impl Into<Figure>>) {
        self.add(what, format!("≤ {most} {unit}"), figure, |value| {
            value <= most
        });
    }

    fn add(
        &mut self,
        what: &str,
        target: String,
        figure: Option<impl Into<Figure>>,
        is_met: impl FnOnce(f64) -> bool,
    ) {
        self.0.extend(figure.map(|figure| {
            let Figure { value, text } = figure.into();
            Goal {
                what: what.to_owned(),
                target,
                found: text,
                is_met: is_met(value),
            }
        }));
    }
}

/// A goal for a ratio: the measured quantity, the least ratio, the scenario, and the two contestants.
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

/// Returns the goals that have figures.
pub fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Goals::default();
    for (what, least, scenario, contestant, peer) in CPU_RATIOS {
        let ratio = report.cpu_ratio(scenario, contestant, peer);
        goals.at_least(what, least, &times(peer), ratio);
    }
    latency(report, &mut goals);
    memory(report, &mut goals);
    functions(report, &mut goals);
    observation(report, &mut goals);
    wasm(report, &mut goals);
    local(report, &mut goals);
    goals.0
}

/// Returns the unit of a ratio to a peer.
fn times(peer: Contestant) -> String {
    format!("× {}", peer.name())
}

fn latency(report: &Report, goals: &mut Goals) {
    for (contestant, most) in [(Module, 0.1), (Ours, 0.3)] {
        let what = format!("{}, p99 at half load", contestant.title());
        let added = report.latency_of(contestant);
        let added = added.and_then(|row| Some(row.added_p99_us?.divided_by(1e3)));
        goals.at_most(&what, most, "ms above pass-through", added);
    }
}

fn memory(report: &Report, goals: &mut Goals) {
    let what = format!("native module, memory with {WORKERS} workers");
    let added = report.added_mib(Module);
    goals.at_most(&what, 3.0, "MiB above pass-through", added);
    goals.at_most(
        "Envoy's memory after 1 M requests",
        5.0,
        "% above after 10 k",
        memory_growth_percent(report),
    );
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

fn functions(report: &Report, goals: &mut Goals) {
    let plain = report.kilobytes_per_function(Layout::PlainRoutes);
    for (layout, most) in [(Layout::ModuleRoutes, 4.0), (Layout::RouteMetadata, 20.0)] {
        let what = format!("10,000 functions, {}", layout.title());
        let each = report.kilobytes_per_function(layout);
        goals.at_most(&what, most, "KB each", each);
        let above = each.zip(plain).map(|(each, plain)| each - plain);
        goals.at_most(&what, most, "KB each above plain routes", above);
        let loss = report.functions_of(layout).map(|(one, many)| {
            1.0 - many.responses_per_second.median / one.responses_per_second.median
        });
        let percent = loss.map(|loss| loss * 100.0);
        goals.at_most(&what, 3.0, "% less throughput", percent);
    }
}

fn observation(report: &Report, goals: &mut Goals) {
    let figures = [
        (
            "CPU time of a local call with the console, page closed",
            1.01,
            report.console_ratio(Console::Closed),
        ),
        (
            "CPU time of a local call with the console, page open",
            1.03,
            report.console_ratio(Console::Open),
        ),
        (
            "CPU time of a call through Envoy with statistics, console and traces, page closed",
            1.01,
            report.observation_ratio(Setup::Everything),
        ),
        (
            "CPU time of a call through Envoy with statistics, console and traces, page open",
            1.03,
            report.observation_ratio(Setup::EverythingOpen),
        ),
    ];
    for (what, most, ratio) in figures {
        // The limits are percents.
        let figure = ratio.map(|ratio| Figure::with_decimals(&ratio, 3));
        goals.at_most(what, most, "× without", figure);
    }
}

fn wasm(report: &Report, goals: &mut Goals) {
    let rate = |scenario, contestant| {
        let row = report.row(scenario, contestant)?;
        Some(row.responses_per_second.median)
    };
    for (what, least, scenario, contestant, peer) in RATE_RATIOS {
        let (found, limit) = (rate(scenario, contestant), rate(scenario, peer));
        let ratio = found.zip(limit).map(|(found, limit)| found / limit);
        goals.at_least(&format!("WebAssembly, {what}"), least, &times(peer), ratio);
    }
    for scenario in [PostBinary, GetBinary] {
        let what = format!("WebAssembly, {}", scenario.title());
        let megabytes = rate(scenario, Ours).map(|rate| rate * scenario.body_bytes() as f64 / 1e6);
        goals.at_least(&what, 200.0, "MB/s of body", megabytes);
    }
    let kilobytes = (report.wasm_bytes > 0).then_some(report.wasm_bytes as f64 / 1e3);
    goals.at_most("WebAssembly, size", 250.0, "KB", kilobytes);
}

fn local(report: &Report, goals: &mut Goals) {
    let invoker = |between: Between| {
        let mut rows = report.invoker.iter();
        let row = rows.find(|row| row.between == between && row.concurrency == 32)?;
        Some(row.responses_per_second.median)
    };
    let (found, limit) = (invoker(Between::Invoker), invoker(Between::BareProxy));
    goals.at_least(
        "the invoker, signing, per core",
        0.7,
        "× a bare proxy",
        found.zip(limit).map(|(found, limit)| found / limit),
    );
    let row = |runner, concurrency| {
        let mut rows = report.local.iter();
        rows.find(|row| (row.runner, row.concurrency) == (runner, concurrency))
    };
    let (one, many) = (row(Runner::Invoker, 1), row(Runner::Invoker, 16));
    let (emulator, watch) = ("× the emulator", "× cargo lambda watch");
    for (unit, concurrency, least, ours, peer) in [
        // An emulator takes one call at a time.
        (emulator, 1, 2.0, one, row(Runner::Emulator, 1)),
        (emulator, 16, 10.0, many, row(Runner::Emulator, 1)),
        (watch, 1, 3.0, one, row(Runner::CargoLambda, 1)),
        (watch, 16, 3.0, many, row(Runner::CargoLambda, 16)),
    ] {
        let ratio = ours.zip(peer).map(|(ours, peer)| {
            ours.responses_per_second.median / peer.responses_per_second.median
        });
        let what = format!("local function, concurrency {concurrency}");
        goals.at_least(&what, least, unit, ratio);
    }
    goals.at_most(
        "a warm call of a local function, p50",
        150.0,
        "µs",
        one.map(|row| row.p50_us.median),
    );
    let above = report.cold_start.as_ref().zip(one).map(|(cold, warm)| {
        cold.first_call_ms.median - cold.process_ms.median - warm.p50_us.median / 1e3
    });
    goals.at_most(
        "cold start of a local function",
        10.0,
        "ms above the process's own",
        above,
    );
}
