//! `cargo xtask bench`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lambda_mesh_bench::lab::{Effort, Lab};
use lambda_mesh_bench::report::{Report, Setting};
use lambda_mesh_bench::{
    functions, invoker, latency, local, markdown, memory, plot, proxy, stream, throughput,
};

/// Measures lambda-mesh side by side with its peers and writes report.md, report.json and
/// report.svg.
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
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// With how many connections the throughput is measured
    #[arg(long, value_delimiter = ',', default_value = "1,32,256")]
    concurrency: Vec<usize>,
    /// The largest number of functions in one Envoy
    #[arg(long, default_value_t = 10_000)]
    functions: usize,
    /// After how many requests Envoy's memory is read
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Where the report goes: target/bench, if it is not said
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Put the summary into docs/performance.md
    #[arg(long)]
    write_docs: bool,
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
    Stream,
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
    if cli.functions == 0 || cli.concurrency.contains(&0) {
        bail!("--functions and --concurrency are at least 1");
    }
    let wanted = |experiment| cli.only.is_empty() || cli.only.contains(&experiment);
    if cli.write_docs && !(wanted(Experiment::Throughput) && cli.concurrency.contains(&32)) {
        bail!("--write-docs needs the experiment throughput with 32 connections");
    }
    let lab = Lab::open(Effort {
        rounds: cli.rounds,
        duration: Duration::from_secs_f64(cli.seconds),
        concurrency: cli.concurrency.clone(),
        functions: cli.functions,
        requests: cli.requests,
    })?;
    let mut report = Report {
        setting: setting(&cli),
        wasm_bytes: fs::metadata(&lab.wasm)?.len(),
        ..Report::default()
    };
    let mut failed = Vec::new();
    for experiment in Experiment::value_variants() {
        if !wanted(*experiment) {
            continue;
        }
        // What the others have found is worth keeping.
        if let Err(error) = measure(*experiment, &lab, &mut report) {
            xtask::say(format_args!("{experiment:?} failed: {error:#}"));
            failed.push(format!("{experiment:?}"));
        }
    }
    let folder = cli.folder;
    write(
        &report,
        &folder.unwrap_or_else(|| xtask::target_dir().join("bench")),
    )?;
    if !failed.is_empty() {
        bail!(
            "{} failed, as is said above; the report has the rest",
            failed.join(", ")
        );
    }
    if cli.write_docs {
        write_docs(&report)?;
    }
    Ok(())
}

fn measure(experiment: Experiment, lab: &Lab, report: &mut Report) -> Result<()> {
    match experiment {
        Experiment::Throughput => report.throughput = throughput::run(lab)?,
        Experiment::Latency => report.latency = latency::run(lab)?,
        Experiment::Stream => report.stream = stream::run(lab)?,
        Experiment::Memory => report.memory = memory::run(lab)?,
        Experiment::Functions => report.functions = functions::run(lab)?,
        Experiment::Invoker => report.invoker = invoker::run(lab)?,
        Experiment::Local => report.local = local::warm(lab)?,
        Experiment::ColdStart => report.cold_start = Some(local::cold(lab)?),
    }
    Ok(())
}

fn write(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
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
    Ok(())
}

fn write_docs(report: &Report) -> Result<()> {
    let path = xtask::workspace_root().join("docs/performance.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(START).context(MISSING)?;
    let (_, after) = rest.split_once(END).context(MISSING)?;
    let summary = markdown::summary(report);
    fs::write(&path, format!("{before}{START}\n{summary}{END}{after}"))?;
    Ok(())
}

const START: &str = "<!-- bench: made by cargo xtask bench --write-docs -->";
const END: &str = "<!-- /bench -->";
const MISSING: &str =
    "docs/performance.md has no place for the summary: `<!-- bench: ... -->` and `<!-- /bench -->`";

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
