//! The facts about a source file that the check needs: the items that it defines, the names that it
//! imports, and the paths that it mentions.

use std::collections::BTreeSet;

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// The segments of a path, as written: `crate`, `super`, `wasm`, `Toolchain`.
pub(super) type Path = Vec<String>;

/// The content of a module, without code that is compiled only for tests.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The names of the module's own items.
    pub(super) items: BTreeSet<String>,
    pub(super) uses: Vec<Use>,
    /// The paths of two or more segments outside `use`.
    pub(super) mentions: Vec<Mention>,
    pub(super) modules: Vec<Child>,
}

/// A name that a `use` declaration imports, or all names of a module.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) path: Path,
    /// `None` for `*`.
    pub(super) name: Option<String>,
    /// Other modules can import the name from here.
    pub(super) exported: bool,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) struct Mention {
    pub(super) path: Path,
    pub(super) line: usize,
}

/// A declaration of a module.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) name: String,
    /// The value of `#[path = "..."]`.
    pub(super) path: Option<String>,
    /// The content, unless it is in a file of its own.
    pub(super) inline: Option<Source>,
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// The text is not Rust.
    pub(super) fn parse(text: &str) -> syn::Result<Self> {
        Ok(Self::of(&syn::parse_file(text)?.items))
    }

    fn of(items: &[Item]) -> Self {
        let mut collector = Collector::default();
        for item in items {
            collector.visit_item(item);
        }
        collector.source
    }
}

#[derive(Default)]
struct Collector {
    source: Source,
    /// The number of blocks around the item. An item in a function does not belong to the module.
    blocks: usize,
}

