//! Envoy's memory over many requests.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::contestant::Contestant;
use crate::lab::Lab;
use crate::load::{Load, Until};
use crate::scenario::Scenario;

/// The number of requests after which the memory is read first. By then, Envoy has allocated everything for
/// its connections.
const WARM_UP_REQUESTS: u64 = 10_000;

/// Envoy's resident memory after some requests.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The contestant.
    pub contestant: Contestant,
    /// The number of requests so far.
    pub requests: u64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The peak of the resident memory in KiB.
    pub peak_kib: u64,
}

/// Sends many small GETs to a plain Envoy, and to one with each form of the filter.
///
/// # Errors
/// An Envoy does not start, or a response is wrong.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let scenario = Scenario::SmallGet;
    let exchange = scenario.exchange();
    let mut rows = Vec::new();
    for contestant in [
        Contestant::PassThrough,
        Contestant::Module,
        Contestant::Ours,
    ] {
        let envoy = lab.entrant(scenario, contestant)?.envoy;
        let mut sent = 0;
        for requests in [
            0,
            WARM_UP_REQUESTS.min(lab.effort.requests),
            lab.effort.requests,
        ] {
            xtask::say(format_args!(
                "memory of {} after {requests} requests",
                contestant.title()
            ));
            let load = Load {
                concurrency: 32,
                until: Until::Requests(requests - sent),
                rate: None,
                stagger: Duration::ZERO,
            };
            sent += lab.load(envoy.address, &exchange, load)?.responses;
            let usage = envoy.process.usage()?;
            rows.push(Row {
                contestant,
                requests: sent,
                resident_kib: usage.resident_kib,
                peak_kib: usage.peak_kib,
            });
        }
    }
    Ok(rows)
}
