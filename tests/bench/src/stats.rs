//! Summaries of several rounds.

use serde::Serialize;

/// The median and the range of several figures.
#[derive(Debug, Clone, Copy, Serialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_there() {
        assert_eq!(Summary::of(vec![3.0, 1.0, 2.0]).median, 2.0);
        let even = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
        assert_eq!(even.spread_percent(), 60.0);
        assert_eq!(Summary::of(Vec::new()).spread_percent(), 0.0);
    }
}
