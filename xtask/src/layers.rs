//! The check `layers` of `cargo xtask ci`: modules and packages import only from the layers below
//! their own, and no imports form a circle.
//!
//! ARCHITECTURE.md lists the layers of a folder in a block, top first:
//!
//! ````text
//! ```layers sidecar-invoker/src
//! command
//! server, lrp
//! backend
//! backend/concurrency_limit
//! util
//! ```
//! ````
//!
//! - A name is the path of a module below the folder, without `.rs`. It also covers all modules below
//!   that module that have no name of their own. Every module must be covered.
//! - A module may import from the lines below its line. Modules on one line must not import each
//!   other.
//! - The root of a folder (`mod.rs`, `lib.rs`, `main.rs`, or `NAME.rs` beside the folder `NAME`) is
//!   above all of its modules: it may import from them, and they must not import from it. A line with
//!   `mod` (for a crate, `lib` or `main`) gives the root another place.
//! - A module that re-exports items of the modules below it does not import them. A path through a
//!   re-export is an import of the module that defines the item.
//! - Paths in `use`, types, expressions and macros count. Code under `#[cfg(test)]` and the files
//!   `tests.rs` and `*_tests.rs` do not.
//! - The block `layers workspace` lists packages. Dependencies of all kinds count.
//!
//! Circles are an error in every crate of the workspace, with or without a block.

mod block;
mod circles;
mod folder;
mod imports;
mod packages;
mod problem;
mod source;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::block::WORKSPACE;
use self::packages::Package;
use self::problem::Problem;
use self::tree::{Read, Tree};
use crate::{say, workspace_root};

/// Checks the workspace against the blocks of ARCHITECTURE.md.
///
/// # Errors
/// All problems, each with its file and line.
pub fn run() -> Result<()> {
    let packages = packages::all()?;
    let read = |path: &Path| fs::read_to_string(workspace_root().join(path)).ok();
    let text =
        read(Path::new(block::FILE)).with_context(|| format!("cannot read {}", block::FILE))?;
    let mut problems = BTreeSet::new();
    let summary = check(&text, &packages, &read, &mut problems);
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{} problems:\n{}", lines.len(), lines.join("\n"));
    }
    say(summary);
    Ok(())
}

/// Adds the problems of the workspace to `problems`, and returns a summary of what was checked.
fn check(
    text: &str,
    packages: &[Package],
    read: Read<'_>,
    problems: &mut BTreeSet<Problem>,
) -> String {
    let mut found = Vec::new();
    let blocks = block::parse(text, &mut found);
    if blocks.is_empty() {
        let example = "```layers FOLDER";
        found.push(block::problem(
            1,
            format!("no block is there; begin one with {example}"),
        ));
    }
    let tree = tree_of(packages, read, &mut found);
    let imports = tree.imports();
    for block in &blocks {
        if block.path == WORKSPACE {
            packages::check(block, packages, read, &mut found);
        } else {
            folder::check(block, &tree, &imports, &mut found);
        }
    }
    found.extend(circles::problems(&imports, &tree));
    problems.extend(found);
    format!(
        "{} blocks, {} files, {} imports between them",
        blocks.len(),
        tree.files().count(),
        imports.len()
    )
}

