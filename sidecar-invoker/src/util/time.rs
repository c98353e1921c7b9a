//! Points in time as text.

use std::time::SystemTime;

use time::OffsetDateTime;

/// The time in the form of ISO 8601, in UTC, to the millisecond.
pub(crate) fn timestamp(now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second, milli) = now.time().as_hms_milli();
    let month = u8::from(month);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
