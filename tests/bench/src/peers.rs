//! The contestants that take part, and those whose program cannot be built here.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use xtask::go;

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
    /// The service behind `ext_proc`, if it takes part.
    pub ext_proc: Option<PathBuf>,
    /// The Lambda Reverse Proxy, if it takes part.
    pub lrp: Option<PathBuf>,
}

impl Peers {
    /// Builds the programs of the contestants outside Envoy.
    pub fn build() -> Self {
        let mut peers = Self::default();
        for &contestant in Contestant::value_variants() {
            let built = match contestant {
                Contestant::ExtProc => go::build("tests/bench/ext-proc", "ext-proc")
                    .map(|path| peers.ext_proc = Some(path)),
                Contestant::Lrp => {
                    go::install("github.com/gabrielelana/lambda-reverse-proxy", "v0.0.4")
                        .map(|path| peers.lrp = Some(path))
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
