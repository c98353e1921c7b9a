//! The invoker alone, signing, against a bare reverse proxy.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::envoy::Contestant;
use crate::lab::Lab;
use crate::load::Exchange;
use crate::process::{Process, free_address};
use crate::scenario::Scenario;
use crate::stats::Summary;

/// Who stands between the load and the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Between {
    /// A bare hyper proxy.
    BareProxy,
    /// The invoker, which signs.
    Invoker,
}

/// One of them at one concurrency.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub between: Between,
    /// Connections.
    pub concurrency: usize,
    /// Answers per second.
    pub answers_per_second: Summary,
    /// CPU time per answer in microseconds.
    pub cpu_us: Summary,
    /// Median latency in microseconds.
    pub p50_us: Summary,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Summary,
}

/// Measures both with the event of a small GET and its answer.
///
/// # Errors
/// One of them does not start, or an answer is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let script = Scenario::SmallGet.script(Contestant::OursInvoker);
    let answer_bytes = script.body_bytes;
    let upstream = lab.upstream(script)?;
    let exchange = Exchange {
        requests: vec![invocation("bench", &Scenario::SmallGet.event())],
        status: 200,
        answer_bytes,
    };
    let both = [
        (Between::BareProxy, bare_proxy(lab, upstream)?),
        (
            Between::Invoker,
            signing(lab, "invoker-alone", lab.cores.proxy, upstream)?,
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
                cpu.push(after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.answers as f64);
                p50.push(outcome.latency.value_at_quantile(0.5) as f64 / 1e3);
                p99.push(outcome.latency.value_at_quantile(0.99) as f64 / 1e3);
            }
        }
        for ((between, _), figures) in both.iter().zip(figures) {
            let [answers_per_second, cpu_us, p50_us, p99_us] = figures.map(Summary::of);
            rows.push(Row {
                between: *between,
                concurrency,
                answers_per_second,
                cpu_us,
                p50_us,
                p99_us,
            });
        }
    }
    Ok(rows)
}

/// A request of the Invoke API.
pub fn invocation(function: &str, event: &[u8]) -> Bytes {
    let mut request = format!(
        "POST /2015-03-31/functions/{function}/invocations HTTP/1.1\r\nhost: lambda\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        event.len()
    )
    .into_bytes();
    request.extend_from_slice(event);
    request.into()
}

fn bare_proxy(lab: &Lab, upstream: SocketAddr) -> Result<(SocketAddr, Process)> {
    let listen = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare-proxy", &listen.to_string(), &upstream.to_string()]);
    let mut process = Process::start("bare-proxy", &mut command, lab.cores.proxy, lab.folder())?;
    process.wait_until(|| TcpStream::connect(listen).is_ok())?;
    Ok((listen, process))
}

/// Starts an invoker that signs and sends everything to `upstream`.
///
/// # Errors
/// It does not start.
pub fn signing(
    lab: &Lab,
    name: &str,
    core: usize,
    upstream: SocketAddr,
) -> Result<(SocketAddr, Process)> {
    let aws = json!({ "region": "eu-central-1", "endpoint": format!("http://{upstream}") });
    start(
        lab,
        name,
        core,
        "aws",
        aws,
        &[
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
        ],
    )
}

/// Starts an invoker on free ports, with `key: value` in its configuration.
///
/// # Errors
/// It does not start.
pub fn start(
    lab: &Lab,
    name: &str,
    core: impl Into<Option<usize>>,
    key: &str,
    value: Value,
    variables: &[(&str, &str)],
) -> Result<(SocketAddr, Process)> {
    let listen = free_address()?;
    let config = Value::from(Map::from_iter([
        (key.to_owned(), value),
        ("listen".to_owned(), listen.to_string().into()),
        ("admin".to_owned(), free_address()?.to_string().into()),
    ]));
    let file = lab.folder().join(format!("{name}.yaml"));
    // JSON is YAML.
    std::fs::write(&file, config.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(&lab.invoker);
    command
        .args(["serve", "--config"])
        .arg(&file)
        .envs(variables.iter().copied())
        .env("RUST_LOG", "warn");
    let mut process = Process::start(name, &mut command, core, lab.folder())?;
    process.wait_until(|| TcpStream::connect(listen).is_ok())?;
    Ok((listen, process))
}
