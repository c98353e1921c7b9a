//! Summaries of several rounds.

use serde::{Deserialize, Serialize};

/// The median and the range of several figures.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
}

impl Summary {
    /// Returns the summary of these figures, which is zero if there are none.
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or_default();
        let last = figures.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(figures.len() / 2)),
            min: at(0),
            max: at(last),
        }
    }

    /// Half the distance between the extremes, in percent of the median.
    pub fn spread_percent(&self) -> f64 {
        match self.median > 0.0 {
            true => (self.max - self.min) / 2.0 / self.median * 100.0,
            false => 0.0,
        }
    }
}

/// The ratio or the difference of two figures that were measured in turn, round by round, so that a slower phase of
/// the machine affects both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The median over the rounds.
    pub median: f64,
    /// The lower end of an interval that has the true median with a probability of at least 95 %, from six
    /// rounds on, if their number was fixed before.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Returns the ratio of the rounds of two contestants, or `None` if there are none.
    pub fn ratio(numerators: &[f64], denominators: &[f64]) -> Option<Self> {
        let pairs = numerators.iter().zip(denominators);
        Self::of(pairs.map(|(above, below)| above / below).collect())
    }

    /// Returns the difference of the rounds of two contestants, or `None` if there are none.
    pub fn difference(minuends: &[f64], subtrahends: &[f64]) -> Option<Self> {
        let pairs = minuends.iter().zip(subtrahends);
        Self::of(pairs.map(|(from, less)| from - less).collect())
    }

    /// Returns the median of independent figures with its interval, or `None` if there are none.
    ///
    /// The interval has no assumption about the distribution: its ends are figures themselves, so many from
    /// each end that a fair coin would hardly give so few heads.
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        let outside = rounds_outside(figures.len());
        figures.sort_by(f64::total_cmp);
        Some(Self {
            low: *figures.get(outside)?,
            high: *figures.iter().rev().nth(outside)?,
            median: Summary::of(figures).median,
        })
    }

    /// Returns the interval in a unit that is larger by a factor.
    pub fn divided_by(self, factor: f64) -> Self {
        Self {
            median: self.median / factor,
            low: self.low / factor,
            high: self.high / factor,
        }
    }

    /// Half the length of the interval, in percent of the median.
    pub fn uncertainty_percent(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median * 100.0
    }

    /// Returns whether both intervals have a figure in common.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// Returns how many of `rounds` may lie beyond each end of the interval.
fn rounds_outside(rounds: usize) -> usize {
    let all = 0.5_f64.powi(i32::try_from(rounds).unwrap_or(i32::MAX));
    let (mut below, mut term) = (0.0, all);
    for outside in 0..rounds {
        below += term;
        if below > 0.025 {
            return outside.saturating_sub(1);
        }
        term *= (rounds - outside) as f64 / (outside + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_leaves_out_as_many_rounds_as_chance_allows() {
        // Order statistics of the sign test, as in tables of the binomial distribution.
        for (rounds, expected) in [
            (1, 0),
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (12, 2),
            (20, 5),
            (30, 9),
        ] {
            assert_eq!(rounds_outside(rounds), expected, "{rounds}");
        }
        let numerators: Vec<f64> = (1..=9).map(f64::from).collect();
        let ratio = Interval::ratio(&numerators, &[2.0; 9]).unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high), (1.0, 2.5, 4.0));
        assert_eq!(ratio.uncertainty_percent(), 60.0);
        let difference = Interval::difference(&numerators, &[2.0; 9]).unwrap();
        assert_eq!(
            (difference.low, difference.median, difference.high),
            (0.0, 3.0, 6.0)
        );
        assert_eq!(Interval::ratio(&[], &[]), None);
    }

    #[test]
    fn intervals_agree_if_they_touch() {
        let of = |low, high| Interval {
            low,
            high,
            median: f64::midpoint(low, high),
        };
        assert!(of(1.0, 2.0).agrees_with(&of(2.0, 3.0)));
        assert!(of(1.0, 4.0).agrees_with(&of(2.0, 3.0)));
        assert!(!of(1.0, 2.0).agrees_with(&of(2.1, 3.0)));
        assert!(!of(2.1, 3.0).agrees_with(&of(1.0, 2.0)));
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_there() {
        assert_eq!(Summary::of(vec![3.0, 1.0, 2.0]).median, 2.0);
        let even = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
        assert_eq!(even.spread_percent(), 60.0);
        assert_eq!(Summary::of(Vec::new()).spread_percent(), 0.0);
    }
}
