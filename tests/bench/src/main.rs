//! `cargo xtask bench`.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lambda_mesh_bench::lab::{Effort, Lab};
use lambda_mesh_bench::report::{Report, Setting};
use lambda_mesh_bench::{
    functions, invoker, latency, local, markdown, memory, plot, proxy, throughput,
};

/// Measures lambda-mesh side by side with its peers and writes target/bench/report.{md,json,svg}.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Only these experiments; all if none is named
    #[arg(long, value_name = "EXPERIMENT", value_enum)]
    only: Vec<Experiment>,
    /// How often each figure is taken
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each time
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Put the summary table into README.md
    #[arg(long)]
    write_readme: bool,
}

#[derive(Subcommand)]
enum Part {
    /// A peer that the benchmark starts itself: hyper in front of hyper
    #[command(hide = true)]
    BareProxy {
        listen: SocketAddr,
        upstream: SocketAddr,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Experiment {
    Throughput,
    Latency,
    Memory,
    Functions,
    Invoker,
    Local,
    ColdStart,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Part::BareProxy { listen, upstream }) = cli.part {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(proxy::serve(listen, upstream));
    }
    if cli.rounds == 0 || !(0.01..=3600.0).contains(&cli.seconds) {
        bail!("--rounds is at least 1, and --seconds from 0.01 to 3600");
    }
    let wanted = |experiment| cli.only.is_empty() || cli.only.contains(&experiment);
    if cli.write_readme && !wanted(Experiment::Throughput) {
        bail!("--write-readme needs the experiment throughput");
    }
    let lab = Lab::open(Effort {
        rounds: cli.rounds,
        duration: Duration::from_secs_f64(cli.seconds),
    })?;
    let mut report = Report {
        setting: setting(&cli),
        wasm_bytes: fs::metadata(&lab.wasm)?.len(),
        ..Report::default()
    };
    if wanted(Experiment::Throughput) {
        report.throughput = throughput::run(&lab)?;
    }
    if wanted(Experiment::Latency) {
        report.latency = latency::run(&lab)?;
    }
    if wanted(Experiment::Memory) {
        report.memory = memory::run(&lab)?;
    }
    if wanted(Experiment::Functions) {
        report.functions = functions::run(&lab)?;
    }
    if wanted(Experiment::Invoker) {
        report.invoker = invoker::run(&lab)?;
    }
    if wanted(Experiment::Local) {
        report.local = local::warm(&lab)?;
    }
    if wanted(Experiment::ColdStart) {
        report.cold_start = Some(local::cold(&lab)?);
    }
    write(&report, cli.write_readme)
}

fn write(report: &Report, readme: bool) -> Result<()> {
    let folder = xtask::target_dir().join("bench");
    fs::create_dir_all(&folder)?;
    let page = markdown::page(report);
    fs::write(folder.join("report.md"), &page)?;
    fs::write(
        folder.join("report.json"),
        serde_json::to_string_pretty(report)?,
    )?;
    if let Some(svg) = plot::svg(report) {
        fs::write(folder.join("report.svg"), svg)?;
    }
    println!("{page}");
    if readme {
        let path = xtask::workspace_root().join("README.md");
        let text = fs::read_to_string(&path)?;
        let (before, rest) = text.split_once(START).context(MISSING)?;
        let (_, after) = rest.split_once(END).context(MISSING)?;
        let summary = markdown::summary(report);
        fs::write(&path, format!("{before}{START}\n{summary}{END}{after}"))?;
    }
    Ok(())
}

const START: &str = "<!-- bench: made by cargo xtask bench --write-readme -->";
const END: &str = "<!-- /bench -->";
const MISSING: &str =
    "README.md has no place for the summary: `<!-- bench: ... -->` and `<!-- /bench -->`";

fn setting(cli: &Cli) -> Setting {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("model name"))?;
        Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    Setting {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        processor: processor.unwrap_or_else(|| "an unknown processor".to_owned()),
        envoy: xtask::envoy::NEWEST.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rounds: cli.rounds,
        seconds: cli.seconds,
    }
}
