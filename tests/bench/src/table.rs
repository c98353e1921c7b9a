//! Tables and figures in Markdown.

use std::fmt::Write;

use crate::stats::{Interval, Summary};

/// Appends a section, unless it has no text, or only a table without rows.
pub(crate) fn section(out: &mut String, title: &str, text: &str) {
    // A table without rows has two lines.
    if text.lines().count() > 2 || !text.starts_with('|') && !text.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n## {title}\n\n{text}");
    }
}

/// Returns a table.
pub(crate) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!(
        "| {} |\n|{}|\n",
        header.join(" | "),
        vec!["---"; header.len()].join("|")
    );
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

/// Returns a figure without decimals.
pub(crate) fn figure(summary: &Summary) -> String {
    format!("{:.0} ± {:.0} %", summary.median, summary.spread_percent())
}

/// Returns a figure with a decimal.
pub(crate) fn precise(summary: &Summary) -> String {
    format!("{:.1} ± {:.0} %", summary.median, summary.spread_percent())
}

/// Returns MiB.
pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

/// Returns an interval with this number of decimals, or a dash if there is none.
pub(crate) fn interval(interval: Option<&Interval>, decimals: usize) -> String {
    interval.map_or("–".to_owned(), |Interval { median, low, high }| {
        format!("{median:.decimals$} ({low:.decimals$} to {high:.decimals$})")
    })
}
