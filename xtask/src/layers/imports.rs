//! The imports between the modules of all crates.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Use;
use super::tree::{Id, Module, Tree};

/// The number of `use` declarations that are followed from one path. Chains of re-exports are shorter.
/// The limit ends a circle of them.
const MAX_STEPS: usize = 16;

/// An import of an item of another module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: Id,
    pub(super) to: Id,
    pub(super) line: usize,
}

/// The target of a path, and the module that contains it.
enum Found {
    Module(Id),
    /// An item, or a part of one.
    Item(Id),
}

impl Tree {
    /// Returns which file imports from which, in order, once for each pair.
    ///
    /// A re-export of an item of a module below is no import. A path through a re-export is an import
    /// of the module that defines the item. A path to a module around `from` is no import, but a path to
    /// an item of such a module is.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports: BTreeMap<(Id, Id), usize> = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate() {
            let uses = module.source.uses.iter();
            let uses = uses.map(|used| (&used.path, used.line, Some(used)));
            let mentions = module.source.mentions.iter();
            let mentions = mentions.map(|found| (&found.path, found.line, None));
            for (path, line, used) in uses.chain(mentions) {
                let to = match self.find(id, path, MAX_STEPS) {
                    Some(Found::Item(to)) => to,
                    Some(Found::Module(to)) => {
                        let all = used.is_some_and(|used| used.name.is_none());
                        if self.is_within(id, to) && !all {
                            continue;
                        }
                        to
                    }
                    None => continue,
                };
                let exported = used.is_some_and(|used| used.exported);
                let re_exports = exported && self.is_within(to, id);
                let home = |id| self.module(id).map(|module| module.home);
                if let (Some(from), Some(to), false) = (home(id), home(to), re_exports)
                    && from != to
                {
                    imports.entry((from, to)).or_insert(line);
                }
            }
        }
        let imports = imports.into_iter();
        imports
            .map(|((from, to), line)| Import { from, to, line })
            .collect()
    }

    /// Returns the target of a path in the module `from`, or `None` if it belongs to another crate.
    fn find(&self, from: Id, path: &[String], steps: usize) -> Option<Found> {
        let steps = steps.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        let root = self.module(from)?.root;
        match first.as_str() {
            "crate" => self.walk(root, rest, steps),
            "self" => self.walk(from, rest, steps),
            "super" => self.walk(from, path, steps),
            name if self.knows(from, name, steps) => self.walk(from, path, steps),
            name => {
                let (library, root) = self.libraries.get(&root)?;
                (library == name).then(|| self.walk(*root, rest, steps))?
            }
        }
    }

    fn walk(&self, mut id: Id, mut path: &[String], steps: usize) -> Option<Found> {
        while let Some((name, rest)) = path.split_first() {
            let module = self.module(id)?;
            if name == "super" {
                id = module.parent?;
            } else if let Some(child) = module.children.get(name) {
                id = *child;
            } else if module.source.items.contains(name) {
                return Some(Found::Item(id));
            } else if let Some(used) = module.used(name) {
                match self.find(id, &used.path, steps) {
                    Some(Found::Module(module)) => id = module,
                    Some(item) => return Some(item),
                    None => return Some(Found::Item(id)),
                }
            } else {
                let globs = self.globs(id, steps);
                return match globs
                    .into_iter()
                    .find(|glob| self.knows(*glob, name, steps))
                {
                    Some(glob) => self.walk(glob, path, steps.checked_sub(1)?),
                    // A macro has made it, or it is of another crate.
                    None => Some(Found::Item(id)),
                };
            }
            path = rest;
        }
        Some(Found::Module(id))
    }

    /// Returns whether a path in this module can begin with this name.
    fn knows(&self, id: Id, name: &str, steps: usize) -> bool {
        let Some(steps) = steps.checked_sub(1) else {
            return false;
        };
        let Some(module) = self.module(id) else {
            return false;
        };
        module.children.contains_key(name)
            || module.source.items.contains(name)
            || module.used(name).is_some()
            || self
                .globs(id, steps)
                .into_iter()
                .any(|glob| self.knows(glob, name, steps))
    }

    /// Returns the modules of which this one imports all.
    fn globs(&self, id: Id, steps: usize) -> BTreeSet<Id> {
        let uses = self
            .module(id)
            .into_iter()
            .flat_map(|module| &module.source.uses);
        let globs = uses.filter(|used| used.name.is_none());
        let found = globs.filter_map(|used| match self.find(id, &used.path, steps)? {
            Found::Module(module) if module != id => Some(module),
            _ => None,
        });
        found.collect()
    }
}

