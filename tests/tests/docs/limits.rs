//! The limits in `docs/limits.md` are those of the code, of the keys' reference, and of the shipped configurations.

use std::fs;
use std::path::Path;

use regex_lite::Regex;
use xtask::workspace_root;

use super::links;

const PAGE: &str = "docs/limits.md";

/// A row of the page.
struct Row {
    /// The cell with the value.
    limit: String,
    /// The name in the cell that says where the limit is set, and the file and the heading to which it links.
    name: String,
    file: String,
    heading: String,
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(page: &str) -> Vec<Row> {
    let link = Regex::new(r"\[`([^`]+)`\]\(([^)#]+)#?([^)]*)\)").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        let source = link.captures(cells.get(2)?)?;
        Some(Row {
            limit: cells[1].to_owned(),
            name: source[1].to_owned(),
            file: source[2].to_owned(),
            heading: source[3].to_owned(),
        })
    })
    .collect()
}

/// Returns a number with its unit, in bytes or milliseconds.
fn value(text: &str) -> Option<u64> {
    let parts = Regex::new(r"^([0-9]+(?:[,_][0-9]+)*) ?([A-Za-z]*)").unwrap();
    let found = parts.captures(text.trim().trim_matches('`'))?;
    let number: u64 = found[1].replace([',', '_'], "").parse().ok()?;
    let unit = match &found[2] {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "" | "bytes" | "ms" => 1,
        _ => return None,
    };
    Some(number * unit)
}

/// Returns the value of a constant in a source: a product or a shift of numbers, or a duration.
fn constant(source: &str, name: &str) -> Option<u64> {
    let definition = Regex::new(&format!(r"const {name}: [A-Za-z0-9]+ = ([^;]+);")).unwrap();
    let expression = definition.captures(source)?[1].to_owned();
    let (expression, unit) = match expression.split_once("from_secs(") {
        Some((_, seconds)) => (seconds.trim_end_matches(')').to_owned(), 1_000),
        None => (expression, 1),
    };
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    let shifted = |text: &str| match text.split_once("<<") {
        Some((number_part, shift)) => Some(number(number_part)? << number(shift)?),
        None => number(text),
    };
    let factors = expression.split('*').map(shifted);
    factors.product::<Option<u64>>().map(|value| value * unit)
}

/// Returns the section of a page below the heading with this anchor.
fn section<'page>(page: &'page str, anchor: &str) -> &'page str {
    let mut parts = page.split("\n## ").flat_map(|part| part.split("\n### "));
    let is_it = |part: &&str| {
        let heading = part.lines().next().unwrap_or_default();
        links::anchor(heading) == anchor
    };
    parts.find(is_it).unwrap_or_default()
}

/// Returns the default in the reference of a key, or `None` if there is no such key.
fn default_of(section: &str, key: &str) -> Option<String> {
    let row = section.lines().find(|line| {
        line.starts_with(&format!("| `{key}` |")) || line.starts_with(&format!("| [`{key}`]"))
    })?;
    row.split(" | ").nth(2).map(str::to_owned)
}

/// Returns what the source of a limit says, which has to be the limit.
fn found(row: &Row) -> Option<u64> {
    let source = read(&workspace_root().join("docs").join(&row.file));
    if !row.heading.is_empty() {
        let default = default_of(section(&source, &row.heading), &row.name)?;
        return value(&default);
    }
    match row.name.split_once(": ") {
        Some((_, setting)) => source.contains(&row.name).then(|| value(setting))?,
        None => constant(&source, &row.name),
    }
}

#[test]
fn each_limit_is_what_its_source_says() {
    let rows = rows(&read(&workspace_root().join(PAGE)));
    assert!(rows.len() > 60, "only {} limits", rows.len());
    let wrong = rows.iter().filter_map(|row| {
        let (stated, found) = (value(&row.limit), found(row));
        let is_right = found == stated && found.is_some();
        (!is_right).then(|| format!("{} in {}: {stated:?}, not {found:?}", row.name, row.file))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}
