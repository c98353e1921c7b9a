//! The blocks of ARCHITECTURE.md that list the layers.

use std::path::Path;

use super::problem::Problem;

/// The file that has the blocks.
pub(super) const FILE: &str = "ARCHITECTURE.md";
/// The path of the block whose names are packages.
pub(super) const WORKSPACE: &str = "workspace";

const FENCE: &str = "```";
const INFO: &str = "layers ";

/// A block: the layers of one folder, top first.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// The folder, relative to the workspace, or [`WORKSPACE`].
    pub(super) path: String,
    /// The line of the opening fence.
    pub(super) line: usize,
    names: Vec<Name>,
}

/// A module or package, and its layer.
#[derive(Debug, PartialEq)]
pub(super) struct Name {
    pub(super) text: String,
    /// The number of the layer, from 0 at the top.
    pub(super) layer: usize,
    /// The line of the layer in the file.
    pub(super) line: usize,
}

impl Block {
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// Returns the name that covers this module: its own, or the nearest folder's.
    pub(super) fn covering(&self, module: &str) -> Option<&Name> {
        let covers = |name: &&Name| {
            let rest = module.strip_prefix(name.text.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let covering = self.names.iter().filter(covers);
        covering.max_by_key(|name| name.text.len())
    }

    /// Returns a problem of this block, at the line of its opening fence.
    pub(super) fn problem(&self, text: String) -> Problem {
        problem(self.line, text)
    }
}

/// Returns a problem in ARCHITECTURE.md.
pub(super) fn problem(line: usize, text: String) -> Problem {
    let file = Path::new(FILE).to_owned();
    Problem { file, line, text }
}

/// Parses the blocks of the file's text.
pub(super) fn parse(text: &str, problems: &mut Vec<Problem>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, text)) = lines.next() {
        let info = text.trim_start().strip_prefix(FENCE);
        let Some(path) = info.and_then(|info| info.strip_prefix(INFO)) else {
            continue;
        };
        let mut block = Block {
            path: path.trim().trim_end_matches('/').to_owned(),
            line,
            names: Vec::new(),
        };
        let mut closed = false;
        let layers = lines.by_ref().map(|(line, text)| (line, text.trim()));
        let layers = layers.take_while(|(_, text)| {
            closed = *text == FENCE;
            !closed
        });
        let layers = layers.filter(|(_, text)| !text.is_empty());
        for (layer, (line, text)) in layers.enumerate() {
            for name in text.split(',').map(str::trim) {
                if name.is_empty() || name.contains(char::is_whitespace) {
                    let text = format!("`{name}` is not a name; separate names by commas");
                    problems.push(problem(line, text));
                } else if block.names.iter().any(|other| other.text == name) {
                    problems.push(problem(line, format!("`{name}` is listed twice")));
                } else {
                    let text = name.to_owned();
                    block.names.push(Name { text, layer, line });
                }
            }
        }
        if !closed {
            problems.push(block.problem("the block has no end; close it with ```".to_owned()));
        }
        if blocks.iter().any(|other| other.path == block.path) {
            let text = format!("`{}` has a second block; make them one", block.path);
            problems.push(block.problem(text));
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_each_name_its_layer() {
        let text = "# Map\n\n```rust\nlet x = 1;\n```\n\n  ```layers a/src/\n  top\n\n  left, right/inner\n  ```\n";
        let mut problems = Vec::new();
        let blocks = parse(text, &mut problems);
        assert_eq!(problems, []);
        let [block] = &blocks[..] else {
            panic!("{blocks:?}")
        };
        assert_eq!((block.path.as_str(), block.line), ("a/src", 7));
        let names: Vec<_> = block
            .names()
            .map(|name| (&*name.text, name.layer, name.line))
            .collect();
        assert_eq!(
            names,
            [("top", 0, 8), ("left", 1, 10), ("right/inner", 1, 10)]
        );
    }

    #[test]
    fn a_module_belongs_to_its_own_name_or_else_to_its_folders() {
        let blocks = parse(
            "```layers a\nlocal/api\nlocal\nlocale\n```",
            &mut Vec::new(),
        );
        let layer = |module| Some(blocks[0].covering(module)?.text.as_str());
        assert_eq!(layer("local/api"), Some("local/api"));
        assert_eq!(layer("local/api/runtime"), Some("local/api"));
        assert_eq!(layer("local/pool"), Some("local"));
        assert_eq!(layer("local"), Some("local"));
        assert_eq!(layer("locale"), Some("locale"));
        assert_eq!(layer("lo"), None);
    }

    #[test]
    fn mistakes_in_a_block_are_reported_with_their_lines() {
        let text = "```layers a\none, two,\nthree four\none\n```\n```layers a\n```\n```layers b\n";
        let mut problems = Vec::new();
        parse(text, &mut problems);
        let found: Vec<_> = problems
            .iter()
            .map(|found| (found.line, &*found.text))
            .collect();
        assert_eq!(
            found,
            [
                (2, "`` is not a name; separate names by commas"),
                (3, "`three four` is not a name; separate names by commas"),
                (4, "`one` is listed twice"),
                (6, "`a` has a second block; make them one"),
                (8, "the block has no end; close it with ```"),
            ]
        );
    }
}
