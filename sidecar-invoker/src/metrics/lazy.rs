//! Series that exist once there is something to count, so that thousands of listed functions cost little.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::labels::{Label, OTHERS};
use crate::util::lock;

/// The upper bounds of durations, in seconds. Lambda's longest time limit is the last.
const DURATIONS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0,
];
/// The first of the upper bounds of memory sizes, each of which is twice the one before. The last is 16 GiB.
const FIRST_SIZE: f64 = 16_777_216.0;
const SIZES: u16 = 11;
/// The maximum number of error types of a function with a series of their own.
const MAX_ERROR_TYPES: usize = 50;

/// The histograms of all functions.
pub(super) type Histograms = Family<[Label; 1], Histogram, fn() -> Histogram>;

/// Creates a histogram of durations in seconds.
pub(super) fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// Creates a histogram of sizes in bytes.
pub(super) fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(FIRST_SIZE, 2.0, SIZES))
}

/// The histogram of one function, created with its first value.
#[derive(Default)]
pub(crate) struct LazyHistogram {
    source: Option<(Histograms, String)>,
    histogram: OnceLock<Histogram>,
}

impl LazyHistogram {
    pub(super) fn new(histograms: &Histograms, function: &str) -> Self {
        Self {
            source: Some((histograms.clone(), function.to_owned())),
            histogram: OnceLock::new(),
        }
    }

    /// Adds a value.
    pub(super) fn observe(&self, value: f64) {
        let Some((histograms, function)) = &self.source else {
            return;
        };
        let create = || histograms.get_or_create_owned(&[("function", function.clone())]);
        self.histogram.get_or_init(create).observe(value);
    }
}

/// The counters of one function by the type of an error.
#[derive(Default)]
pub(crate) struct ErrorTypes {
    source: Option<(Family<[Label; 2], Counter>, String)>,
    counters: Mutex<BTreeMap<String, Counter>>,
}

impl ErrorTypes {
    pub(super) fn new(errors: &Family<[Label; 2], Counter>, function: &str) -> Self {
        Self {
            source: Some((errors.clone(), function.to_owned())),
            counters: Mutex::default(),
        }
    }

    /// Counts an error. Functions choose the types of their errors, so that their number is limited.
    pub(super) fn count(&self, error_type: &str) {
        let Some((errors, function)) = &self.source else {
            return;
        };
        let mut counters = lock(&self.counters);
        let is_new = !counters.contains_key(error_type);
        let error_type = match is_new && counters.len() >= MAX_ERROR_TYPES {
            true => OTHERS,
            false => error_type,
        };
        let labels = || {
            let error_type = ("error_type", error_type.to_owned());
            [("function", function.clone()), error_type]
        };
        let counter = counters.entry(error_type.to_owned());
        counter
            .or_insert_with(|| errors.get_or_create_owned(&labels()))
            .inc();
    }
}
