//! The signing invoker alone, beside a bare reverse proxy.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::invoker::{self, invocation};
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process::{Process, free_address};
use crate::scenario::Scenario;
use crate::stats::Summary;

/// The program between the load and the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Between {
    /// A bare proxy made with hyper.
    BareProxy,
    /// The invoker, which signs.
    Invoker,
}

/// The figures of a program at a concurrency.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The program.
    pub between: Between,
    /// The number of connections.
    pub concurrency: usize,
    /// Responses per second.
    pub responses_per_second: Summary,
    /// CPU time per response in microseconds.
    pub cpu_us: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
}

/// Measures both programs with the event of a small GET and its response.
///
/// # Errors
/// A program does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let script = Scenario::SmallGet.script(Contestant::OursInvoker);
    let response_bytes = script.body_bytes;
    let upstream = lab.upstream(script)?.address;
    let exchange = Exchange {
        requests: vec![invocation("bench", &Scenario::SmallGet.event())],
        status: 200,
        response_bytes,
    };
    let both = [
        (Between::BareProxy, bare_proxy(lab, upstream)?),
        (
            Between::Invoker,
            invoker::signing(
                &lab.invoker,
                "invoker-alone",
                lab.on(lab.cores.proxy),
                upstream,
            )?,
        ),
    ];
    let mut rows = Vec::new();
    for concurrency in [1, 32] {
        let mut figures: [[Vec<f64>; 4]; 2] = Default::default();
        for round in 0..lab.effort.rounds {
            xtask::say(format_args!(
                "invoker at {concurrency}: round {} of {}",
                round + 1,
                lab.effort.rounds
            ));
            for ((_, (address, process)), [rate, cpu, p50, p99]) in both.iter().zip(&mut figures) {
                let (outcome, before, after) =
                    lab.full_load(*address, &exchange, concurrency, || {
                        Ok(process.usage()?.cpu)
                    })?;
                rate.push(outcome.rate());
                cpu.push(
                    after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.responses as f64,
                );
                p50.push(outcome.latency.value_at_quantile(0.5) as f64 / 1e3);
                p99.push(outcome.latency.value_at_quantile(0.99) as f64 / 1e3);
            }
        }
        for ((between, _), figures) in both.iter().zip(figures) {
            let [responses_per_second, cpu_us, p50_us, p99_us] = figures.map(Summary::of);
            rows.push(Row {
                between: *between,
                concurrency,
                responses_per_second,
                cpu_us,
                p50_us,
                p99_us,
            });
        }
    }
    Ok(rows)
}

fn bare_proxy(lab: &Lab, upstream: SocketAddr) -> Result<(SocketAddr, Process)> {
    let listen = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare-proxy", &listen.to_string(), &upstream.to_string()]);
    let mut process = Process::start("bare-proxy", &mut command, lab.on(lab.cores.proxy))?;
    process.wait_until(|| TcpStream::connect(listen).is_ok())?;
    Ok((listen, process))
}
