//! The index of messages, `docs/messages.md`, which comes from the code.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use xtask::workspace_root;

/// The page in front of the index.
const HEAD: &str = "# Messages

Every warning and error that the programs write while they run, in alphabetical order, each with its cause and cure. \"As it says\"
stands beside a message that names its own cure. `…` is the part that varies: search for the words around it. Mistakes in a
configuration file are in [errors.md](errors.md#mistakes-in-the-invokers-file): each names its line, its key, and what was
expected.

<!-- generated: messages -->
";

/// The cause and cure of a message that says what to do.
const SAYS_IT: &str = "As it says.";

/// A part of the page.
struct Part {
    heading: &'static str,
    /// The text below the heading, which has the cause and the cure of messages without a column for them.
    about: &'static str,
    /// The folders and files of the code, and what of them is left out.
    code: &'static [&'static str],
    has_cures: bool,
}

const PARTS: [Part; 3] = [
    Part {
        heading: "The invoker",
        about: "",
        code: &["sidecar-invoker/src", ":!sidecar-invoker/src/config/import"],
        has_cures: true,
    },
    Part {
        heading: "Templates",
        about: "These are about a template of AWS SAM or CloudFormation, and begin with its line. The invoker cannot express a part of\n\
                the template, and goes on without it. Nothing is wrong if your requests do not need that part. Otherwise give a\n\
                parameter its value with `--parameter`, or write the function or the route in an `invoker.yaml` that imports the\n\
                template; see [import.md](import.md).",
        code: &["sidecar-invoker/src/config/import"],
        has_cures: false,
    },
    Part {
        heading: "The filter",
        about: "They are in Envoy's log. Those about one call end in `(request ID)`, or in `(request ID, Lambda's ID)`; the client has\n\
                the same id in `x-request-id`, and [a status](errors.md#what-a-client-gets). Text of functions and clients is cut after\n\
                1 KB. Paths are logged without their query.",
        code: &[
            "filter/core/src",
            "filter/native/src",
            "filter/wasm/src",
            ":!filter/core/src/encoding",
        ],
        has_cures: true,
    },
];

/// The beginnings of messages in the code, as a text and as an expression for what may follow it; the text that stands in front of
/// such messages; and the end of the paths in which they count.
const BEGINNINGS: [(&str, &str, &str, &str); 9] = [
    ("#[error(", "", "", ".rs"),
    ("ServiceError::", r"\w+\((?:format!\()?", "", ".rs"),
    ("StatusCode::", r"\w+,\s*(?:format!\()?", "", ".rs"),
    ("let message = ", r"(?:format!\()?", "", ".rs"),
    (".warn(", r"[^\x22;]*", "", ".rs"),
    ("f.write_str(", "", "", "/error.rs"),
    ("write!(", r"\s*f,", "", "/error.rs"),
    ("invalid(", r"(?:format!\()?", INVALID_ANSWER, ".rs"),
    ("InvalidResponse(", r"(?:format!\()?", INVALID_ANSWER, ".rs"),
];

/// A text in Rust.
const STRING: &str = r#""((?:[^"\\]|\\(?s:.))*)""#;

static TEXT: LazyLock<Regex> = LazyLock::new(|| Regex::new(STRING).unwrap());
static LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:tracing|log)::(?:warn|error)!\(").unwrap());
static REST_AND_TEXT: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = BEGINNINGS.map(|(_, rest, _, _)| format!(r"^{rest}\s*{STRING}"));
    patterns
        .iter()
        .map(|pattern| Regex::new(pattern).unwrap())
        .collect()
});

/// The beginning of the filter's messages about a function's answer.
const INVALID_ANSWER: &str = "the function's answer is not valid: ";

