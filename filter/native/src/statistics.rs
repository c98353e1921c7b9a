//! The filter's figures in Envoy's statistics.
//!
//! Envoy lets a module define statistics only while it makes a configuration, puts them under the names of the
//! configuration's place (`cluster.NAME.` for one in a cluster), and takes the function as a label. So the
//! configuration of `lambda.restore_headers` in the listener's chain defines them, and all requests use the newest
//! one. Without that filter there are no figures.

use std::sync::{PoisonError, RwLock};

use lambda_filter_core::metrics::{ErrorKind, FunctionMetrics, Metric};

use crate::abi::filter_config::{FilterConfig, StatisticId};

/// The configurations that have defined statistics, the newest last. A request uses one while it holds the lock,
/// so that Envoy cannot destroy it meanwhile.
static DEFINED: RwLock<Vec<Statistics>> = RwLock::new(Vec::new());

/// The statistics of a configuration. Envoy has them as long as there is this object.
#[derive(Debug)]
pub(crate) struct Registration(FilterConfig);

/// The metrics, with the same figures for functions with and without a qualifier under different ids.
#[derive(Debug)]
struct Statistics {
    config: FilterConfig,
    invocations: [StatisticId; 2],
    errors: [StatisticId; 2],
    encode_time: [StatisticId; 2],
    decode_time: [StatisticId; 2],
}

impl Statistics {
    fn define(config: FilterConfig) -> Option<Self> {
        let define = |metric: Metric| {
            let labels: &[&str] = match metric {
                Metric::Errors(_) => &["error", "function", "qualifier"],
                _ => &["function", "qualifier"],
            };
            let (_, without) = labels.split_last()?;
            let define = |labels| config.define(metric.name(), labels, metric.is_histogram());
            Some([define(without)?, define(labels)?])
        };
        Some(Self {
            config,
            invocations: define(Metric::Invocations)?,
            // The kind is the value of a label.
            errors: define(Metric::Errors(ErrorKind::Unhandled))?,
            encode_time: define(Metric::EncodeTime)?,
            decode_time: define(Metric::DecodeTime)?,
        })
    }

    fn record(&self, function: &FunctionMetrics, metric: Metric, amount: u64) {
        let (ids, error) = match metric {
            Metric::Invocations => (self.invocations, None),
            Metric::EncodeTime => (self.encode_time, None),
            Metric::DecodeTime => (self.decode_time, None),
            Metric::Errors(kind) => (self.errors, Some(kind.name())),
        };
        let [without, with] = ids;
        let (function, qualifier) = function.labels();
        let id = if qualifier.is_some() { with } else { without };
        match (error, qualifier) {
            (None, None) => self.config.record(id, &[function], amount),
            (None, Some(qualifier)) => self.config.record(id, &[function, qualifier], amount),
            (Some(error), None) => self.config.record(id, &[error, function], amount),
            (Some(error), Some(qualifier)) => {
                self.config
                    .record(id, &[error, function, qualifier], amount);
            }
        }
    }
}

impl Registration {
    /// Defines the statistics. It must be called while Envoy makes the configuration.
    pub(crate) fn new(config: FilterConfig) -> Self {
        match Statistics::define(config) {
            Some(statistics) => {
                let mut defined = DEFINED.write().unwrap_or_else(PoisonError::into_inner);
                defined.push(statistics);
            }
            None => log::error!("Envoy does not define the filter's statistics"),
        }
        Self(config)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut defined = DEFINED.write().unwrap_or_else(PoisonError::into_inner);
        defined.retain(|statistics| statistics.config != self.0);
    }
}

/// Adds to a counter of a function, or a value to a histogram.
pub(crate) fn record(function: &FunctionMetrics, metric: Metric, amount: u64) {
    let defined = DEFINED.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(statistics) = defined.last() {
        statistics.record(function, metric, amount);
    }
}
