//! `cargo xtask docs` makes a site of the documents, with mdBook, in `target/book/html`.
//!
//! The documents keep their places, so that their links hold on the site as they do in the repository. Files that they
//! link to are copied beside them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::{build, run, say, target_dir, workspace_root};

const MDBOOK: &str = "0.5.4";

/// The pages in their order: the title of a part, and its pages with their titles.
const CONTENTS: [(&str, &[(&str, &str)]); 6] = [
    (
        "Begin",
        &[
            ("README.md", "lambda-mesh"),
            ("docs/getting-started.md", "Getting started"),
            ("docs/up.md", "Running a project: up"),
            ("docs/console.md", "The console"),
            ("docs/invoke.md", "Invoking a function"),
            ("docs/local-functions.md", "Local functions"),
            ("docs/import.md", "SAM and CloudFormation templates"),
            ("docs/how-to.md", "How to"),
            ("docs/migrate.md", "Moving from another tool"),
            ("docs/lrp.md", "Moving from the Lambda Reverse Proxy"),
        ],
    ),
    (
        "Stories",
        &[
            ("examples/private-api/README.md", "A private API"),
            (
                "docs/stories/private-api.md",
                "A private API: access and names",
            ),
            ("examples/serverless-lamp/README.md", "A website in PHP"),
            (
                "examples/private-microservice/README.md",
                "A private microservice",
            ),
            (
                "docs/stories/private-microservice.md",
                "A private microservice: accounts",
            ),
            ("examples/custom-runtime/README.md", "A custom runtime"),
            (
                "examples/lambda-reverse-proxy/README.md",
                "The Lambda Reverse Proxy",
            ),
        ],
    ),
    (
        "Reference",
        &[
            ("docs/filter.md", "The filter"),
            ("docs/formats.md", "Event formats"),
            ("docs/invoker.md", "The invoker"),
            ("docs/envoy-config.md", "Envoy configurations from routes"),
            ("docs/errors.md", "Errors"),
            ("docs/messages.md", "Messages"),
            ("docs/limits.md", "Limits"),
            ("docs/differences.md", "Differences from AWS"),
            ("docs/glossary.md", "Glossary"),
        ],
    ),
    (
        "Production",
        &[
            ("docs/operations.md", "Operations"),
            ("envoy/README.md", "Configurations of Envoy"),
            ("envoy/kubernetes/README.md", "Kubernetes"),
            ("envoy/istio/README.md", "Istio"),
            ("envoy/envoy-gateway/README.md", "Envoy Gateway"),
            ("examples/monitoring/README.md", "Monitoring"),
            ("SECURITY.md", "Security"),
        ],
    ),
    (
        "Evidence",
        &[
            ("docs/performance.md", "Performance"),
            ("docs/compatibility.md", "Compatibility"),
            ("docs/peers.md", "Peers"),
        ],
    ),
    (
        "The project",
        &[
            ("ARCHITECTURE.md", "Architecture"),
            ("CONTRIBUTING.md", "Contributing"),
            ("CHANGELOG.md", "Changelog"),
        ],
    ),
];

/// Folders whose documents are about the tests, and no part of the site.
const LEFT_OUT: [&str; 1] = ["tests"];

/// Makes the site, and checks every link in it.
///
/// # Errors
/// A document has no place in the site, mdBook cannot be built or fails, or a link leads nowhere.
pub fn run() -> Result<()> {
    let folder = target_dir().join("book");
    // A page that was removed must not stay.
    let _ = fs::remove_dir_all(&folder);
    let source = folder.join("src");
    let pages = pages()?;
    let mut copied: BTreeSet<PathBuf> = BTreeSet::new();
    for page in &pages {
        let text = read(&workspace_root().join(page))?;
        for link in links(&text) {
            let target = resolve(page, link);
            let path = workspace_root().join(&target);
            if path.is_dir() {
                copied.insert(target.join(LISTING));
            } else if path.is_file() {
                copied.insert(target);
            }
        }
        write(&source.join(page), &with_listings(page, &text))?;
    }
    for file in copied.iter().filter(|file| !pages.contains(*file)) {
        match file.parent().filter(|_| file.ends_with(LISTING)) {
            Some(folder) => write(&source.join(file), &listing(folder)?)?,
            None => {
                let content = fs::read(workspace_root().join(file))?;
                let copy = source.join(file);
                fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
                fs::write(&copy, content)?;
            }
        }
    }
    let listings = copied.iter().filter(|file| file.ends_with(LISTING));
    write(&source.join("SUMMARY.md"), &summary(listings))?;
    write(&folder.join("book.toml"), BOOK)?;
    run::shown(Command::new(mdbook()?).arg("build").arg(&folder), "mdbook")?;
    let html = folder.join("html");
    let count = check(&html)?;
    say(format_args!(
        "{} has {} pages, and {count} links that lead somewhere",
        crate::display(&html),
        pages.len()
    ));
    Ok(())
}

/// The settings of mdBook.
const BOOK: &str = r#"[book]
title = "lambda-mesh"
language = "en"
src = "src"

