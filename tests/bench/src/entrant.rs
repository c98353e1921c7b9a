//! A contestant's processes.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::contestant::Contestant;
use crate::envoy;
use crate::envoy_config::Config;
use crate::invoker;
use crate::lab::Lab;
use crate::process::{Process, Usage, free_address};
use crate::scenario::{FUNCTION_HEADER, Scenario};
use crate::upstream::Upstream;

/// A contestant with its upstream. `Drop` ends its processes.
#[derive(Debug)]
pub struct Entrant {
    /// The contestant.
    pub contestant: Contestant,
    /// The address for requests.
    pub address: SocketAddr,
    /// Envoy, or the proxy in its place.
    proxy: Process,
    /// The service that does the filter's work outside Envoy.
    service: Option<Process>,
    /// The invoker behind Envoy.
    invoker: Option<Process>,
    upstream: Upstream,
}

/// The CPU time so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// The CPU time of Envoy and of a service that does the filter's work, or of the proxy in their place.
    pub proxy: Duration,
    /// The CPU time of the invoker behind Envoy.
    pub invoker: Option<Duration>,
}

/// Starts new processes of these contestants, in this order.
///
/// # Errors
/// A contestant does not start.
pub fn start(lab: &Lab, scenario: Scenario, contestants: &[Contestant]) -> Result<Vec<Entrant>> {
    let start = |&contestant: &Contestant| {
        Entrant::start(lab, scenario, contestant, 1).with_context(|| contestant.title())
    };
    contestants.iter().map(start).collect()
}

impl Entrant {
    /// Starts a contestant with this number of workers, and with an upstream for this scenario.
    ///
    /// # Errors
    /// A process does not start, or a response does not have the headers of the function.
    pub fn start(
        lab: &Lab,
        scenario: Scenario,
        contestant: Contestant,
        workers: usize,
    ) -> Result<Self> {
        let name = format!("{}-{}", scenario.name(), contestant.name());
        let upstream = lab.upstream(scenario.script(contestant))?;
        let (mut next, mut invoker, mut ext_proc) = (upstream.address, None, None);
        let address = free_address()?;
        if contestant == Contestant::Lrp {
            let entrant = Self {
                contestant,
                address,
                proxy: lambda_reverse_proxy(lab, &name, address, next)?,
                service: None,
                invoker: None,
                upstream,
            };
            return entrant.checked(lab, scenario);
        }
        if contestant == Contestant::OursInvoker {
            let name = format!("{name}-invoker");
            let (address, process) =
                invoker::signing(&lab.invoker, &name, lab.on(lab.cores.load), next)?;
            (next, invoker) = (address, Some(process));
        }
        if contestant == Contestant::ExtProc {
            ext_proc = Some(ext_proc_service(lab, &name)?);
        }
        let config = Config {
            contestant,
            filter: &lab.filter,
            upstream: next,
            invocation: scenario.invocation(),
            ext_proc: ext_proc.as_ref().map(|(address, _)| *address),
            has_statistics: true,
            has_report: false,
        };
        let placement = lab.on(lab.cores.proxy);
        let proxy = envoy::start(&name, address, &config.at(address), workers, placement)?;
        let entrant = Self {
            contestant,
            address,
            proxy,
            service: ext_proc.map(|(_, process)| process),
            invoker,
            upstream,
        };
        entrant.checked(lab, scenario)
    }

    /// The load compares only the status and the size of responses.
    fn checked(self, lab: &Lab, scenario: Scenario) -> Result<Self> {
        let request = scenario.request("shop.example.com");
        let head = lab.response_head(self.address, &request)?;
        let is_decoded = head.to_ascii_lowercase().contains(FUNCTION_HEADER);
        ensure!(
            is_decoded || self.contestant == Contestant::PassThrough,
            "the response does not have the function's headers:\n{head}"
        );
        Ok(self)
    }

    /// Switches the upstream to the responses of `scenario`, whose invocation must be of the same kind as that
    /// of the first scenario.
    pub fn prepare(&self, scenario: Scenario) {
        self.upstream.play(scenario.script(self.contestant));
    }

    /// Returns the CPU time so far.
    ///
    /// # Errors
    /// A process has ended.
    pub fn cpu(&self) -> Result<Cpu> {
        let cpu = |process: &Option<Process>| {
            let usage = process.as_ref().map(Process::usage).transpose()?;
            anyhow::Ok(usage.map(|usage| usage.cpu))
        };
        Ok(Cpu {
            proxy: self.proxy.usage()?.cpu + cpu(&self.service)?.unwrap_or_default(),
            invoker: cpu(&self.invoker)?,
        })
    }

    /// Returns CPU time and memory of Envoy, or of the proxy in its place.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<Usage> {
        self.proxy.usage()
    }

    /// Resets the peak of the memory to the current value.
    ///
    /// # Errors
    /// The proxy has ended.
    pub fn forget_peak(&self) -> Result<()> {
        self.proxy.forget_peak()
    }

    /// Returns the time for which the proxy has waited for a core.
    ///
    /// # Errors
    /// It has ended.
    pub fn waiting(&self) -> Result<Duration> {
        self.proxy.waiting()
    }
}

/// Starts the service behind `ext_proc` on Envoy's core, so that both together have as much as a filter in Envoy.
fn ext_proc_service(lab: &Lab, name: &str) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let program = lab.peers.ext_proc.as_ref();
    let mut command = Command::new(program.context("it was not built")?);
    command.args([&address.to_string(), "bench"]);
    let placement = lab.on(lab.cores.proxy);
    let mut process = Process::start(&format!("{name}-service"), &mut command, placement)?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok((address, process))
}

fn lambda_reverse_proxy(
    lab: &Lab,
    name: &str,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Process> {
    let file = lab.folder().join(format!("{name}.yaml"));
    let config = json!({
        "host": address.ip(),
        "port": address.port().to_string(),
        "local": [{ "hostname": "shop.example.com", "endpoint": format!("http://{upstream}") }],
    });
    // All JSON is YAML.
    std::fs::write(&file, config.to_string())?;
    let program = lab.peers.lrp.as_ref();
    let mut command = Command::new(program.context("it was not built")?);
    let mut process = Process::start(name, command.arg(&file), lab.on(lab.cores.proxy))?;
    process.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(process)
}
