//! Formatting of timestamps.

use std::num::NonZero;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

const MILLISECONDS: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: NonZero::new(3),
    })
    .encode();

/// Formats a time as in ISO 8601, in UTC and with milliseconds.
pub(crate) fn timestamp(now: SystemTime) -> String {
    // Fails only for a year of more than four digits.
    let text = OffsetDateTime::from(now).format(&Iso8601::<MILLISECONDS>);
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_timestamp_has_milliseconds_and_is_in_utc() {
        let now = UNIX_EPOCH + Duration::from_micros(1_700_000_001_001_999);
        assert_eq!(timestamp(now), "2023-11-14T22:13:21.001Z");
    }
}
