//! The check of the modules of a folder against its block.

use std::collections::BTreeSet;
use std::path::Path;

use super::block::{self, Block};
use super::imports::Import;
use super::problem::{CURE, Problem};
use super::tree::{Id, Tree};

/// Checks the modules of a folder.
pub(super) fn check(block: &Block, tree: &Tree, imports: &[Import], problems: &mut Vec<Problem>) {
    let roots = tree
        .files()
        .filter(|(_, module)| module.folder == Path::new(&block.path));
    // A library and a program can have one folder.
    let folders: Vec<Folder<'_>> = roots
        .map(|(root, _)| Folder { block, tree, root })
        .collect();
    let mut modules = BTreeSet::new();
    for folder in &folders {
        modules.insert(folder.root_name().to_owned());
        for (id, module) in tree.files() {
            let Some(name) = folder.name(id).filter(|_| id != folder.root) else {
                continue;
            };
            if block.covering(&name).is_none() {
                let file = module.file.display();
                let text = format!("no layer of `{}` has `{name}` ({file}); add it", block.path);
                problems.push(block.problem(text));
            }
            modules.insert(name);
        }
        problems.extend(imports.iter().filter_map(|import| folder.check(import)));
    }
    for name in block.names() {
        if !modules.contains(&name.text) {
            let text = format!("`{}` has no module `{}`; remove it", block.path, name.text);
            problems.push(block::problem(name.line, text));
        }
    }
}

/// A folder with a block, and its crate.
struct Folder<'a> {
    block: &'a Block,
    tree: &'a Tree,
    root: Id,
}

impl Folder<'_> {
    /// Returns the name that a block can use for the root.
    fn root_name(&self) -> &str {
        let module = self.tree.module(self.root);
        let module = module.filter(|module| module.path.is_empty());
        let stem = module.and_then(|module| module.file.file_stem());
        stem.and_then(|stem| stem.to_str()).unwrap_or("mod")
    }

    /// Returns the name of a module, or `None` if the module is not in the folder.
    fn name(&self, id: Id) -> Option<String> {
        if id == self.root {
            return Some(self.root_name().to_owned());
        }
        if !self.tree.is_within(id, self.root) {
            return None;
        }
        let depth = self.tree.module(self.root)?.path.len();
        Some(self.tree.module(id)?.path.get(depth..)?.join("/"))
    }

    fn check(&self, import: &Import) -> Option<Problem> {
        let (from, to) = (self.name(import.from)?, self.name(import.to)?);
        let (upper, lower) = (self.block.covering(&from), self.block.covering(&to));
        let file = &self.tree.module(import.from)?.file;
        let text = match (upper, lower) {
            _ if import.to == self.root && lower.is_none() => {
                let root = self.tree.module(self.root)?.file.display();
                format!(
                    "`{from}` imports from {root}, which stands above its own modules; move the item \
                     into a module, or give `{to}` a line in {}",
                    block::FILE
                )
            }
            (Some(upper), Some(lower))
                if upper.text != lower.text && upper.layer >= lower.layer =>
            {
                let place = if upper.layer > lower.layer {
                    "above"
                } else {
                    "beside"
                };
                let line = lower.line;
                format!(
                    "`{from}` imports `{to}`, which stands {place} it ({}:{line}); {CURE}",
                    block::FILE
                )
            }
            _ => return None,
        };
        Some(Problem {
            file: file.clone(),
            line: import.line,
            text,
        })
    }
}
