//! The filters in Envoy's chains.

use lambda_filter_core::config::LoadedSettings;

use crate::abi::filter_config::FilterConfig;
use crate::settings;
use crate::statistics::Registration;

/// The `filter_name` in the listener's chain. Any other name is that of the filter.
const RESTORE_HEADERS: &[u8] = b"lambda.restore_headers";

/// A filter in a chain.
#[derive(Debug)]
pub(crate) enum Plugin {
    /// In a cluster's chain: the filter.
    Exchange(LoadedSettings),
    /// In the listener's chain: puts the client's headers back after the last attempt, and has the
    /// statistics.
    RestoreHeaders { _statistics: Registration },
}

impl Plugin {
    /// Reads the `filter_config` of a filter. `None` if it is wrong, after the log has said why.
    pub(crate) fn read(config: FilterConfig, name: &[u8], text: &[u8]) -> Option<Self> {
        if name == RESTORE_HEADERS {
            let _statistics = Registration::new(config);
            return Some(Self::RestoreHeaders { _statistics });
        }
        settings::read("the filter's", text).map(Self::Exchange)
    }
}
