//! The report as a page.

use std::fmt::Write;

use crate::agreement::{self, Published};
use crate::goals;
use crate::memory::WORKERS;
use crate::observation::Instructions;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stream;
use crate::summary::setting;
use crate::table::{figure, interval, mebibytes, precise, section, table};

/// Returns the whole report.
pub fn page(report: &Report, earlier: Option<&Report>) -> String {
    let mut out = String::from("# Benchmark\n\n");
    out.push_str(&setting(report));
    let skipped = report.skipped.iter().map(|skipped| {
        vec![
            skipped.contestant.title().to_owned(),
            skipped.reason.clone(),
        ]
    });
    section(&mut out, "Not measured", &table(&["", "reason"], skipped));
    section(&mut out, "Goals", &goals_table(report));
    if let Some(earlier) = earlier {
        let text = agreement(&earlier.published(), &report.published());
        section(&mut out, "Agreement with the earlier run", &text);
    }
    section(&mut out, "Responses per second", &throughput(report));
    let latency = report.latency.iter().map(|row| {
        vec![
            row.contestant.title().to_owned(),
            format!("{:.0}", row.rate),
            figure(&row.p50_us),
            figure(&row.p99_us),
            interval(row.added_p50_us.as_ref(), 0),
            interval(row.added_p99_us.as_ref(), 0),
        ]
    });
    section(
        &mut out,
        "Latency at half load (µs), in the half of the rounds in which load and Envoy waited least for a core",
        &table(
            &[
                "",
                "requests/s",
                "p50",
                "p99",
                "added to p50",
                "added to p99",
            ],
            latency,
        ),
    );
    section(&mut out, "Streams", &streams(report));
    let memory = report.memory.iter().map(|row| {
        vec![
            row.contestant.title().to_owned(),
            row.requests.to_string(),
            mebibytes(row.resident_kib),
            mebibytes(row.peak_kib),
        ]
    });
    section(
        &mut out,
        "Envoy's memory over many requests (MiB)",
        &table(&["", "requests", "resident", "peak"], memory),
    );
    let workers = report.workers.iter().map(|row| {
        vec![
            row.contestant.title().to_owned(),
            interval(Some(&row.start_mib), 1),
            interval(Some(&row.used_mib), 1),
            interval(row.added_mib.as_ref(), 1),
        ]
    });
    section(
        &mut out,
        &format!("Envoy's memory with {WORKERS} workers (MiB)"),
        &table(
            &["", "at start", "after requests", "above a plain Envoy"],
            workers,
        ),
    );
    let functions = report.functions.iter().map(|row| {
        vec![
            format!("{}: {}", row.functions, row.layout.title()),
            format!("{:.1}", row.start_seconds),
            mebibytes(row.resident_kib),
            mebibytes(row.used_kib),
            figure(&row.responses_per_second),
            figure(&row.envoy_cpu_us),
        ]
    });
    section(
        &mut out,
        "Many functions",
        &table(
            &[
                "functions",
                "start (s)",
                "MiB at start",
                "MiB after use",
                "responses/s",
                "Envoy's CPU µs",
            ],
            functions,
        ),
    );
    let invoker = report.invoker.iter().map(|row| {
        vec![
            format!("{:?}", row.between),
            row.concurrency.to_string(),
            figure(&row.responses_per_second),
            figure(&row.cpu_us),
            figure(&row.p50_us),
            figure(&row.p99_us),
        ]
    });
    section(
        &mut out,
        "The invoker alone, signing",
        &table(
            &[
                "",
                "concurrency",
                "responses/s",
                "CPU µs",
                "p50 µs",
                "p99 µs",
            ],
            invoker,
        ),
    );
    let local = report.local.iter().map(|row| {
        vec![
            format!("{:?}", row.runner),
            row.concurrency.to_string(),
            figure(&row.responses_per_second),
            figure(&row.p50_us),
            figure(&row.p99_us),
            figure(&row.runner_cpu_us),
            figure(&row.function_cpu_us),
        ]
    });
    let header = [
        "",
        "concurrency",
        "responses/s",
        "p50 µs",
        "p99 µs",
        "its CPU µs",
        "the function's CPU µs",
    ];
    if !report.local.is_empty() {
        let text = format!("{LOCAL}{}", table(&header, local));
        section(&mut out, "Local functions, warm", &text);
    }
    if let Some(cold) = &report.cold_start {
        let text = format!(
            "The process alone requests its first invocation after {} ms. The first call through the invoker has its response after {} ms.\n",
            precise(&cold.process_ms),
            precise(&cold.first_call_ms)
        );
        section(&mut out, "Cold start of a local function", &text);
    }
    let console = report.console.iter().map(|row| {
        vec![
            format!("{:?}", row.console),
            figure(&row.responses_per_second),
            figure(&row.cpu_us),
        ]
    });
    section(
        &mut out,
        "The console, over local calls at 16 connections",
        &table(
            &["", "responses/s", "CPU µs, the function's included"],
            console,
        ),
    );
    section(
        &mut out,
        "All that shows what happens, over calls at 16 connections",
        &observation(report),
    );
    section(
        &mut out,
        "The same in thousands of instructions per call, without the kernel's",
        &instructions(report),
    );
    out
}

