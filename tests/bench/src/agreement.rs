//! The comparison of two runs: whether their intervals agree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::stats::Interval;

/// A ratio that is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The name of the scenario.
    pub scenario: String,
    /// The name of the contestant.
    pub contestant: String,
    /// The name of the contestant with which it is compared.
    pub peer: String,
    /// How much less CPU time it takes than that.
    pub ratio: Interval,
}

/// The part of a report that is compared.
#[derive(Deserialize)]
struct Earlier {
    published: Vec<Published>,
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
    let key = |of: &Published| (of.scenario.clone(), of.contestant.clone(), of.peer.clone());
    let pairs = later.iter().filter_map(|later| {
        let earlier = earlier.iter().find(|earlier| key(earlier) == key(later))?;
        Some((earlier, later))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(scenario: &str, peer: &str) -> Published {
        Published {
            scenario: scenario.to_owned(),
            contestant: "module".to_owned(),
            peer: peer.to_owned(),
            ratio: Interval {
                median: 2.0,
                low: 1.0,
                high: 3.0,
            },
        }
    }

    #[test]
    fn ratios_of_both_runs_are_compared_and_others_left_out() {
        let earlier = [
            published("get", "aws-lambda"),
            published("get", "pass-through"),
        ];
        let later = [
            published("get", "pass-through"),
            published("post", "pass-through"),
        ];
        let common = common(&earlier, &later);
        assert_eq!(common, [(&earlier[1], &later[0])]);
    }

    #[test]
    fn a_file_that_is_no_report_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, "{}").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("cargo xtask bench --only throughput"),
            "{error}"
        );
        let error = read(&folder.path().join("missing"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot read"), "{error}");
    }
}
