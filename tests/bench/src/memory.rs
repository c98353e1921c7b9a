//! Envoy's memory over many requests.

use anyhow::Result;
use serde::Serialize;

use crate::envoy::Contestant;
use crate::lab::Lab;
use crate::load::Load;
use crate::scenario::Scenario;

/// After how many requests the memory is read.
const REQUESTS: [u64; 3] = [0, 10_000, 1_000_000];

/// Envoy's resident memory after some requests.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// Requests so far, at least.
    pub requests: u64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The most so far, in KiB.
    pub peak_kib: u64,
}

/// Sends a million small GETs to a plain Envoy and to one with the filter.
///
/// # Errors
/// An Envoy does not start, or an answer is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let mut rows = Vec::new();
    for contestant in [Contestant::PassThrough, Contestant::Ours] {
        let envoy = lab.contestant(scenario, contestant)?;
        let mut sent = 0;
        for requests in REQUESTS {
            xtask::say(format_args!(
                "memory of {} after {requests} requests",
                contestant.title()
            ));
            while sent < requests {
                // Short pieces while there is little to send, so that the first figure is of about
                // ten thousand requests.
                let duration =
                    std::time::Duration::from_millis(if requests > 10_000 { 2_000 } else { 100 });
                let load = Load {
                    concurrency: 32,
                    duration,
                    rate: None,
                };
                sent += lab.load(envoy.address, &exchange, load)?.answers;
            }
            let usage = envoy.process.usage()?;
            rows.push(Row {
                contestant,
                requests,
                resident_kib: usage.resident_kib,
                peak_kib: usage.peak_kib,
            });
        }
    }
    Ok(rows)
}
