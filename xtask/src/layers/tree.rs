//! The modules of all crates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use super::source::{Child, Source};

/// Returns the text of a file, by its path relative to the workspace.
pub(super) type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// A module, by its place in the tree.
pub(super) type Id = usize;

/// The modules of all crates.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) modules: Vec<Module>,
    /// The library that this crate can name, as a program can name the library of its package.
    pub(super) libraries: BTreeMap<Id, (String, Id)>,
}

pub(super) struct Module {
    /// The names of the modules around it, and its own name. Empty for the root of a crate.
    pub(super) path: Vec<String>,
    /// Relative to the workspace.
    pub(super) file: PathBuf,
    /// The folder with the files of its children.
    pub(super) folder: PathBuf,
    pub(super) parent: Option<Id>,
    /// The module of its file: the module itself or a module around it.
    pub(super) home: Id,
    pub(super) root: Id,
    pub(super) children: BTreeMap<String, Id>,
    pub(super) source: Source,
}

impl Tree {
    /// Reads the crate with this root file, and returns its root.
    pub(super) fn add_crate(
        &mut self,
        file: &Path,
        library: Option<(String, Id)>,
        read: Read<'_>,
        problems: &mut Vec<Problem>,
    ) -> Id {
        let root = self.modules.len();
        let folder = file.parent().unwrap_or(file).to_owned();
        self.libraries
            .extend(library.map(|library| (root, library)));
        let module = Module {
            path: Vec::new(),
            file: file.to_owned(),
            folder,
            parent: None,
            home: root,
            root,
            children: BTreeMap::new(),
            source: Source::default(),
        };
        self.add(module, parse(file, read, problems), read, problems)
    }

    fn add(
        &mut self,
        module: Module,
        mut source: Source,
        read: Read<'_>,
        problems: &mut Vec<Problem>,
    ) -> Id {
        let id = self.modules.len();
        let children = std::mem::take(&mut source.modules);
        self.modules.push(Module { source, ..module });
        for child in children {
            self.add_child(id, child, read, problems);
        }
        id
    }

    fn add_child(&mut self, parent: Id, child: Child, read: Read<'_>, problems: &mut Vec<Problem>) {
        let id = self.modules.len();
        let Some(around) = self.modules.get(parent) else {
            return;
        };
        let mut module = Module {
            path: [&around.path[..], std::slice::from_ref(&child.name)].concat(),
            file: around.file.clone(),
            folder: around.folder.join(&child.name),
            parent: Some(parent),
            home: around.home,
            root: around.root,
            children: BTreeMap::new(),
            source: Source::default(),
        };
        let source = if let Some(inline) = child.inline {
            inline
        } else {
            if is_test(&child.name) {
                return;
            }
            let beside = around.folder.join(format!("{}.rs", child.name));
            let candidates = match &child.path {
                Some(path) => vec![around.file.with_file_name(path)],
                None => vec![beside, module.folder.join("mod.rs")],
            };
            let Some(file) = candidates.iter().find(|file| read(file).is_some()) else {
                let text = format!("the file of `mod {}` is not there", child.name);
                let file = around.file.clone();
                problems.push(Problem {
                    file,
                    line: 1,
                    text,
                });
                return;
            };
            if child.path.is_some() {
                module.folder = file.parent().unwrap_or(file).to_owned();
            }
            module.file.clone_from(file);
            module.home = id;
            parse(file, read, problems)
        };
        self.add(module, source, read, problems);
        if let Some(around) = self.modules.get_mut(parent) {
            around.children.insert(child.name, id);
        }
    }

    pub(super) fn module(&self, id: Id) -> Option<&Module> {
        self.modules.get(id)
    }

    /// Returns the modules that have a file of their own.
    pub(super) fn files(&self) -> impl Iterator<Item = (Id, &Module)> {
        let modules = self.modules.iter().enumerate();
        modules.filter(|(id, module)| module.home == *id)
    }

    /// Returns whether a module is another one or below it.
    pub(super) fn is_within(&self, module: Id, other: Id) -> bool {
        let mut around = Some(module);
        while let Some(id) = around {
            if id == other {
                return true;
            }
            around = self.module(id).and_then(|module| module.parent);
        }
        false
    }
}

fn parse(file: &Path, read: Read<'_>, problems: &mut Vec<Problem>) -> Source {
    let text = read(file).unwrap_or_default();
    Source::parse(&text).unwrap_or_else(|error| {
        problems.push(Problem {
            file: file.to_owned(),
            line: error.span().start().line,
            text: format!("cannot be parsed: {error}"),
        });
        Source::default()
    })
}

/// Returns whether a file of this module has tests alone.
fn is_test(name: &str) -> bool {
    name == "tests" || name.ends_with("_tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_not_rust_is_a_problem() {
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "lib.rs" => "mod gone; mod broken;",
                "broken.rs" => "\nfn (",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let mut problems = Vec::new();
        Tree::default().add_crate(Path::new("lib.rs"), None, &read, &mut problems);
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "lib.rs:1: the file of `mod gone` is not there");
        assert!(
            texts[1].starts_with("broken.rs:2: cannot be parsed: "),
            "{texts:?}"
        );
    }
}