/// The explanation of the figures of local functions.
const LOCAL: &str = "The function responds with its event of 15 bytes, and is the same program for all. Runner, function and \
load share both cores. FunctionAlone has a process for each connection, invoked by a Runtime API with prepared responses, \
without a caller and without the Invoke API. No runner can exceed it if the cores are busy. Its latency is the time from one \
event to the next.\n\n";

fn goals_table(report: &Report) -> String {
    let rows = goals::goals(report).into_iter().map(|goal| {
        vec![
            goal.what,
            goal.target,
            goal.found,
            if goal.is_met { "yes" } else { "**no**" }.to_owned(),
        ]
    });
    table(&["", "goal", "found", "met"], rows)
}

fn throughput(report: &Report) -> String {
    let mut out = String::new();
    for scenario in Scenario::WHOLE {
        let mut rows = Vec::new();
        for row in report
            .throughput
            .iter()
            .filter(|row| row.scenario == scenario)
        {
            let busy = row.responses_per_second.median * row.proxy_cpu_us.median / 1e4;
            rows.push(vec![
                row.contestant.title().to_owned(),
                row.concurrency.to_string(),
                figure(&row.responses_per_second),
                format!("{busy:.0} %"),
                figure(&row.proxy_cpu_us),
                row.invoker_cpu_us.as_ref().map_or("–".to_owned(), figure),
                figure(&row.load_cpu_us),
                figure(&row.p50_us),
                figure(&row.p99_us),
                format!(
                    "{} / {} / {}",
                    mebibytes(row.before_kib),
                    mebibytes(row.after_kib),
                    mebibytes(row.peak_kib)
                ),
            ]);
        }
        if !rows.is_empty() {
            let _ = write!(out, "### {}\n\n", scenario.title());
            let header = [
                "",
                "concurrency",
                "responses/s",
                "its core busy",
                "its CPU µs",
                "invoker's CPU µs",
                "load's and upstream's CPU µs",
                "p50 µs",
                "p99 µs",
                "Envoy's MiB before / after / peak",
            ];
            out.push_str(&table(&header, rows.into_iter()));
            out.push('\n');
        }
    }
    if !out.is_empty() {
        out.push_str(
            "CPU times are per response. Those of `ext_proc` include its service. The Lambda Reverse Proxy sends \
             one call at a time to an emulator. If the core is not busy, the load or the upstream is the limit, and \
             the CPU time means more than the responses per second. Where the bodies of all connections \
             would exceed 200 MB, there is no measurement.\n",
        );
    }
    out
}

