//! A filter's configuration in Envoy, which holds its statistics.
#![expect(unsafe_code, reason = "calls of foreign functions")]

use super::buffer::{Buffer, with_room};
use super::declarations as abi;
pub(crate) use super::declarations::ConfigPtr;

/// A filter's configuration in Envoy.
///
/// It is valid by the contract of [`FilterConfig::new`]: every `unsafe` block below relies on that for its first
/// argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilterConfig(ConfigPtr);

// SAFETY: Envoy's functions for the statistics of a configuration may be called in any thread.
unsafe impl Send for FilterConfig {}
// SAFETY: as above.
unsafe impl Sync for FilterConfig {}

/// The number of a counter or a histogram of a configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StatisticId {
    Counter(usize),
    Histogram(usize),
}

impl FilterConfig {
    /// Returns the configuration behind a pointer.
    ///
    /// # Safety
    /// The pointer is Envoy's, and the result is not used after the hook
    /// `envoy_dynamic_module_on_http_filter_config_destroy` of this configuration.
    pub(crate) unsafe fn new(pointer: ConfigPtr) -> Self {
        Self(pointer)
    }

    /// Defines a counter or a histogram with labels. Envoy takes it only while it makes the configuration.
    pub(crate) fn define(
        self,
        name: &str,
        labels: &[&str],
        is_histogram: bool,
    ) -> Option<StatisticId> {
        let name = Buffer::of(name.as_bytes());
        let mut id = 0;
        // Each function is named in a call: the address of one would have to be there when the module is loaded.
        let result = with_buffers(labels, |labels| {
            let (labels, count) = (labels.as_ptr(), labels.len());
            let id = &raw mut id;
            // SAFETY: Envoy copies the texts, and writes to `id`.
            unsafe {
                if is_histogram {
                    abi::envoy_dynamic_module_callback_http_filter_config_define_histogram(
                        self.0, name, labels, count, id,
                    )
                } else {
                    abi::envoy_dynamic_module_callback_http_filter_config_define_counter(
                        self.0, name, labels, count, id,
                    )
                }
            }
        });
        let id = match is_histogram {
            true => StatisticId::Histogram(id),
            false => StatisticId::Counter(id),
        };
        (result == abi::METRICS_SUCCESS).then_some(id)
    }

    /// Adds to a counter, or a value to a histogram, for these values of its labels.
    pub(crate) fn record(self, id: StatisticId, values: &[&str], amount: u64) {
        with_buffers(values, |values| {
            let (values, count) = (values.as_ptr(), values.len());
            // SAFETY: Envoy copies the texts.
            unsafe {
                match id {
                    StatisticId::Counter(id) => {
                        abi::envoy_dynamic_module_callback_http_filter_config_increment_counter(
                            self.0, id, values, count, amount,
                        )
                    }
                    StatisticId::Histogram(id) => {
                        abi::envoy_dynamic_module_callback_http_filter_config_record_histogram_value(
                            self.0, id, values, count, amount,
                        )
                    }
                }
            }
        });
    }
}

/// Calls `call` with texts as buffers.
fn with_buffers<R>(texts: &[&str], call: impl FnOnce(&[Buffer]) -> R) -> R {
    with_room::<_, 4, _>(Buffer::NULL, texts.len(), |buffers| {
        for (buffer, text) in buffers.iter_mut().zip(texts) {
            *buffer = Buffer::of(text.as_bytes());
        }
        call(buffers)
    })
}
