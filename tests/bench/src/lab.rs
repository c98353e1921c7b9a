//! What every experiment needs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::envoy::{Config, Contestant, Envoy};
use crate::invoker;
use crate::load::{self, Exchange, Load, Outcome, Until};
use crate::process::Cores;
use crate::scenario::Scenario;
use crate::upstream::{Script, Upstream};

/// The place where all is measured.
#[derive(Debug)]
pub struct Lab {
    /// Which cores do what.
    pub cores: Cores,
    /// The filter as WebAssembly.
    pub wasm: PathBuf,
    /// The invoker.
    pub invoker: PathBuf,
    /// The function that runs locally.
    pub function: PathBuf,
    /// How much is measured.
    pub effort: Effort,
    runtime: Runtime,
    folder: TempDir,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// How often each figure is taken.
    pub rounds: usize,
    /// How long each time.
    pub duration: Duration,
    /// With how many connections.
    pub concurrency: Vec<usize>,
    /// The largest number of functions in one Envoy.
    pub functions: usize,
    /// After how many requests Envoy's memory is read for the last time.
    pub requests: u64,
}

/// A contestant with its upstream.
#[derive(Debug)]
pub struct Entrant {
    /// Who.
    pub contestant: Contestant,
    /// Its Envoy, and the invoker behind it.
    pub envoy: Envoy,
    upstream: Upstream,
}

impl Entrant {
    /// From now on it gets the requests of `scenario`, which is invoked in the same way as the one
    /// that it was started with.
    pub fn prepare(&self, scenario: Scenario) {
        self.upstream.play(scenario.script(self.contestant));
    }
}

impl Lab {
    /// Claims two cores and builds what is missing.
    ///
    /// # Errors
    /// Something cannot be had.
    pub fn open(effort: Effort) -> Result<Self> {
        let (wasm, invoker) = (xtask::wasm::build()?, xtask::build::invoker()?);
        // Built with this program.
        let function = std::env::current_exe()?.with_file_name("trivial");
        // The runtime's own thread is pinned, so whatever is built has been built before.
        let cores = Cores::claim()?;
        Ok(Self {
            cores,
            wasm,
            invoker,
            function,
            effort,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            folder: tempfile::tempdir()?,
        })
    }

    /// For the files of this run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts an upstream.
    ///
    /// # Errors
    /// There is no free port.
    pub fn upstream(&self, script: Script) -> Result<SocketAddr> {
        Ok(self.runtime.block_on(Upstream::serve(script))?.address)
    }

    /// Starts a contestant with an upstream for this scenario.
    ///
    /// # Errors
    /// It does not start.
    pub fn entrant(&self, scenario: Scenario, contestant: Contestant) -> Result<Entrant> {
        let name = format!("{}-{}", scenario.name(), contestant.name());
        let script = scenario.script(contestant);
        let upstream = self.runtime.block_on(Upstream::serve(script))?;
        let (mut next, mut invoker) = (upstream.address, None);
        if contestant == Contestant::OursInvoker {
            let name = format!("{name}-invoker");
            let (address, process) = invoker::signing(self, &name, self.cores.load, next)?;
            (next, invoker) = (address, Some(process));
        }
        let config = Config {
            contestant,
            wasm: self.wasm.clone(),
            upstream: next,
            invocation: scenario.invocation(),
        };
        let (address, value) = config.listen()?;
        let mut envoy = Envoy::start(&name, address, &value, self)?;
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
    /// An answer is wrong, or a connection broke off.
    pub fn load(&self, address: SocketAddr, exchange: &Exchange, load: Load) -> Result<Outcome> {
        Ok(self.runtime.block_on(load::run(address, exchange, load))?)
    }

    /// Warms up, then sends as much as can be for as long as a figure takes, and tells what `meter`
    /// said before and after that.
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
