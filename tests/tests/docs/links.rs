//! Every link in a document leads to a file, and to a heading in it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use lambda_mesh_tests::documents::all;
use regex_lite::Regex;
use xtask::workspace_root;

/// Returns the text of a document without its blocks of code.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(workspace_root().join(path)).expect("a document");
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the anchors of a document's headings.
fn anchors(path: &Path) -> BTreeSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let text = prose(path);
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchors = headings.map(|heading| {
        let anchor = anchor(heading.trim_start_matches('#'));
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 {
            anchor
        } else {
            format!("{anchor}-{}", *count - 1)
        }
    });
    anchors.collect()
}

/// Returns the anchor of the first heading with this text, by GitHub's rule.
pub(super) fn anchor(heading: &str) -> String {
    // The text of a link, without its target.
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let text = link.replace_all(heading.trim(), "$1").to_lowercase();
    let kept = text
        .chars()
        .filter(|character| character.is_alphanumeric() || "-_ ".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// Returns a path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::Normal(name) => normal.push(name),
            _ => {}
        }
    }
    normal
}

#[test]
fn each_link_leads_to_a_file_and_a_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut mistakes = Vec::new();
    let mut count = 0;
    for path in all() {
        let text = prose(&path);
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = path.parent().unwrap_or(Path::new(""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                normal(&folder.join(file))
            };
            if !workspace_root().join(&file).exists() {
                mistakes.push(format!("{}: {target}: no such file", path.display()));
            } else if !anchor.is_empty() && !anchors(&file).contains(anchor) {
                mistakes.push(format!("{}: {target}: no such heading", path.display()));
            }
        }
    }
    assert!(count > 100, "only {count} links");
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}
