//! The comparison of an output with the one in a document.

use std::sync::LazyLock;

use regex_lite::{Regex, escape};
use xtask::workspace_root;

/// The parts that differ from run to run, and the text that stands for each.
static CHANGING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        ("\u{1b}\\[[0-9;]*m", ""),
        (
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "ID",
        ),
        (
            "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT",
            "DATE",
        ),
        ("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "TIME"),
        ("[0-9]+(\\.[0-9]+)? (ms|s|MB)\\b", "N $2"),
        ("service-time: [0-9]+", "service-time: N"),
        ("/[0-9a-f]{8} \\|", "/ENVIRONMENT |"),
    ];
    let compiled = patterns.map(|(pattern, text)| (Regex::new(pattern).expect("a pattern"), text));
    compiled.to_vec()
});

/// Returns an output without what differs from run to run.
fn normal(text: &str) -> String {
    let folder = format!("{}/", workspace_root().display());
    let text = text.replace("\r\n", "\n").replace(&folder, "");
    CHANGING.iter().fold(text, |text, (pattern, stands_for)| {
        pattern.replace_all(&text, *stands_for).into_owned()
    })
}

/// Returns whether an output is the one in a document. An expected output that is empty fits any.
pub fn matches(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (normal(expected), normal(actual));
    let expected: Vec<_> = expected.trim().lines().map(str::trim_end).collect();
    let actual: Vec<_> = actual.trim().lines().map(str::trim_end).collect();
    expected.is_empty() || fits(&expected, &actual)
}

fn fits(expected: &[&str], actual: &[&str]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (Some((&"...", rest)), _) => (0..=actual.len()).any(|skipped| {
            actual
                .get(skipped..)
                .is_some_and(|actual| fits(rest, actual))
        }),
        (Some((line, expected)), Some((found, actual))) => {
            line_fits(line, found) && fits(expected, actual)
        }
        (None, None) => true,
        _ => false,
    }
}

fn line_fits(expected: &str, actual: &str) -> bool {
    if !expected.contains("...") {
        return expected == actual;
    }
    let parts: Vec<_> = expected.split("...").map(escape).collect();
    let pattern = format!("^{}$", parts.join(".*"));
    Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(actual))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn only_what_differs_from_run_to_run_may_differ() {
        assert!(matches("", "anything"));
        assert!(matches(
            "ready in 0.2 s\n...\nend",
            "ready in 1.75 s\na\nb\nend\n"
        ));
        assert!(matches("...\nlast", "first\nlast"));
        assert!(matches(
            "id 0eae3e4c-2cab-42ad-a543-8b2ac60ff0e9",
            "id 11111111-2cab-42ad-a543-8b2ac60ff0e9"
        ));
        assert!(matches("{\"a\": ...}", "{\"a\": 1}"));
        assert!(!matches("{\"a\": ...}", "{\"b\": 1}"));
        assert!(!matches("one", "one\ntwo"));
        assert!(!matches("one\ntwo", "one"));
        assert!(!matches("HTTP/1.1 200 OK", "HTTP/1.1 500 OK"));
    }
}