impl Collector {
    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], exported: bool) {
        let (name, last, ident) = match tree {
            UseTree::Path(tree) => {
                let prefix = [prefix, &[text(&tree.ident)]].concat();
                return self.use_tree(&tree.tree, &prefix, exported);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, exported);
                }
                return;
            }
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans.first();
                self.source.uses.push(Use {
                    path: prefix.to_vec(),
                    name: None,
                    exported,
                    line: line.map_or(0, |span| span.start().line),
                });
                return;
            }
            UseTree::Name(tree) => (text(&tree.ident), text(&tree.ident), &tree.ident),
            UseTree::Rename(tree) => (text(&tree.rename), text(&tree.ident), &tree.ident),
        };
        let mut path = prefix.to_vec();
        let mut name = name;
        if last != "self" || prefix.is_empty() {
            path.push(last);
        } else if name == "self" {
            // `use a::b::{self}` brings in `b`.
            name = prefix.last().cloned().unwrap_or_default();
        }
        self.source.uses.push(Use {
            path,
            name: Some(name),
            exported,
            line: ident.span().start().line,
        });
    }

    fn mention(&mut self, path: Path, line: usize) {
        if path.len() > 1 {
            self.source.mentions.push(Mention { path, line });
        }
    }

    /// Finds the paths in the tokens of a macro, which are not parsed.
    fn tokens(&mut self, tokens: &TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let mut rest = &tokens[..];
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match first {
                TokenTree::Group(group) => self.tokens(&group.stream()),
                TokenTree::Ident(ident) => {
                    let mut path = vec![text(ident)];
                    while let [
                        TokenTree::Punct(colon),
                        TokenTree::Punct(second),
                        TokenTree::Ident(segment),
                        after @ ..,
                    ] = rest
                        && colon.as_char() == ':'
                        && colon.spacing() == Spacing::Joint
                        && second.as_char() == ':'
                    {
                        path.push(text(segment));
                        rest = after;
                    }
                    self.mention(path, ident.span().start().line);
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = parts(item);
        if attributes.iter().any(is_cfg_test) {
            return;
        }
        if let Some(name) = name
            && self.blocks == 0
        {
            self.source.items.insert(name);
        }
        match item {
            Item::Use(item) if item.leading_colon.is_none() => {
                let exported = !matches!(item.vis, Visibility::Inherited);
                self.use_tree(&item.tree, &[], exported);
            }
            Item::Mod(module) => self.source.modules.push(Child {
                name: text(&module.ident),
                path: module.attrs.iter().find_map(path_attribute),
                inline: module.content.as_ref().map(|(_, items)| Source::of(items)),
            }),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !attributes.iter().any(is_cfg_test) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.blocks += 1;
        visit::visit_block(self, block);
        self.blocks -= 1;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let (true, Some(first)) = (path.leading_colon.is_none(), path.segments.first()) {
            let segments = path.segments.iter().map(|segment| text(&segment.ident));
            self.mention(segments.collect(), first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.visit_path(&invocation.path);
        self.tokens(&invocation.tokens);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    // `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn text(ident: &proc_macro2::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

/// Returns an item's attributes, and the name under which its module has it.
fn parts(item: &Item) -> (&[Attribute], Option<String>) {
    let (attributes, name) = match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => return (&[], None),
    };
    (attributes, name.map(text))
}

/// Returns whether the attribute keeps its item out of every build but that of the tests.
fn is_cfg_test(attribute: &Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && needs_test(list.tokens.clone())
}

/// Returns whether the condition holds only if `test` does: `test`, `all(unix, test)`.
fn needs_test(condition: TokenStream) -> bool {
    let mut tokens = condition.into_iter();
    while let Some(token) = tokens.next() {
        if let TokenTree::Ident(ident) = token {
            if ident == "test" {
                return true;
            }
            let inner = match tokens.next() {
                Some(TokenTree::Group(group)) => group.stream(),
                _ => continue,
            };
            if ident == "all" && needs_test(inner) {
                return true;
            }
        }
    }
    false
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(path),
            ..
        }) if pair.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(text: &str) -> Vec<(String, usize)> {
        let source = Source::parse(text).unwrap();
        let mentions = source.mentions.into_iter();
        mentions
            .map(|found| (found.path.join("::"), found.line))
            .collect()
    }

    #[test]
    fn every_form_of_use_gives_its_names() {
        let source = Source::parse(
            "use crate::a::{self, b::C, d as e, f::*};\npub(crate) use super::g;\nuse ::other::h;\n\
             fn inner() { use self::i; }",
        );
        let uses = source.unwrap().uses;
        let found: Vec<_> = uses
            .iter()
            .map(|found| {
                let name = found.name.as_deref().unwrap_or("*");
                (found.path.join("::"), name, found.exported, found.line)
            })
            .collect();
        let use_of = |path: &str, name, exported, line| (path.to_owned(), name, exported, line);
        assert_eq!(
            found,
            [
                use_of("crate::a", "a", false, 1),
                use_of("crate::a::b::C", "C", false, 1),
                use_of("crate::a::d", "e", false, 1),
                use_of("crate::a::f", "*", false, 1),
                use_of("super::g", "g", true, 2),
                use_of("self::i", "i", false, 4),
            ]
        );
    }

    #[test]
    fn paths_are_found_in_types_expressions_and_macros() {
        let text = "struct S(crate::a::T<super::U>);\n\
                    impl crate::b::Trait for S {}\n\
                    fn f(x: u8) -> self::V { match x { crate::c::D => say(x), _ => log!() } }\n\
                    fn g() { println!(\"{}\", vec![crate::e::F]); }\n\
                    macro_rules! m { () => { $crate::h::I } }";
        let expected = [
            ("crate::a::T", 1),
            ("super::U", 1),
            ("crate::b::Trait", 2),
            ("self::V", 3),
            ("crate::c::D", 3),
            ("crate::e::F", 4),
            ("crate::h::I", 5),
        ];
        let expected = expected.map(|(path, line)| (path.to_owned(), line));
        assert_eq!(mentions(text), expected);
    }

    #[test]
    fn visibility_attributes_and_tests_import_nothing() {
        let text = "pub(super) fn f() {}\npub(in crate::a) struct S;\n\
                    #[serde(with = \"crate::b\")] struct T;\n\
                    #[cfg(test)] use crate::c::D;\n\
                    #[cfg(all(unix, test))] mod tests { use crate::e::F; }\n\
                    impl S { #[cfg(test)] fn new() -> Self { crate::g::h() } }\n";
        let source = Source::parse(text).unwrap();
        assert!(source.mentions.is_empty(), "{source:?}");
        assert!(source.uses.is_empty(), "{source:?}");
        assert!(source.modules.is_empty(), "{source:?}");
    }

    #[test]
    fn code_that_is_not_only_for_tests_counts() {
        let text = "#[cfg(not(test))] use a::B;\n#[cfg(any(test, feature = \"x\"))] use a::C;";
        assert_eq!(Source::parse(text).unwrap().uses.len(), 2);
    }
}
