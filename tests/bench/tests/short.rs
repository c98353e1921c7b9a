//! The benchmark with the least possible effort. It fails if a program does not start or a response is wrong.
//! Its figures are worthless.
#![expect(clippy::expect_used, reason = "a failed test panics")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use clap::ValueEnum as _;
use lambda_mesh_bench::contestant::Contestant;
use lambda_mesh_bench::scenario::Scenario;
use serde_json::Value;

/// All experiments except `local`, for which `cargo lambda` would compile a function, and `instructions`, which takes
/// minutes below callgrind.
const EXPERIMENTS: [&str; 10] = [
    "throughput",
    "latency",
    "stream",
    "memory",
    "workers",
    "functions",
    "invoker",
    "cold-start",
    "console",
    "observation",
];

#[test]
fn every_contestant_responds_correctly_in_every_experiment() {
    if available_parallelism().map_or(1, usize::from) < 2 {
        xtask::skip("the benchmark in short", "it needs two cores");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(EXPERIMENTS.map(|experiment| format!("--only={experiment}")))
        .args(["--rounds=1", "--seconds=0.02", "--concurrency=2"])
        .args(["--functions=100", "--requests=1000", "--folder"])
        .arg(folder.path())
        .output()
        .expect("the benchmark starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");

    let report = fs::read(folder.path().join("report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let rows = |experiment: &str| report[experiment].as_array().expect("rows").clone();
    let throughput = rows("throughput");
    let skipped = rows("skipped");
    let skipped: Vec<Value> = skipped
        .iter()
        .map(|row| row["contestant"].clone())
        .collect();
    assert!(!skipped.contains(&name(Contestant::Module)), "{skipped:?}");
    for scenario in Scenario::WHOLE {
        for &contestant in Contestant::value_variants() {
            let is_skipped = skipped.contains(&name(contestant));
            if is_skipped || !scenario.is_served_by(contestant) {
                continue;
            }
            let of = [
                ("scenario", name(scenario)),
                ("contestant", name(contestant)),
            ];
            let row = throughput
                .iter()
                .find(|row| of.iter().all(|(key, value)| row[key] == *value));
            let rate = row.and_then(|row| row["responses_per_second"]["median"].as_f64());
            assert!(rate.is_some_and(|rate| rate > 0.0), "{of:?}: {row:?}");
        }
    }
    for (experiment, expected) in [("latency", 4), ("stream", 4), ("memory", 3), ("workers", 3)] {
        let contestants: BTreeSet<String> = rows(experiment)
            .iter()
            .map(|row| row["contestant"].to_string())
            .collect();
        assert!(
            contestants.len() >= expected,
            "{experiment}: {contestants:?}"
        );
    }
    // One function and a hundred, in each of four layouts.
    assert_eq!(rows("functions").len(), 8);
    assert_eq!(rows("console").len(), 3);
    let observation = rows("observation");
    assert_eq!(observation.len(), 8);
    for row in observation {
        let cpu = row["invoker_cpu_us"]["median"].as_f64();
        assert!(cpu.is_some_and(|cpu| cpu > 0.0), "{row:?}");
    }
    assert!(!rows("invoker").is_empty());
    assert!(report["cold_start"]["first_call_ms"]["median"].is_f64());

    let page = fs::read_to_string(folder.path().join("report.md")).expect("a page");
    for heading in ["## Goals", "## Responses per second", "## Streams"] {
        assert!(page.contains(heading), "{page}");
    }
}

fn name(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a name")
}
