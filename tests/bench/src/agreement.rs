//! The comparison of two runs: whether their intervals agree.

use crate::contestant::Contestant;
use crate::scenario::Scenario;
use crate::stats::Interval;

/// A ratio that is published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The scenario.
    pub scenario: Scenario,
    /// The contestant.
    pub contestant: Contestant,
    /// The contestant with which it is compared.
    pub peer: Contestant,
    /// The CPU time of the peer, divided by that of the contestant.
    pub ratio: Interval,
}

/// Returns the ratios that are in both runs, the earlier interval first.
pub fn common<'a>(
    earlier: &'a [Published],
    later: &'a [Published],
) -> Vec<(&'a Published, &'a Published)> {
    let key = |of: &Published| (of.scenario, of.contestant, of.peer);
    let pairs = later.iter().filter_map(|later| {
        let earlier = earlier.iter().find(|earlier| key(earlier) == key(later))?;
        Some((earlier, later))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(scenario: Scenario, peer: Contestant) -> Published {
        Published {
            scenario,
            contestant: Contestant::Module,
            peer,
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
            published(Scenario::SmallGet, Contestant::AwsLambda),
            published(Scenario::SmallGet, Contestant::PassThrough),
        ];
        let later = [
            published(Scenario::SmallGet, Contestant::PassThrough),
            published(Scenario::PostJson, Contestant::PassThrough),
        ];
        let common = common(&earlier, &later);
        assert_eq!(common, [(&earlier[1], &later[0])]);
    }
}
