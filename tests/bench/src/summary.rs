//! The summary for docs/performance.md.

use std::fmt::Write;

use crate::contestant::Contestant;
use crate::functions::Layout;
use crate::goals;
use crate::memory::WORKERS;
use crate::observation::Setup;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stats::Interval;
use crate::table::{interval, table};

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
    let skipped = report.skipped.iter().map(|skipped| {
        let title = skipped.contestant.title();
        format!("Not measured, because it could not be built: {title}.")
    });
    let growth = goals::memory_growth_percent(report).map(|growth| {
        format!(
            "Between ten thousand and a million requests, the memory of an Envoy with WebAssembly changes by \
             {growth:+.1} %."
        )
    });
    let measured = [
        latency(report),
        first_byte(report),
        workers(report),
        growth,
        functions(report),
        observation(report),
    ];
    skipped.chain(measured.into_iter().flatten()).collect()
}

fn latency(report: &Report) -> Option<String> {
    let added = |contestant| {
        let row = report.latency_of(contestant)?;
        let ms = |added: Interval| added.divided_by(1e3);
        Some((ms(row.added_p50_us?), ms(row.added_p99_us?)))
    };
    let (p50, p99) = added(Contestant::Module)?;
    let (wasm_p50, wasm_p99) = added(Contestant::Ours)?;
    Some(format!(
        "At half load, the native module adds {:.2} ms to the median latency and {} ms to the 99th percentile. \
         WebAssembly adds {:.2} ms and {:.2} ms.",
        p50.median,
        interval(Some(&p99), 2),
        wasm_p50.median,
        wasm_p99.median
    ))
}

fn first_byte(report: &Report) -> Option<String> {
    Some(format!(
        "The first byte of a streamed response arrives after {:.1} ms with the native module, {:.1} ms with \
         WebAssembly, and {:.1} ms through an Envoy without a filter.",
        report.first_byte_ms(Contestant::Module)?,
        report.first_byte_ms(Contestant::Ours)?,
        report.first_byte_ms(Contestant::PassThrough)?
    ))
}

fn workers(report: &Report) -> Option<String> {
    Some(format!(
        "With {WORKERS} workers, an Envoy takes {:.1} MiB more memory with the native module, and {:.0} MiB more with \
         WebAssembly.",
        report.added_mib(Contestant::Module)?.median,
        report.added_mib(Contestant::Ours)?.median
    ))
}

fn functions(report: &Report) -> Option<String> {
    Some(format!(
        "With 10,000 functions, each one takes {:.1} KB in routes with the native module, and {:.1} KB in route \
         metadata with WebAssembly. A plain route takes {:.1} KB.",
        report.kilobytes_per_function(Layout::ModuleRoutes)?,
        report.kilobytes_per_function(Layout::RouteMetadata)?,
        report.kilobytes_per_function(Layout::PlainRoutes)?
    ))
}

fn observation(report: &Report) -> Option<String> {
    let percent = |setup| {
        let ratio = report.observation_ratio(setup)?;
        Some((ratio.median - 1.0) * 100.0)
    };
    Some(format!(
        "Statistics, the console, and traces of which 1 % are sampled add {:.1} % to the CPU time of a call through Envoy \
         and the invoker to a local function. With an open page of the console, they add {:.1} %. Traces that are all \
         sampled add {:.1} % by themselves.",
        percent(Setup::Everything)?,
        percent(Setup::EverythingOpen)?,
        percent(Setup::TracesSampled)?
    ))
}

/// Returns the sentence about the machine and the run.
pub(crate) fn setting(report: &Report) -> String {
    let setting = &report.setting;
    let rounds = match setting.rounds {
        1 => "those of one round".to_owned(),
        rounds => format!("medians of {rounds} rounds or more with new processes"),
    };
    format!(
        "Measured on {} with Envoy {} and lambda-mesh {} on {}. Envoy had one core; load, upstream and invoker shared \
         another. The figures are {rounds}, of {} s each.\n",
        setting.date, setting.envoy, setting.version, setting.processor, setting.seconds
    )
}
