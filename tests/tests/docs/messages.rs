//! The index of messages, `docs/messages.md`, which comes from the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex_lite::{Captures, Regex};
use xtask::workspace_root;

/// The page in front of the index.
const HEAD: &str = "# Messages

The warnings and errors that the programs write, in the order of the alphabet. `…` stands for what differs from case to case. A
message says what to do where that is not plain; [errors.md](errors.md) has what clients see, and causes that need more
than a line. Mistakes in a configuration file are not listed: each names its line, its key, and what was expected.

<!-- generated: messages -->
";

/// The parts of the project, with the folders of their code.
const PARTS: [(&str, &[&str]); 2] = [
    ("The invoker", &["sidecar-invoker/src"]),
    (
        "The filter",
        &[
            "filter/core/src",
            "filter/native/src",
            "filter/wasm/src",
            "lambda-api/src",
        ],
    ),
];

/// Returns the messages in a file of Rust: texts of `#[error]`, and lines of the log from `warn` on.
fn messages(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or(source);
    let string = r#""((?:[^"\\]|\\(?s:.))*)""#;
    let error = Regex::new(&format!(r"#\[error\(\s*{string}")).unwrap();
    let line = Regex::new(r"tracing::(?:warn|error)!\(").unwrap();
    let text = Regex::new(string).unwrap();
    let mut found: Vec<String> = error
        .captures_iter(code)
        .map(|found| found[1].to_owned())
        .collect();
    for begin in line.find_iter(code) {
        let (_, rest) = code.split_at(begin.end());
        let end = rest.find(");").unwrap_or(rest.len());
        // Fields stand in front of the message, and have texts of their own only in expressions.
        let (arguments, _) = rest.split_at(end);
        let mut texts = text
            .captures_iter(arguments)
            .map(|found| found[1].to_owned());
        found.extend(texts.find(|text| text.contains(' ') || text.starts_with('{')));
    }
    found
        .iter()
        .map(|message| readable(message))
        .filter(|message| says_something(message))
        .collect()
}

/// Returns a message as a reader sees it.
fn readable(message: &str) -> String {
    let continued = Regex::new(r"\\\n\s*")
        .unwrap()
        .replace_all(message, "")
        .into_owned();
    let unescaped = continued
        .replace("\\\"", "\"")
        .replace("\\n", " ")
        .replace("\\\\", "\\");
    let (open, close) = ("\u{1}", "\u{2}");
    let braces = unescaped.replace("{{", open).replace("}}", close);
    let placeholder = Regex::new(r"\{[^{}]*\}").unwrap();
    let filled = placeholder.replace_all(&braces, |found: &Captures<'_>| {
        // The number of lines that were left out is at the end of a message, if at all.
        if &found[0] == "{left_out}" { "" } else { "…" }
    });
    filled
        .replace(open, "{")
        .replace(close, "}")
        .trim()
        .to_owned()
}

fn says_something(message: &str) -> bool {
    message
        .chars()
        .filter(|character| character.is_alphabetic())
        .count()
        >= 6
}

fn index() -> String {
    let mut page = HEAD.to_owned();
    for (part, folders) in PARTS {
        let mut sorted: BTreeMap<String, String> = BTreeMap::new();
        for folder in folders {
            let mut git = Command::new("git");
            git.current_dir(workspace_root()).args(["ls-files", folder]);
            let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
            let files = listed
                .lines()
                .filter(|file| file.ends_with(".rs") && !file.contains("test"));
            for file in files {
                let source = fs::read_to_string(workspace_root().join(file)).unwrap();
                let found = messages(&source);
                sorted.extend(
                    found
                        .into_iter()
                        .map(|message| (message.trim_start_matches("… ").to_lowercase(), message)),
                );
            }
        }
        page += &format!("\n## {part}\n\n");
        for message in sorted.values() {
            page += &format!("- `{}`\n", message.replace('`', "'"));
        }
    }
    page + "<!-- /generated -->\n"
}

#[test]
fn every_message_stands_in_the_index() {
    let path = workspace_root().join("docs/messages.md");
    let expected = index();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let count = expected
        .lines()
        .filter(|line| line.starts_with("- "))
        .count();
    assert!(count > 150, "only {count} messages were found");
    assert!(
        found == expected,
        "{} is not what the code says; UPDATE_EXPECT=1 cargo test -p lambda-mesh-tests --test docs writes it anew",
        Path::new("docs/messages.md").display()
    );
}