impl Module {
    fn used(&self, name: &str) -> Option<&Use> {
        let mut uses = self.source.uses.iter();
        uses.find(|used| used.name.as_deref() == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The imports of a crate of these files, as `FROM:LINE TO`.
    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        };
        let mut tree = Tree::default();
        let mut problems = Vec::new();
        tree.add_crate(Path::new(files[0].0), None, &read, &mut problems);
        assert_eq!(problems, []);
        let name = |id| tree.module(id).unwrap().file.display().to_string();
        let imports = tree.imports();
        let texts = imports
            .iter()
            .map(|import| format!("{}:{} {}", name(import.from), import.line, name(import.to)));
        texts.collect()
    }

    #[test]
    fn each_way_to_name_a_module_is_an_import() {
        let target = (
            "b.rs",
            "pub struct B; pub fn f() {} pub mod inner { pub struct I; }",
        );
        for text in [
            "use crate::b;",
            "use crate::b::B;",
            "use crate::b::{inner::I as J};",
            "use crate::b::*;",
            "use super::b::B;",
            "use super::{b};",
            "fn f() { crate::b::f() }",
            "fn f(x: super::b::B) {}",
            "fn f() { println!(\"{}\", crate::b::f()) }",
            "fn f() { use super::b; b::f() }",
            "mod deep { type T = super::super::b::B; }",
        ] {
            let files = [("lib.rs", "mod a; mod b;"), ("a.rs", text), target];
            assert_eq!(imports(&files), ["a.rs:1 b.rs"], "{text}");
        }
    }

    #[test]
    fn an_item_of_the_root_is_imported_from_the_root() {
        for text in ["use crate::f;", "use super::*;", "fn g() { super::f() }"] {
            let files = [("lib.rs", "mod a;\nfn f() {}"), ("a.rs", text)];
            assert_eq!(imports(&files), ["a.rs:1 lib.rs"], "{text}");
        }
    }

    #[test]
    fn tests_and_other_crates_are_not_imports() {
        let text = "use std::fmt; use serde::b::B; use ::b::B; pub(super) fn f() { self::g() }\n\
                    #[cfg(test)] mod t { use crate::b::B; } mod tests;";
        let tests = ("a/tests.rs", "use crate::b::B;");
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", text),
            ("b.rs", ""),
            tests,
        ];
        assert_eq!(imports(&files), [""; 0]);
    }

    #[test]
    fn a_re_export_leads_to_the_module_that_defines_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::Shown;"),
            ("a.rs", "use crate::Shown;\nuse crate::b::inner::All;"),
            (
                "b/mod.rs",
                "pub mod inner;\npub(crate) use inner::Hidden as Shown;",
            ),
            (
                "b/inner.rs",
                "pub struct Hidden; pub use self::more::*; mod more;",
            ),
            ("b/inner/more.rs", "pub struct All;"),
        ];
        assert_eq!(
            imports(&files),
            ["a.rs:1 b/inner.rs", "a.rs:2 b/inner/more.rs"]
        );
    }

    #[test]
    fn a_root_that_uses_its_child_imports_it() {
        let files = [
            ("lib.rs", "mod a;\nuse a::A;\nfn f(_: A) {}"),
            ("a.rs", "pub struct A;"),
        ];
        assert_eq!(imports(&files), ["lib.rs:2 a.rs"]);
    }

    #[test]
    fn a_re_export_of_a_neighbour_is_an_import() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use crate::b::B;"),
            ("b.rs", "pub struct B;"),
        ];
        assert_eq!(imports(&files), ["a.rs:1 b.rs"]);
    }

    #[test]
    fn a_circle_of_re_exports_does_not_loop_forever() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use super::b::X; pub use super::b::*;"),
            ("b.rs", "pub use super::a::X; pub use super::a::*;"),
        ];
        assert_eq!(imports(&files).len(), 2);
    }

    #[test]
    fn a_program_imports_from_the_library_of_its_package() {
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "lib.rs" => "pub mod a;",
                "main.rs" => "use my_lib::a::f;\nfn main() { other::a::f() }",
                "a.rs" => "pub fn f() {}",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let mut tree = Tree::default();
        let mut problems = Vec::new();
        let library = tree.add_crate(Path::new("lib.rs"), None, &read, &mut problems);
        let library = Some(("my_lib".to_owned(), library));
        let program = tree.add_crate(Path::new("main.rs"), library, &read, &mut problems);
        let imports = tree.imports();
        let [import] = imports[..] else {
            panic!("{imports:?}")
        };
        assert_eq!((import.from, import.line), (program, 1));
        assert_eq!(tree.module(import.to).unwrap().path, ["a"]);
    }
}
