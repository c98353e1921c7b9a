//! The setting of the experiments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::contestant::Contestant;
use crate::envoy::{Config, Envoy, Filter};
use crate::invoker;
use crate::load::{self, Exchange, Load, Outcome, Until};
use crate::process::{Cores, Placement};
use crate::scenario::Scenario;
use crate::upstream::{Script, Upstream};

/// The programs, the cores and the effort of a run.
#[derive(Debug)]
pub struct Lab {
    /// The cores.
    pub cores: Cores,
    /// The files of the filter.
    pub filter: Filter,
    /// The invoker.
    pub invoker: PathBuf,
    /// The local function.
    pub function: PathBuf,
    /// The effort of the run.
    pub effort: Effort,
    runtime: Runtime,
    folder: TempDir,
}

/// The effort of a run.
#[derive(Debug, Clone)]
pub struct Effort {
    /// The number of times that each figure is measured.
    pub rounds: usize,
    /// The duration of each measurement.
    pub duration: Duration,
    /// The numbers of connections.
    pub concurrency: Vec<usize>,
    /// The largest number of functions in one Envoy.
    pub functions: usize,
    /// The number of requests after which Envoy's memory is read for the last time.
    pub requests: u64,
}

/// A contestant with its upstream.
#[derive(Debug)]
pub struct Entrant {
    /// The contestant.
    pub contestant: Contestant,
    /// The Envoy, and the invoker behind it.
    pub envoy: Envoy,
    upstream: Upstream,
}

impl Entrant {
    /// Switches the upstream to the responses of `scenario`, whose invocation must be of the same kind as that
    /// of the first scenario.
    pub fn prepare(&self, scenario: Scenario) {
        self.upstream.play(scenario.script(self.contestant));
    }
}

impl Lab {
    /// Claims two cores and builds what is missing.
    ///
    /// # Errors
    /// A build fails, or the machine has one core.
    pub fn open(effort: Effort) -> Result<Self> {
        let filter = Filter {
            wasm: xtask::wasm::build()?,
            module: xtask::native::build()?,
        };
        let invoker = xtask::build::invoker()?;
        // It is built together with this program.
        let function = std::env::current_exe()?.with_file_name("trivial");
        // This pins the current thread, so that builds must come before.
        let cores = Cores::claim()?;
        Ok(Self {
            cores,
            filter,
            invoker,
            function,
            effort,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            folder: tempfile::tempdir()?,
        })
    }

    /// Returns the folder for the files of this run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the placement of a program on this core.
    pub fn on(&self, core: usize) -> Placement<'_> {
        Placement {
            core: Some(core),
            folder: self.folder(),
        }
    }

    /// Returns the placement of a program on the cores of the current thread.
    pub fn anywhere(&self) -> Placement<'_> {
        Placement {
            core: None,
            folder: self.folder(),
        }
    }

    /// Starts an upstream.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn upstream(&self, script: Script) -> Result<SocketAddr> {
        Ok(self.runtime.block_on(Upstream::serve(script))?.address)
    }

    /// Starts a contestant with an upstream for this scenario.
    ///
    /// # Errors
    /// The contestant does not start.
    pub fn entrant(&self, scenario: Scenario, contestant: Contestant) -> Result<Entrant> {
        let name = format!("{}-{}", scenario.name(), contestant.name());
        let script = scenario.script(contestant);
        let upstream = self.runtime.block_on(Upstream::serve(script))?;
        let (mut next, mut invoker) = (upstream.address, None);
        if contestant == Contestant::OursInvoker {
            let name = format!("{name}-invoker");
            let (address, process) =
                invoker::signing(&self.invoker, &name, self.on(self.cores.load), next)?;
            (next, invoker) = (address, Some(process));
        }
        let config = Config {
            contestant,
            filter: self.filter.clone(),
            upstream: next,
            invocation: scenario.invocation(),
        };
        let (address, value) = config.listen()?;
        let mut envoy = Envoy::start(&name, address, &value, self.on(self.cores.proxy))?;
        envoy.invoker = invoker;
        Ok(Entrant {
            contestant,
            envoy,
            upstream,
        })
    }

    /// Sends a load.
    ///
    /// # Errors
    /// A response is wrong, or a connection breaks.
    pub fn load(&self, address: SocketAddr, exchange: &Exchange, load: Load) -> Result<Outcome> {
        Ok(self.runtime.block_on(load::run(address, exchange, load))?)
    }

    /// Warms up, then sends the highest possible load for the duration of a measurement. Returns the values of
    /// `meter` before and after that too.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn full_load<T>(
        &self,
        address: SocketAddr,
        exchange: &Exchange,
        concurrency: usize,
        meter: impl Fn() -> Result<T>,
    ) -> Result<(Outcome, T, T)> {
        let at = |duration| Load {
            concurrency,
            until: Until::Elapsed(duration),
            rate: None,
            stagger: Duration::ZERO,
        };
        self.load(address, exchange, at(self.effort.duration / 8))?;
        let before = meter()?;
        let outcome = self.load(address, exchange, at(self.effort.duration))?;
        Ok((outcome, before, meter()?))
    }
}
