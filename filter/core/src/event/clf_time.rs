//! Times in the Common Log Format.

use time::OffsetDateTime;

/// Returns a time such as `12/Mar/2020:19:03:58 +0000`.
pub(super) fn clf_time(time_ns: i64) -> String {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = time.month().to_string();
    format!(
        "{:02}/{}/{}:{:02}:{:02}:{:02} +0000",
        time.day(),
        month.get(..3).unwrap_or_default(),
        time.year(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}
