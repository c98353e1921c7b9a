//! The contestants that take part, and those whose program cannot be built here.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;

/// A contestant that does not take part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Skipped {
    /// The contestant.
    pub contestant: Contestant,
    /// The reason.
    pub reason: String,
}

/// The contestants, and the programs of those outside Envoy.
#[derive(Debug, Default)]
pub struct Peers {
    /// The contestants that take part, in the order of the report.
    pub contestants: Vec<Contestant>,
    /// The others.
    pub skipped: Vec<Skipped>,
    /// The service behind `ext_proc`.
    pub ext_proc: PathBuf,
    /// The Lambda Reverse Proxy.
    pub lrp: PathBuf,
}

impl Peers {
    /// Builds the programs of the contestants outside Envoy.
    pub fn build() -> Self {
        let mut peers = Self::default();
        for &contestant in Contestant::value_variants() {
            let built: Result<()> = match contestant {
                Contestant::ExtProc => {
                    xtask::bench_peers::ext_proc().map(|path| peers.ext_proc = path)
                }
                Contestant::Lrp => {
                    xtask::bench_peers::lambda_reverse_proxy().map(|path| peers.lrp = path)
                }
                _ => Ok(()),
            };
            match built {
                Ok(()) => peers.contestants.push(contestant),
                Err(error) => {
                    let reason = format!("{error:#}");
                    xtask::say(format_args!("skipped: {}: {reason}", contestant.title()));
                    peers.skipped.push(Skipped { contestant, reason });
                }
            }
        }
        peers
    }
}
