//! The report as a page, and its summary for docs/performance.md.

use std::fmt::Write;

use crate::contestant::Contestant;
use crate::functions::Layout;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stats::Summary;
use crate::stream;

/// Returns the whole report.
pub fn page(report: &Report) -> String {
    let mut out = String::from("# Benchmark\n\n");
    out.push_str(&setting(report));
    section(&mut out, "Goals", &goals(report));
    section(&mut out, "Responses per second", &throughput(report));
    let latency = report.latency.iter().map(|row| {
        vec![
            row.contestant.title().to_owned(),
            format!("{:.0}", row.rate),
            figure(&row.p50_us),
            figure(&row.p99_us),
        ]
    });
    section(
        &mut out,
        "Latency at half load (µs), in the half of the rounds in which load and Envoy waited least for a core",
        &table(&["", "requests/s", "p50", "p99"], latency),
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
    let functions = report.functions.iter().map(|row| {
        vec![
            match row.layout {
                Layout::RouteMetadata => format!("{} in route metadata", row.functions),
                Layout::Clusters => format!("{} as clusters", row.functions),
            },
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
    out
}

/// The explanation of the figures of local functions.
const LOCAL: &str = "The function responds with its event of 15 bytes, and is the same program for all. Runner, function and \
load share both cores. FunctionAlone has a process for each connection, invoked by a Runtime API with prepared responses, \
without a caller and without the Invoke API. No runner can exceed it if the cores are busy. Its latency is the time from one \
event to the next.\n\n";

/// Returns the summary: ratios to Envoy's own filter, other facts, and the setting.
pub fn summary(report: &Report) -> String {
    let rows = Contestant::ALL.iter().map(|&contestant| {
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
    // The 99th percentile depends more on the machine than on the filter.
    let median = |contestant| {
        let mut rows = report.latency.iter();
        Some(rows.find(|row| row.contestant == contestant)?.p50_us.median)
    };
    if let Some((ours, limit)) = median(Contestant::Ours).zip(median(Contestant::PassThrough)) {
        facts.push(format!(
            "At half load the filter adds {:.2} ms to the median latency.",
            (ours - limit) / 1e3
        ));
    }
    let first_byte = |contestant| {
        let mut rows = report.stream.iter();
        let row = rows.find(|row| row.contestant == contestant)?;
        Some(row.first_byte_p50_ms)
    };
    let (ours, limit) = (Contestant::Ours, Contestant::PassThrough);
    if let Some((ours, limit)) = first_byte(ours).zip(first_byte(limit)) {
        facts.push(format!(
            "The first byte of a streamed response takes {ours:.1} ms, passed through untouched {limit:.1} ms."
        ));
    }
    if let Some(goal) = report.memory_growth() {
        facts.push(format!(
            "From ten thousand to a million requests Envoy's memory changes by {}.",
            goal.found
        ));
    }
    if let Some(Some(goal)) = report.many_functions().first() {
        facts.push(format!(
            "Each of 10,000 functions in route metadata takes {}.",
            goal.found
        ));
    }
    facts
}

fn setting(report: &Report) -> String {
    let setting = &report.setting;
    let rounds = match setting.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    format!(
        "{}, {}, Envoy {}, lambda-mesh {}; one core for Envoy, one for load, upstream and invoker; {rounds} of {} s.\n",
        setting.date, setting.processor, setting.envoy, setting.version, setting.seconds
    )
}

fn goals(report: &Report) -> String {
    let rows = report.goals().into_iter().map(|goal| {
        vec![
            goal.what.to_owned(),
            goal.target.to_owned(),
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
            let busy = row.responses_per_second.median * row.envoy_cpu_us.median / 1e4;
            rows.push(vec![
                row.contestant.title().to_owned(),
                row.concurrency.to_string(),
                figure(&row.responses_per_second),
                format!("{busy:.0} %"),
                figure(&row.envoy_cpu_us),
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
                "Envoy's core busy",
                "Envoy's CPU µs",
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
            "CPU times are per response. If Envoy's core is not busy, the load or the upstream is the limit, \
             and the CPU time means more than the responses per second. If the bodies of all connections \
             exceed 200 MB, each connection makes only one request.\n",
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

fn section(out: &mut String, title: &str, text: &str) {
    // A table without rows has two lines.
    if text.lines().count() > 2 || !text.starts_with('|') && !text.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n## {title}\n\n{text}");
    }
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!(
        "| {} |\n|{}|\n",
        header.join(" | "),
        vec!["---"; header.len()].join("|")
    );
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

fn figure(summary: &Summary) -> String {
    format!("{:.0} ± {:.0} %", summary.median, summary.spread_percent())
}

fn precise(summary: &Summary) -> String {
    format!("{:.1} ± {:.0} %", summary.median, summary.spread_percent())
}

fn mebibytes(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
