//! The comparison of two runs: whether their intervals agree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stats::Interval;

/// A ratio that is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The name of the scenario.
    pub scenario: String,
    /// The name of the contestant.
    pub contestant: String,
    /// How much less CPU time it takes than a pass-through.
    pub ratio: Interval,
}

/// The part of a report that is compared.
#[derive(Deserialize)]
struct Earlier {
    published: Vec<Published>,
}

/// Returns the ratios of a run.
pub fn published(report: &Report) -> Vec<Published> {
    let mut published = Vec::new();
    for scenario in Scenario::WHOLE {
        for &contestant in Contestant::value_variants() {
            let limit = Contestant::PassThrough;
            if let Some(ratio) = report.cpu_ratio(scenario, contestant, limit)
                && contestant != limit
            {
                published.push(Published {
                    scenario: scenario.name().to_owned(),
                    contestant: contestant.name().to_owned(),
                    ratio,
                });
            }
        }
    }
    published
}

/// Reads the ratios of an earlier run from its `report.json`.
///
/// # Errors
/// The file cannot be read, or is no report with ratios.
pub fn read(path: &Path) -> Result<Vec<Published>> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let earlier: Earlier = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is no report.json of this version; make one with `cargo xtask bench --only throughput`",
            path.display()
        )
    })?;
    Ok(earlier.published)
}

/// Returns the ratios that are in both runs, the earlier interval first.
pub fn common<'a>(
    earlier: &'a [Published],
    later: &'a [Published],
) -> Vec<(&'a Published, &'a Published)> {
    let same = |one: &Published, other: &Published| {
        (&one.scenario, &one.contestant) == (&other.scenario, &other.contestant)
    };
    let pairs = later.iter().filter_map(|later| {
        let earlier = earlier.iter().find(|earlier| same(earlier, later))?;
        Some((earlier, later))
    });
    pairs.collect()
}
