//! The report as a page.

use std::fmt::Write;

use crate::envoy::Contestant;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stats::Summary;

/// The whole report.
pub fn page(report: &Report) -> String {
    let mut out = String::from("# Benchmark\n\n");
    out.push_str(&setting(report));
    section(&mut out, "Goals", &goals(report));
    section(&mut out, "Answers per second", &throughput(report));
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
        "Latency at half load (µs)",
        &table(&["", "requests/s", "p50", "p99"], latency),
    );
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
        "Envoy's memory (MiB)",
        &table(&["", "requests", "resident", "peak"], memory),
    );
    let functions = report.functions.iter().map(|row| {
        vec![
            format!("{} as {:?}", row.functions, row.place),
            format!("{:.1}", row.start_seconds),
            mebibytes(row.resident_kib),
            mebibytes(row.used_kib),
            figure(&row.answers_per_second),
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
                "answers/s",
            ],
            functions,
        ),
    );
    let invoker = report.invoker.iter().map(|row| {
        vec![
            format!("{:?}", row.between),
            row.concurrency.to_string(),
            figure(&row.answers_per_second),
            figure(&row.cpu_us),
            figure(&row.p50_us),
            figure(&row.p99_us),
        ]
    });
    section(
        &mut out,
        "The invoker alone, signing",
        &table(
            &["", "concurrency", "answers/s", "CPU µs", "p50 µs", "p99 µs"],
            invoker,
        ),
    );
    let local = report.local.iter().map(|row| {
        vec![
            format!("{:?}", row.runner),
            row.concurrency.to_string(),
            figure(&row.answers_per_second),
            figure(&row.p50_us),
            figure(&row.p99_us),
            figure(&row.runner_cpu_us),
            figure(&row.function_cpu_us),
        ]
    });
    let header = [
        "",
        "concurrency",
        "answers/s",
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
            "The process alone asks for its first invocation after {} ms; the first call through the invoker is answered after {} ms.\n",
            precise(&cold.process_ms),
            precise(&cold.first_call_ms)
        );
        section(&mut out, "Cold start of a local function", &text);
    }
    out
}

/// How the figures of local functions come about.
const LOCAL: &str = "A function that answers with its event of 15 bytes, the same program for all. Nothing has a core of \
its own: runner, function and load share both. FunctionAlone is the function, once for each connection, asked by a Runtime \
API that has every answer ready, without a caller and without the Invoke API: what no runner can exceed where the cores \
are busy. Its latency is from one event to the next.\n\n";

/// Where and when, and the summary table, for the README.
pub fn summary(report: &Report) -> String {
    let base = |scenario| {
        report
            .row(scenario, Contestant::Native)
            .map(|row| row.answers_per_second.median)
    };
    let rows = Contestant::ALL.iter().map(|&contestant| {
        let mut cells = vec![contestant.title().to_owned()];
        for scenario in Scenario::ALL {
            let row = report.row(scenario, contestant);
            cells.push(match row.zip(base(scenario)) {
                Some((row, base)) => format!("{:.2} ×", row.answers_per_second.median / base),
                None => "–".to_owned(),
            });
        }
        cells
    });
    let header: Vec<&str> = std::iter::once("")
        .chain(Scenario::ALL.map(Scenario::title))
        .collect();
    format!("{}\n{}", table(&header, rows), setting(report))
}

fn setting(report: &Report) -> String {
    let setting = &report.setting;
    format!(
        "{}, {}, Envoy {}, lambda-mesh {}; one core for Envoy, one for load, upstream and invoker; medians of {} rounds of {} s.\n",
        setting.date,
        setting.processor,
        setting.envoy,
        setting.version,
        setting.rounds,
        setting.seconds
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
    for scenario in Scenario::ALL {
        let rows = report
            .throughput
            .iter()
            .filter(|row| row.scenario == scenario)
            .map(|row| {
                vec![
                    row.contestant.title().to_owned(),
                    row.concurrency.to_string(),
                    figure(&row.answers_per_second),
                    figure(&row.envoy_cpu_us),
                    row.invoker_cpu_us.as_ref().map_or("–".to_owned(), figure),
                    figure(&row.p50_us),
                    figure(&row.p99_us),
                ]
            });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            let _ = write!(out, "### {}\n\n", scenario.title());
            let header = [
                "",
                "concurrency",
                "answers/s",
                "Envoy's CPU µs",
                "invoker's CPU µs",
                "p50 µs",
                "p99 µs",
            ];
            out.push_str(&table(&header, rows.into_iter()));
            out.push('\n');
        }
    }
    out
}

fn section(out: &mut String, title: &str, text: &str) {
    // A table without rows is two lines.
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
