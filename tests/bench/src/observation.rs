//! The cost of all that shows what happens: the filter's statistics, its report of the client's request with the
//! console, and traces. The measured call goes through Envoy with the native module and through the invoker to a local
//! function.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::console;
use crate::contestant::Contestant;
use crate::envoy;
use crate::envoy_config::{Config, cluster};
use crate::invoker;
use crate::lab::Lab;
use crate::process::{self, Placement, Process, free_address};
use crate::scenario::Scenario;
use crate::stats::{Interval, Summary};
use crate::upstream::Script;

/// The number of connections, and of execution environments.
const CONCURRENCY: usize = 16;

/// The number of rounds for each round of other experiments. Differences of one percent matter here.
const ROUNDS_FACTOR: usize = 2;

/// The parts that are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    /// Nothing.
    Nothing,
    /// The module's filter in the listener's chain, and with it the filter's statistics.
    Statistics,
    /// The filter's report and the console, whose page is closed.
    Console,
    /// The same with an open page.
    ConsoleOpen,
    /// Traces in Envoy and in the invoker, none of which is sampled.
    TracesUnsampled,
    /// Traces in Envoy and in the invoker, all of which are sampled and exported.
    TracesSampled,
    /// Statistics, report, console with the page closed, and traces of which 1 % is sampled.
    #[serde(alias = "all")]
    Everything,
    /// The same with an open page.
    #[serde(alias = "all-open")]
    EverythingOpen,
}

impl Setup {
    const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Statistics,
        Self::Console,
        Self::ConsoleOpen,
        Self::TracesUnsampled,
        Self::TracesSampled,
        Self::Everything,
        Self::EverythingOpen,
    ];

    /// Returns the title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Statistics => "the filter's statistics",
            Self::Console => "report and console, page closed",
            Self::ConsoleOpen => "report and console, page open",
            Self::TracesUnsampled => "traces, none sampled",
            Self::TracesSampled => "traces, all sampled",
            Self::Everything => "all of it, 1 % sampled, page closed",
            Self::EverythingOpen => "all of it, 1 % sampled, page open",
        }
    }

    fn has_statistics(self) -> bool {
        matches!(
            self,
            Self::Statistics | Self::Everything | Self::EverythingOpen
        )
    }

    fn has_console(self) -> bool {
        matches!(self, Self::Console | Self::Everything) || self.has_page()
    }

    fn has_page(self) -> bool {
        matches!(self, Self::ConsoleOpen | Self::EverythingOpen)
    }

    /// Returns the sampled percentage of traces, if there are traces.
    fn sampled_percent(self) -> Option<u32> {
        match self {
            Self::TracesUnsampled => Some(0),
            Self::TracesSampled => Some(100),
            Self::Everything | Self::EverythingOpen => Some(1),
            _ => None,
        }
    }
}

/// The figures of a setup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The parts that are switched on.
    pub setup: Setup,
    /// Envoy's CPU time per response in microseconds.
    pub envoy_cpu_us: Summary,
    /// CPU time of the invoker per response in microseconds.
    pub invoker_cpu_us: Summary,
    /// CPU time of the function's processes per response in microseconds.
    pub function_cpu_us: Summary,
    /// The ratio of Envoy's CPU time to that with nothing.
    pub envoy_ratio: Option<Interval>,
    /// The ratio of all CPU time to that with nothing.
    pub ratio: Option<Interval>,
}

/// The instructions of a setup per response. On a busy machine they are the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instructions {
    /// The parts that are switched on.
    pub setup: Setup,
    /// The instructions of Envoy.
    pub envoy: f64,
    /// The instructions of the invoker.
    pub invoker: f64,
}

/// The CPU times of a setup per response in microseconds, by round.
#[derive(Debug, Default, Clone)]
struct Times {
    envoy: Vec<f64>,
    invoker: Vec<f64>,
    function: Vec<f64>,
    all: Vec<f64>,
}

/// Measures warm calls with each setup in turn. Each round has new processes.
///
/// # Errors
/// A program does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let collector = lab.upstream(Script::json(b"{}"))?.address;
    let mut times = vec![Times::default(); Setup::ALL.len()];
    let rounds = lab.effort.rounds * ROUNDS_FACTOR;
    for round in 0..rounds {
        xtask::say(format_args!("observation: round {} of {rounds}", round + 1));
        let mut pairs: Vec<_> = Setup::ALL.iter().zip(&mut times).collect();
        let count = pairs.len();
        pairs.rotate_left(round % count);
        let mut chains = Vec::new();
        for (setup, times) in pairs {
            let placements = [lab.cores.proxy, lab.cores.load].map(|core| lab.on(core));
            let chain = Chain::start(lab, *setup, collector, placements)?;
            chains.push((chain, times));
        }
        for (chain, _) in &chains {
            lab.warm_up(chain.address, &Scenario::SmallGet.exchange())?;
        }
        for (chain, times) in &mut chains {
            chain.measure(lab, times)?;
        }
    }
    let nothing = times.first().cloned().unwrap_or_default();
    let rows = Setup::ALL.into_iter().zip(times).map(|(setup, times)| {
        let ratio =
            |with, without| Interval::ratio(with, without).filter(|_| setup != Setup::Nothing);
        Row {
            setup,
            envoy_ratio: ratio(&times.envoy, &nothing.envoy),
            ratio: ratio(&times.all, &nothing.all),
            envoy_cpu_us: Summary::of(times.envoy),
            invoker_cpu_us: Summary::of(times.invoker),
            function_cpu_us: Summary::of(times.function),
        }
    });
    Ok(rows.collect())
}