[build]
build-dir = "html"
# The default would name README.html another way than the links do.
use-default-preprocessors = false

[output.html]
default-theme = "light"
preferred-dark-theme = "navy"
smart-punctuation = false
"#;

/// The page that stands for a folder.
const LISTING: &str = "files.md";

/// Returns the paths of all pages, in their order.
fn pages() -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(workspace_root()).args(["ls-files", "*.md"]);
    let listed = run::captured(&mut git)?;
    let pages = CONTENTS.iter().flat_map(|(_, pages)| *pages);
    let pages: Vec<_> = pages.map(|(path, _)| PathBuf::from(path)).collect();
    let is_left_out = |path: &Path| LEFT_OUT.iter().any(|folder| path.starts_with(folder));
    let missing = listed
        .lines()
        .map(Path::new)
        .find(|path| !is_left_out(path) && !pages.contains(&path.to_path_buf()));
    if let Some(path) = missing {
        bail!(
            "{} has no place in the site; add it to CONTENTS in xtask/src/docs.rs",
            path.display()
        );
    }
    Ok(pages)
}

/// Returns the program of mdBook. The first call compiles it.
fn mdbook() -> Result<PathBuf> {
    let folder = target_dir().join(format!("tools/mdbook-{MDBOOK}"));
    let program = folder.join("bin/mdbook");
    if run::is_executable(&program) {
        return Ok(program);
    }
    let _lock = Lock::acquire("mdbook")?;
    if !run::is_executable(&program) {
        say(format_args!(
            "compiling mdBook {MDBOOK}, which takes minutes"
        ));
        let mut install = build::cargo();
        install.args([
            "install",
            "mdbook",
            "--version",
            MDBOOK,
            "--locked",
            "--quiet",
        ]);
        install.args(["--no-default-features", "--features", "search", "--root"]);
        run::shown(install.arg(&folder), "cargo install mdbook")?;
    }
    Ok(program)
}

fn summary<'p>(listings: impl Iterator<Item = &'p PathBuf>) -> String {
    let mut text = "# Summary\n".to_owned();
    // Writing to a string does not fail.
    for (title, pages) in CONTENTS {
        let _ = writeln!(text, "\n# {title}\n");
        for (path, title) in pages {
            let _ = writeln!(text, "- [{title}]({path})");
        }
    }
    let _ = writeln!(text, "\n# Files\n");
    for listing in listings {
        let folder = listing.parent().unwrap_or(listing);
        let _ = writeln!(text, "- [{}]({})", folder.display(), listing.display());
    }
    text
}

/// Returns a page with the files of a folder.
fn listing(folder: &Path) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace_root())
        .args(["ls-files"])
        .arg(folder);
    let mut text = format!("# {}\n\n", folder.display());
    for file in run::captured(&mut git)?.lines() {
        let _ = writeln!(text, "- `{file}`");
    }
    Ok(text)
}

/// Returns a page whose links to folders lead to their listings.
fn with_listings(page: &Path, text: &str) -> String {
    let mut result = text.to_owned();
    for link in links(text) {
        let target = workspace_root().join(resolve(page, link));
        if target.is_dir() {
            let listing = format!("]({}/{LISTING})", link.trim_end_matches('/'));
            result = result.replace(&format!("]({link})"), &listing);
        }
    }
    result
}

/// Returns the targets of a document's links to other files.
fn links(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|rest| rest.split(')').next());
    let is_file = |target: &&str| {
        !target.is_empty()
            && !target.contains("://")
            && !target.contains(' ')
            && !target.starts_with('#')
    };
    targets.filter(is_file).collect()
}

/// Returns the path of a link's file, relative to the workspace.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let file = link.split('#').next().unwrap_or(link);
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => _ = path.pop(),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// Checks the links of all pages, and returns their number.
fn check(html: &Path) -> Result<usize> {
    let mut count = 0;
    let mut folders = vec![html.to_owned()];
    let mut mistakes = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // These two hold all pages, or none, without their places.
            if !name.ends_with(".html") || ["print.html", "404.html"].contains(&&*name) {
                continue;
            }
            let text = read(&path)?;
            let text = text.split("<main>").nth(1).unwrap_or_default();
            for link in text.split(" href=\"").skip(1) {
                let target = link.split('"').next().unwrap_or_default();
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                count += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = match file {
                    "" => path.clone(),
                    file => folder.join(file),
                };
                let is_there = file.exists()
                    && (anchor.is_empty() || read(&file)?.contains(&format!(" id=\"{anchor}\"")));
                if !is_there {
                    mistakes.push(format!("{}: {target}", crate::display(&path)));
                }
            }
        }
    }
    match mistakes.is_empty() {
        true => Ok(count),
        false => bail!("these links lead nowhere:\n{}", mistakes.join("\n")),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", crate::display(path)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", crate::display(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_has_a_place() {
        let pages = pages().unwrap();
        assert!(
            pages
                .iter()
                .all(|page| workspace_root().join(page).exists())
        );
    }
}