fn streams(report: &Report) -> String {
    if report.stream.is_empty() {
        return String::new();
    }
    let milliseconds = |figure: f64| format!("{figure:.2}");
    let rows = report.stream.iter().map(|row| {
        vec![
            row.contestant.title().to_owned(),
            milliseconds(row.first_byte_p50_ms),
            milliseconds(row.first_byte_p99_ms),
            milliseconds(row.end_p50_ms),
            milliseconds(row.end_p99_ms),
            figure(&row.megabytes_per_second),
            figure(&row.envoy_cpu_us),
        ]
    });
    let header = [
        "",
        "first byte, p50 ms",
        "p99 ms",
        "end, p50 ms",
        "p99 ms",
        "MB/s without pauses",
        "Envoy's CPU µs per MB",
    ];
    format!(
        "{} concurrent streams, first of 100 pieces of 1 KB, one every two milliseconds, then of 5,000 such \
         pieces without pauses. The stream that is passed through has no event-stream framing. Envoy's \
         own filter cannot take part: it does not invoke with a response stream, and buffers each \
         response.\n\n{}",
        stream::CONCURRENCY,
        table(&header, rows)
    )
}

fn observation(report: &Report) -> String {
    let rows = report.observation.iter().map(|row| {
        vec![
            row.setup.title().to_owned(),
            precise(&row.envoy_cpu_us),
            precise(&row.invoker_cpu_us),
            precise(&row.function_cpu_us),
            interval(row.envoy_ratio.as_ref(), 3),
            interval(row.ratio.as_ref(), 3),
        ]
    });
    let header = [
        "on",
        "Envoy's CPU µs",
        "invoker's CPU µs",
        "the function's CPU µs",
        "Envoy's × with nothing",
        "all × with nothing",
    ];
    let rows = table(&header, rows);
    match report.observation.is_empty() {
        true => String::new(),
        false => format!("{OBSERVATION}{rows}"),
    }
}

fn instructions(report: &Report) -> String {
    let nothing = report.instructions.first();
    let rows = report.instructions.iter().map(|row| {
        let percent = |of: fn(&Instructions) -> f64| {
            let nothing = nothing.map_or(f64::NAN, of);
            format!("{:+.1} %", (of(row) / nothing - 1.0) * 100.0)
        };
        vec![
            row.setup.title().to_owned(),
            format!("{:.1}", row.envoy / 1e3),
            percent(|row| row.envoy),
            format!("{:.1}", row.invoker / 1e3),
            percent(|row| row.invoker),
        ]
    });
    table(&["on", "Envoy", "", "invoker", ""], rows)
}

/// The explanation of the figures of all that shows what happens.
const OBSERVATION: &str = "A call goes through Envoy with the native module, on a core of its own, and through the invoker \
to a local function. CPU times are per call. The filter's statistics cannot be switched off alone: they come with the \
module's filter in the listener's chain, which also puts the client's headers back. The work of the page and of the \
collector does not count.\n\n";

fn agreement(earlier: &[Published], later: &[Published]) -> String {
    let common = agreement::common(earlier, later);
    let agreeing = common
        .iter()
        .filter(|(earlier, later)| earlier.ratio.agrees_with(&later.ratio));
    let mut out = format!(
        "{} of {} ratios have intervals that agree.\n\n",
        agreeing.count(),
        common.len()
    );
    let rows = common.iter().map(|(earlier, later)| {
        let agrees = earlier.ratio.agrees_with(&later.ratio);
        vec![
            format!(
                "{}: {} to {}",
                later.scenario.name(),
                later.contestant.name(),
                later.peer.name()
            ),
            interval(Some(&earlier.ratio), 3),
            interval(Some(&later.ratio), 3),
            if agrees { "yes" } else { "**no**" }.to_owned(),
        ]
    });
    out.push_str(&table(&["", "earlier run", "this run", "agree"], rows));
    out
}
