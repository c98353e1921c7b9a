//! The summary for docs/performance.md.

use std::fmt::Write;

use crate::contestant::Contestant;
use crate::functions::Layout;
use crate::goals;
use crate::memory::WORKERS;
use crate::observation::Setup;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::table::table;

/// Returns the summary: ratios to Envoy's own filter, other facts, and the setting.
pub fn summary(report: &Report) -> String {
    let rows = report.contestants().into_iter().map(|contestant| {
        let mut cells = vec![contestant.title().to_owned()];
        cells.extend(Scenario::WHOLE.map(|scenario| {
            let ratio = report.cpu_ratio(scenario, contestant, Contestant::AwsLambda);
            match ratio {
                Some(_) if contestant == Contestant::AwsLambda => "1.00 ×".to_owned(),
                Some(ratio) => format!(
                    "{:.2} × ± {:.0} %",
                    ratio.median,
                    ratio.uncertainty_percent()
                ),
                None => "–".to_owned(),
            }
        }));
        cells
    });
    let header: Vec<&str> = std::iter::once("responses per second of CPU time")
        .chain(Scenario::WHOLE.map(Scenario::title))
        .collect();
    let mut out = table(&header, rows);
    let facts = facts(report);
    if !facts.is_empty() {
        let _ = write!(out, "\n{}\n", facts.join(" "));
    }
    let _ = write!(out, "\n{}\n", setting(report).trim_end());
    out
}

/// Returns a sentence for each fact.
fn facts(report: &Report) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(report.skipped.iter().map(|skipped| {
        format!(
            "Not measured, because it could not be built: {}.",
            skipped.contestant.title()
        )
    }));
    facts.extend(latency(report));
    facts.extend(first_byte(report));
    facts.extend(workers(report));
    facts.extend(goals::memory_growth_percent(report).map(|growth| {
        format!("From ten thousand to a million requests the memory of an Envoy with WebAssembly changes by {growth:+.1} %.")
    }));
    facts.extend(functions(report));
    facts.extend(observation(report));
    facts
}

fn latency(report: &Report) -> Option<String> {
    let added = |contestant| {
        let row = report.latency_of(contestant)?;
        Some((row.added_p50_us?, row.added_p99_us?))
    };
    let (p50, p99) = added(Contestant::Module)?;
    let (wasm_p50, wasm_p99) = added(Contestant::Ours)?;
    Some(format!(
        "At half load the native module adds {:.2} ms to the median latency and {:.2} ms ({:.2} to {:.2}) to the 99th \
         percentile, WebAssembly {:.2} and {:.2} ms.",
        p50.median / 1e3,
        p99.median / 1e3,
        p99.low / 1e3,
        p99.high / 1e3,
        wasm_p50.median / 1e3,
        wasm_p99.median / 1e3
    ))
}

fn first_byte(report: &Report) -> Option<String> {
    let first_byte = |contestant| {
        let mut rows = report.stream.iter();
        let row = rows.find(|row| row.contestant == contestant)?;
        Some(row.first_byte_p50_ms)
    };
    let module = first_byte(Contestant::Module)?;
    let (wasm, limit) = (
        first_byte(Contestant::Ours)?,
        first_byte(Contestant::PassThrough)?,
    );
    Some(format!(
        "The first byte of a streamed response takes {module:.1} ms with the module, {wasm:.1} ms with WebAssembly, and \
         {limit:.1} ms passed through untouched."
    ))
}

fn workers(report: &Report) -> Option<String> {
    let added = |contestant| {
        let mut rows = report.workers.iter();
        rows.find(|row| row.contestant == contestant)?.added_mib
    };
    Some(format!(
        "With {WORKERS} workers, an Envoy with the module takes {:.1} MiB more memory than a plain one, with \
         WebAssembly {:.0} MiB.",
        added(Contestant::Module)?.median,
        added(Contestant::Ours)?.median
    ))
}

fn functions(report: &Report) -> Option<String> {
    Some(format!(
        "Each of 10,000 functions takes {:.1} KB in routes with the native module, {:.1} KB in route metadata with \
         WebAssembly; a plain route takes {:.1} KB.",
        report.kilobytes_per_function(Layout::ModuleRoutes)?,
        report.kilobytes_per_function(Layout::RouteMetadata)?,
        report.kilobytes_per_function(Layout::PlainRoutes)?
    ))
}

fn observation(report: &Report) -> Option<String> {
    let percent = |setup| {
        let mut rows = report.observation.iter();
        let ratio = rows.find(|row| row.setup == setup)?.ratio?;
        Some((ratio.median - 1.0) * 100.0)
    };
    Some(format!(
        "Statistics, console and traces (1 % sampled) add {:.1} % to the CPU time of a call through Envoy and the \
         invoker to a local function, with an open page {:.1} %; traces of which all are sampled add {:.1} %.",
        percent(Setup::Everything)?,
        percent(Setup::EverythingOpen)?,
        percent(Setup::TracesSampled)?
    ))
}

/// Returns the sentence about the machine and the run.
pub(crate) fn setting(report: &Report) -> String {
    let setting = &report.setting;
    let rounds = match setting.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds or more with new processes"),
    };
    format!(
        "{}, {}, Envoy {}, lambda-mesh {}; one core for Envoy, one for load, \
         upstream and invoker; {rounds}, {} s each.\n",
        setting.date, setting.processor, setting.envoy, setting.version, setting.seconds
    )
}