/// Returns the messages in a file of Rust: texts of errors, answers that are refused, warnings, and lines of the log from `warn` on.
fn messages(path: &str, source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or(source);
    let mut found = Vec::new();
    for ((begin, _, before, end_of_path), rest) in BEGINNINGS.iter().zip(&*REST_AND_TEXT) {
        let is_elsewhere = *before == INVALID_ANSWER && !path.starts_with("filter/");
        if is_elsewhere || !path.ends_with(end_of_path) {
            continue;
        }
        let texts = code.split(begin).skip(1);
        let texts = texts.filter_map(|text| Some(rest.captures(text)?[1].to_owned()));
        let sentences = texts.filter(|text| is_sentence(text));
        found.extend(sentences.map(|text| format!("{before}{text}")));
    }
    for begin in LINE.find_iter(code) {
        let (_, rest) = code.split_at(begin.end());
        let end = rest.find(");").unwrap_or(rest.len());
        // Fields stand in front of the message, and have texts of their own only in expressions.
        let (arguments, _) = rest.split_at(end);
        let mut texts = TEXT
            .captures_iter(arguments)
            .map(|found| found[1].to_owned());
        found.extend(texts.find(|text| is_sentence(text)));
    }
    found
        .iter()
        .map(|message| readable(message))
        .filter(|message| says_something(message))
        .collect()
}

fn is_sentence(text: &str) -> bool {
    text.contains(' ') || text.starts_with('{')
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
    // The id of a request stands in parentheses.
    let text = message.split(" (request").next().unwrap_or_default();
    text.chars()
        .filter(|character| character.is_alphabetic())
        .count()
        >= 6
}

/// Returns whether a message says what to do.
fn says_what_to_do(message: &str) -> bool {
    let cure = Regex::new(
        r"(; |: )(\w+ )?(add|allow|choose|check|close|correct|declare|enable|give|have|import|install|keep|list|make|name|open|put|raise|read|remove|run|save|say|see|set|show|sign|start|stop|use|write)\b",
    );
    cure.unwrap().is_match(message)
}

/// Returns a message as code in Markdown.
fn code(message: &str) -> String {
    match message.contains('`') {
        true => format!("`` {message} ``"),
        false => format!("`{message}`"),
    }
}

/// Returns the causes and cures in the page, by the first cell.
fn cures(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter_map(|row| {
        row.strip_prefix("| ")?
            .strip_suffix(" |")?
            .split_once("` | ")
    });
    rows.map(|(message, cure)| (format!("{message}`"), cure.to_owned()))
        .collect()
}

/// Returns the messages of a part, in the order of the alphabet.
fn messages_of(part: &Part) -> Vec<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace_root())
        .args(["ls-files", "--"])
        .args(part.code);
    let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
    let files = listed
        .lines()
        .filter(|file| file.ends_with(".rs") && !file.contains("test"));
    let mut sorted: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let source = fs::read_to_string(workspace_root().join(file)).unwrap();
        for message in messages(file, &source) {
            let key = message.trim_start_matches("… ").to_lowercase();
            sorted.insert(key, message.replace('|', "\\|"));
        }
    }
    sorted.into_values().collect()
}

/// Returns the page as the code has its messages, with these causes and cures.
fn index(cures: &BTreeMap<String, String>) -> String {
    let mut page = HEAD.to_owned();
    for part in PARTS {
        page += &format!("\n## {}\n\n", part.heading);
        if !part.about.is_empty() {
            page += &format!("{}\n\n", part.about);
        }
        if part.has_cures {
            page += "| message | cause and cure |\n|---|---|\n";
        }
        for message in messages_of(&part) {
            let cell = code(&message);
            let cure = match cures.get(&cell) {
                Some(cure) => cure,
                None if says_what_to_do(&message) => SAYS_IT,
                None => "",
            };
            page += &match part.has_cures {
                true => format!("| {cell} | {cure} |\n"),
                false => format!("- {cell}\n"),
            };
        }
    }
    page + "<!-- /generated -->\n"
}

#[test]
fn every_message_stands_in_the_index_with_its_cause_and_cure() {
    let path = workspace_root().join("docs/messages.md");
    let mut found = fs::read_to_string(&path).unwrap_or_default();
    let expected = index(&cures(&found));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &expected).unwrap();
        found.clone_from(&expected);
    }
    assert!(
        found == expected,
        "docs/messages.md is not what the code says; UPDATE_EXPECT=1 cargo test -p lambda-mesh-tests --test docs writes it anew"
    );
    let rows: Vec<_> = found
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(rows.len() > 200, "only {} messages were found", rows.len());
    let open: Vec<_> = rows.iter().filter(|row| row.ends_with("` |  |")).collect();
    assert!(
        open.is_empty(),
        "write into docs/messages.md what causes these messages, and what helps:\n{open:#?}"
    );
}
