//! The setting of the experiments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::contestant::Contestant;
use crate::envoy_config::Filter;
use crate::load::{self, Exchange, Load, Outcome, Until};
use crate::peers::Peers;
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
    /// The contestants.
    pub peers: Peers,
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
    /// The contestants of the throughput.
    pub contestants: Vec<Contestant>,
    /// The scenarios of the throughput.
    pub scenarios: Vec<Scenario>,
    /// The largest number of functions in one Envoy.
    pub functions: usize,
    /// The number of requests after which Envoy's memory is read for the last time.
    pub requests: u64,
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
        let peers = Peers::build();
        // It is built together with this program.
        let function = std::env::current_exe()?.with_file_name("trivial");
        // This pins the current thread, so that builds must come before.
        let cores = Cores::claim()?;
        Ok(Self {
            cores,
            filter,
            invoker,
            function,
            peers,
            effort,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            folder: tempfile::tempdir()?,
        })
    }

    /// Returns those of `contestants` that take part.
    pub fn among(&self, contestants: &[Contestant]) -> Vec<Contestant> {
        let mut present = contestants.to_vec();
        present.retain(|contestant| self.peers.contestants.contains(contestant));
        present
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
            is_counted: false,
        }
    }

    /// Returns the placement of a program on the cores of the current thread.
    pub fn anywhere(&self) -> Placement<'_> {
        Placement {
            core: None,
            folder: self.folder(),
            is_counted: false,
        }
    }

    /// Returns the placement of a program whose instructions are counted.
    pub fn counted(&self) -> Placement<'_> {
        Placement {
            is_counted: true,
            ..self.anywhere()
        }
    }

    /// Starts an upstream.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn upstream(&self, script: Script) -> Result<Upstream> {
        Ok(self.runtime.block_on(Upstream::serve(script))?)
    }

    /// Sends a request and returns the head of the response.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn response_head(&self, address: SocketAddr, request: &[u8]) -> Result<String> {
        self.runtime.block_on(async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request).await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            Ok(String::from_utf8_lossy(&head).into_owned())
        })
    }

    /// Sends a load.
    ///
    /// # Errors
    /// A response is wrong, or a connection breaks.
    pub fn load(&self, address: SocketAddr, exchange: &Exchange, load: Load) -> Result<Outcome> {
        Ok(self.runtime.block_on(load::run(address, exchange, load))?)
    }

    /// Sends the highest possible load for the duration of a measurement to a new process: it allocates memory,
    /// and a WebAssembly runtime compiles what is called often.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn warm_up(&self, address: SocketAddr, exchange: &Exchange) -> Result<()> {
        self.load(address, exchange, Load::most(32, self.effort.duration))
            .map(drop)
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
        let duration = self.effort.duration;
        self.load(address, exchange, Load::most(concurrency, duration / 8))?;
        let before = meter()?;
        let outcome = self.load(address, exchange, Load::most(concurrency, duration))?;
        Ok((outcome, before, meter()?))
    }

    /// Sends this number of requests over 32 connections.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn send(&self, address: SocketAddr, exchange: &Exchange, requests: u64) -> Result<Outcome> {
        let load = Load {
            until: Until::Requests(requests),
            ..Load::most(32, Duration::ZERO)
        };
        self.load(address, exchange, load)
    }
}