fn tree_of(packages: &[Package], read: Read<'_>, problems: &mut Vec<Problem>) -> Tree {
    let mut tree = Tree::default();
    for package in packages {
        let library = package.library.as_ref().map(|(name, file)| {
            let root = tree.add_crate(file, None, read, problems);
            (name.clone(), root)
        });
        for file in &package.programs {
            tree.add_crate(file, library.clone(), read, problems);
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::problem::CURE;
    use super::*;

    /// Checks a library with these files, in the folder `src`, by these layers.
    fn problems(text: &str, files: &[(&str, &str)]) -> Vec<String> {
        let packages = [Package::library("my-lib", "src/lib.rs")];
        let read = |path: &Path| {
            let name = path.strip_prefix("src").ok()?;
            let found = files.iter().find(|(file, _)| Path::new(file) == name)?;
            Some(found.1.to_owned())
        };
        let mut problems = BTreeSet::new();
        check(text, &packages, &read, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    fn block(layers: &str) -> String {
        format!("```layers src\n{layers}\n```\n")
    }

    const FILES: [(&str, &str); 4] = [
        (
            "lib.rs",
            "mod server;\nmod backend;\npub use server::Server;",
        ),
        (
            "server.rs",
            "pub struct Server;\nuse crate::backend::rie::Rie;",
        ),
        ("backend/mod.rs", "pub mod rie;"),
        ("backend/rie.rs", "pub struct Rie;"),
    ];

    #[test]
    fn imports_that_lead_down_pass() {
        assert_eq!(problems(&block("server\nbackend"), &FILES), [""; 0]);
        assert_eq!(
            problems(&block("lib\nserver\nbackend\nbackend/rie"), &FILES),
            [""; 0]
        );
    }

    #[test]
    fn an_import_from_above_or_beside_is_reported_with_a_remedy() {
        assert_eq!(
            problems(&block("backend\nserver"), &FILES),
            [format!(
                "src/server.rs:2: `server` imports `backend/rie`, which stands above it \
                 (ARCHITECTURE.md:2); {CURE}"
            )]
        );
        assert_eq!(
            problems(&block("backend, server"), &FILES),
            [format!(
                "src/server.rs:2: `server` imports `backend/rie`, which stands beside it \
                 (ARCHITECTURE.md:2); {CURE}"
            )]
        );
    }

    #[test]
    fn the_block_and_the_folder_have_the_same_modules() {
        assert_eq!(
            problems(&block("server\nbackend/rie\ngone"), &FILES),
            [
                "ARCHITECTURE.md:1: no layer of `src` has `backend` (src/backend/mod.rs); add it",
                "ARCHITECTURE.md:4: `src` has no module `gone`; remove it",
            ]
        );
        assert_eq!(
            problems("```layers src/gone\na\n```", &FILES),
            ["ARCHITECTURE.md:2: `src/gone` has no module `a`; remove it"]
        );
        assert_eq!(
            problems("# No block", &FILES),
            ["ARCHITECTURE.md:1: no block is there; begin one with ```layers FOLDER"]
        );
    }

    #[test]
    fn a_block_of_an_inner_folder_holds_beside_the_outer_one() {
        let files = [
            ("lib.rs", "mod local;"),
            ("local/mod.rs", "mod pool;\nmod spec;\nuse pool::Pool;"),
            ("local/pool.rs", "pub struct Pool;"),
            ("local/spec.rs", "use super::pool::Pool;"),
        ];
        let inner = "```layers src/local\npool\nspec\n```\n";
        assert_eq!(
            problems(&(block("local") + inner), &files),
            [format!(
                "src/local/spec.rs:1: `spec` imports `pool`, which stands above it \
                 (ARCHITECTURE.md:5); {CURE}"
            )]
        );
    }

    #[test]
    fn a_module_imports_from_its_root_only_if_the_root_has_a_line() {
        let files = [
            ("lib.rs", "mod a;\npub fn say() {}"),
            ("a.rs", "fn f() { crate::say() }"),
        ];
        assert_eq!(
            problems(&block("a"), &files),
            [
                "src/a.rs:1: `a` imports from src/lib.rs, which stands above its own modules; move the \
                 item into a module, or give `lib` a line in ARCHITECTURE.md"
            ]
        );
        assert_eq!(problems(&block("a\nlib"), &files), [""; 0]);
        let above = problems(&block("lib\na"), &files);
        assert!(
            above[0].contains("`a` imports `lib`, which stands above it"),
            "{above:?}"
        );
    }

    #[test]
    fn a_root_below_its_modules_imports_none_of_them() {
        let files = [
            ("lib.rs", "mod a;\npub use a::A;\nfn f() -> a::A { a::A }"),
            ("a.rs", "pub struct A;"),
        ];
        let found = problems(&block("a\nlib"), &files);
        let [problem] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(problem.starts_with("src/lib.rs:3: `lib` imports `a`, which stands above it"));
    }

    #[test]
    fn a_circle_inside_a_layer_is_named_with_its_path() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c; mod d;"),
            ("a/b.rs", "use super::c::C;\npub struct B;"),
            ("a/c.rs", "pub struct C;\nuse super::d::D;"),
            ("a/d.rs", "pub struct D;\n\nuse super::b::B;"),
        ];
        assert_eq!(
            problems(&block("a"), &files),
            [format!(
                "src/a/b.rs:1: a circle of imports: src/a/b.rs:1 → src/a/c.rs:2 → src/a/d.rs:3 → \
                 src/a/b.rs; {CURE}"
            )]
        );
    }

    #[test]
    fn a_root_and_its_child_that_import_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b;\nuse b::B;\npub struct A;"),
            ("a/b.rs", "use super::A;\npub struct B;"),
        ];
        let found = problems(&block("a"), &files);
        assert!(
            found[0].contains("src/a.rs:2 → src/a/b.rs:1 → src/a.rs;"),
            "{found:?}"
        );
    }
}
