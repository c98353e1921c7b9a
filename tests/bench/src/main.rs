//! `cargo xtask bench`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lambda_mesh_bench::contestant::Contestant;
use lambda_mesh_bench::lab::{Effort, Lab};
use lambda_mesh_bench::report::{Report, Setting};
use lambda_mesh_bench::scenario::Scenario;
use lambda_mesh_bench::throughput::MAIN_CONCURRENCY;
use lambda_mesh_bench::{
    console, functions, invoker_alone, latency, local, markdown, memory, observation, plot, proxy,
    stream, summary, throughput,
};

/// Measure lambda-mesh beside its peers, and write report.md, report.json and report.svg
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    peer: Option<Peer>,
    /// Only these experiments [default: all]
    #[arg(long, value_name = "EXPERIMENT", value_enum)]
    only: Vec<Experiment>,
    /// The number of times that each figure is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The duration of each measurement in seconds
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// The numbers of connections for the throughput
    #[arg(long, value_delimiter = ',', default_value = "1,32,256")]
    concurrency: Vec<usize>,
    /// The contestants of the throughput [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_enum)]
    contestants: Vec<Contestant>,
    /// The scenarios of the throughput [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_enum)]
    scenarios: Vec<Scenario>,
    /// The report.json of an earlier run, whose ratios this run is to be compared with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The largest number of functions in one Envoy
    #[arg(long, default_value_t = 10_000)]
    functions: usize,
    /// The number of requests after which Envoy's memory is read
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// The folder for the report [default: target/bench]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep the figures of the experiments that are not run, from the report.json of an earlier run in the folder
    #[arg(long)]
    keep: bool,
    /// Put the summary into docs/performance.md
    #[arg(long)]
    write_docs: bool,
}

#[derive(Subcommand)]
enum Peer {
    /// The bare proxy, which the benchmark starts itself
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
    Workers,
    Functions,
    Invoker,
    Local,
    ColdStart,
    Console,
    Observation,
    Instructions,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Peer::BareProxy { listen, upstream }) = cli.peer {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(proxy::serve(listen, upstream));
    }
    if cli.rounds == 0 || !(0.01..=3600.0).contains(&cli.seconds) {
        bail!("--rounds must be at least 1, and --seconds from 0.01 to 3600");
    }
    if cli.functions == 0 || cli.concurrency.contains(&0) {
        bail!("--functions and --concurrency must be at least 1");
    }
    let wanted = |experiment| cli.only.is_empty() || cli.only.contains(&experiment);
    // A mistake here must not cost the run.
    let earlier = cli.against.as_deref().map(Report::read).transpose()?;
    let folder = cli.folder.clone();
    let folder = folder.unwrap_or_else(|| xtask::target_dir().join("bench"));
    let mut report = match cli.keep {
        true => Report::read(&folder.join("report.json"))?.continued(setting(&cli))?,
        false => Report {
            setting: setting(&cli),
            ..Report::default()
        },
    };
    let has_ratios = wanted(Experiment::Throughput) && cli.concurrency.contains(&MAIN_CONCURRENCY);
    if cli.write_docs && !has_ratios && report.contestants().is_empty() {
        bail!(
            "--write-docs needs the experiment throughput with {MAIN_CONCURRENCY} connections, or --keep and a \
             report that has it"
        );
    }
    let lab = Lab::open(Effort {
        rounds: cli.rounds,
        duration: Duration::from_secs_f64(cli.seconds),
        concurrency: cli.concurrency.clone(),
        contestants: match cli.contestants.as_slice() {
            [] => Contestant::value_variants().to_vec(),
            some => some.to_vec(),
        },
        scenarios: match cli.scenarios.as_slice() {
            [] => Scenario::WHOLE.to_vec(),
            some => some.to_vec(),
        },
        functions: cli.functions,
        requests: cli.requests,
    })?;
    report.skipped.clone_from(&lab.peers.skipped);
    report.wasm_bytes = fs::metadata(&lab.filter.wasm)?.len();
    let mut failed = Vec::new();
    for experiment in Experiment::value_variants() {
        if !wanted(*experiment) {
            continue;
        }
        // The figures of other experiments are kept.
        if let Err(error) = measure(*experiment, &lab, &mut report) {
            xtask::say(format_args!("{experiment:?} failed: {error:#}"));
            failed.push(format!("{experiment:?}"));
        }
    }
    write(&report, earlier.as_ref(), &folder)?;
    if !failed.is_empty() {
        bail!(
            "{} failed (see above); the report has the other experiments",
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
        Experiment::Workers => report.workers = memory::with_workers(lab)?,
        Experiment::Functions => report.functions = functions::run(lab)?,
        Experiment::Invoker => report.invoker = invoker_alone::run(lab)?,
        Experiment::Local => report.local = local::warm(lab)?,
        Experiment::ColdStart => report.cold_start = Some(local::cold(lab)?),
        Experiment::Console => report.console = console::run(lab)?,
        Experiment::Observation => report.observation = observation::run(lab)?,
        Experiment::Instructions => report.instructions = observation::count(lab)?,
    }
    Ok(())
}

fn write(report: &Report, earlier: Option<&Report>, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let page = markdown::page(report, earlier);
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
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = text.split_once(START).context(MISSING)?;
    let (_, after) = rest.split_once(END).context(MISSING)?;
    let summary = summary::summary(report);
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