/// Counts the instructions of warm calls with each setup without a page. What a page costs depends on the time and
/// not on the number of calls.
///
/// # Errors
/// callgrind is not installed, a program does not start, or a response is wrong.
pub fn count(lab: &Lab) -> Result<Vec<Instructions>> {
    const WARM_UP: u64 = 500;
    const CALLS: u64 = 1_000;
    if !process::has_callgrind() {
        bail!("valgrind is not installed, or not on PATH (Debian: apt-get install valgrind)");
    }
    let _shared = lab.cores.share()?;
    let collector = lab.upstream(Script::json(b"{}"))?.address;
    let exchange = Scenario::SmallGet.exchange();
    let setups = Setup::ALL.into_iter().filter(|setup| !setup.has_page());
    let rows = setups.map(|setup| {
        xtask::say(format_args!("instructions with {}", setup.title()));
        let chain = Chain::start(lab, setup, collector, [lab.counted(); 2])?;
        let send = |calls| lab.send(chain.address, &exchange, calls).map(drop);
        send(WARM_UP)?;
        let each = |process: &Process| {
            let instructions = process.count_instructions(|| send(CALLS))?;
            anyhow::Ok(instructions as f64 / CALLS as f64)
        };
        Ok(Instructions {
            setup,
            envoy: each(&chain.envoy)?,
            invoker: each(&chain.invoker)?,
        })
    });
    rows.collect()
}

/// Envoy with the invoker behind it.
struct Chain {
    address: SocketAddr,
    envoy: Process,
    invoker: Process,
}

impl Chain {
    fn start(
        lab: &Lab,
        setup: Setup,
        collector: SocketAddr,
        [of_envoy, of_invoker]: [Placement<'_>; 2],
    ) -> Result<Self> {
        let name = format!("observation-{setup:?}");
        let admin = free_address()?;
        let mut keys = json!({
            "admin": admin.to_string(),
            "console": setup.has_console(),
            "functions": { "bench": { "local": {
                "command": [lab.function],
                "concurrency": CONCURRENCY,
                "env": { "RESPONSE": Scenario::SmallGet.payload() },
            } } },
        });
        if let (Some(_), Some(keys)) = (setup.sampled_percent(), keys.as_object_mut()) {
            // The caller, which is Envoy, decides what is sampled.
            let traces = json!({ "endpoint": format!("http://{collector}") });
            keys.insert("traces".to_owned(), traces);
        }
        let invoker = format!("{name}-invoker");
        let (upstream, invoker) = invoker::start(&lab.invoker, &invoker, of_invoker, keys, &[])?;
        if setup.has_page() {
            console::read_stream(admin)?;
        }
        let config = Config {
            contestant: Contestant::Module,
            filter: &lab.filter,
            upstream,
            invocation: Scenario::SmallGet.invocation(),
            ext_proc: None,
            has_statistics: setup.has_statistics(),
            has_report: setup.has_console(),
        };
        let address = free_address()?;
        let mut config = config.at(address);
        if let Some(percent) = setup.sampled_percent() {
            trace(&mut config, collector, percent);
        }
        let envoy = envoy::start(&name, address, &config, 1, of_envoy)?;
        Ok(Self {
            address,
            envoy,
            invoker,
        })
    }

    fn measure(&self, lab: &Lab, times: &mut Times) -> Result<()> {
        let meter = || Ok((self.envoy.usage()?.cpu, self.invoker.family_cpu()?));
        let exchange = Scenario::SmallGet.exchange();
        let (outcome, before, after) =
            lab.full_load(self.address, &exchange, CONCURRENCY, meter)?;
        let each = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.responses as f64
        };
        let envoy = each(before.0, after.0);
        let invoker = each(before.1.0, after.1.0);
        let function = each(before.1.1, after.1.1);
        times.envoy.push(envoy);
        times.invoker.push(invoker);
        times.function.push(function);
        times.all.push(envoy + invoker + function);
        Ok(())
    }
}

/// Switches on Envoy's traces, which go to this collector.
fn trace(config: &mut Value, collector: SocketAddr, percent: u32) {
    const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let tracing = json!({
        "random_sampling": { "value": percent },
        "spawn_upstream_span": true,
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "envoy",
                "http_service": { "http_uri": {
                    "uri": format!("http://{collector}/v1/traces"),
                    "cluster": "collector",
                    "timeout": "1s",
                } },
            },
        },
    });
    if let Some(Value::Object(manager)) = config.pointer_mut(MANAGER) {
        manager.insert("tracing".to_owned(), tracing);
    }
    if let Some(Value::Array(clusters)) = config.pointer_mut("/static_resources/clusters") {
        clusters.push(cluster("collector", collector, &[]));
    }
}
