//! The parts of a document that a reader acts on.

use std::path::{Path, PathBuf};

/// A document.
#[derive(Debug)]
pub struct Page {
    /// The path, relative to the project's folder.
    pub path: PathBuf,
    /// The parts to act on, each with the number of its line.
    pub blocks: Vec<(usize, Block)>,
}

/// A part of a document.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Commands, each with the output that follows it.
    Commands(Vec<(String, String)>),
    /// A file to write, and its content.
    File(String, String),
    /// A command that the reader does not see.
    Setup(String),
    /// A tool without which the next block cannot be run.
    Needs(String),
    /// Commands of the AWS CLI, which checks them and sends nothing.
    NotSent(Vec<String>),
    /// Commands that are not run, and the reason.
    NotRun(String),
}

impl Page {
    /// Parses the text of a document.
    ///
    /// # Panics
    /// A comment stands in front of no block.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate();
        let mut comment: Option<(usize, String, String)> = None;
        while let Some((index, line)) = lines.next() {
            let number = index + 1;
            if let Some((kind, value)) = parse_comment(line) {
                match kind {
                    "setup" => blocks.push((number, Block::Setup(value.to_owned()))),
                    "needs" => blocks.push((number, Block::Needs(value.to_owned()))),
                    kind => comment = Some((number, kind.to_owned(), value.to_owned())),
                }
                continue;
            }
            let Some(language) = line.strip_prefix("```") else {
                let is_blank = line.trim().is_empty();
                assert!(
                    is_blank || comment.is_none(),
                    "{}:{number}: the comment in front stands in front of no block",
                    path.display()
                );
                continue;
            };
            let content: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            let content = content.join("\n");
            match (comment.take(), language) {
                (Some((_, kind, reason)), _) if kind == "not run" => {
                    blocks.push((number, Block::NotRun(reason)));
                }
                (Some((_, kind, _)), "console") if kind == "not sent" => {
                    let commands = commands(&content).into_iter();
                    let commands = commands.map(|(command, _)| command).collect();
                    blocks.push((number, Block::NotSent(commands)));
                }
                (Some((_, kind, file)), _) if kind == "file" => {
                    blocks.push((number, Block::File(file, content + "\n")));
                }
                (Some((line, kind, _)), _) => {
                    panic!("{}:{line}: unknown comment {kind}", path.display())
                }
                (None, "console") => blocks.push((number, Block::Commands(commands(&content)))),
                (None, "yaml") => {
                    if let Some(file) = named_file(&content) {
                        blocks.push((number, Block::File(file, content + "\n")));
                    }
                }
                (None, _) => {}
            }
        }
        Self {
            path: path.to_owned(),
            blocks,
        }
    }

    /// Returns whether a command of the document is run.
    pub fn has_commands(&self) -> bool {
        let mut blocks = self.blocks.iter();
        blocks.any(|(_, block)| matches!(block, Block::Commands(_) | Block::NotSent(_)))
    }
}

/// Returns the name of the file that the first line of YAML names, as in `# invoker.yaml`.
fn named_file(content: &str) -> Option<String> {
    let name = content.lines().next()?.strip_prefix("# ")?;
    let is_name = name.ends_with(".yaml") && !name.contains(' ');
    is_name.then(|| name.to_owned())
}

fn parse_comment(line: &str) -> Option<(&str, &str)> {
    let comment = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let (kind, value) = comment.split_once(": ")?;
    ["setup", "file", "needs", "not sent", "not run"]
        .contains(&kind)
        .then_some((kind, value))
}

/// Returns the commands of a block. A command goes on in the next line after a backslash, or within single quotes.
fn commands(content: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut continues = false;
    for line in content.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((command, output)) = commands.last_mut() {
            let target = if continues { command } else { output };
            target.push('\n');
            target.push_str(line);
        }
        let is_open = |(command, _): &(String, String)| command.matches('\'').count() % 2 == 1;
        let is_command = continues || line.starts_with("$ ");
        continues = is_command && (line.ends_with('\\') || commands.last().is_some_and(is_open));
    }
    for (_, output) in &mut commands {
        *output = output.trim_start_matches('\n').to_owned();
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_split_into_commands_files_and_what_is_not_run() {
        let text = "text\n```console\n$ one \\\n    more\nout\n$ two\n```\n<!-- file: a/b.py -->\n\n```python\nx\n```\n\
                    <!-- not run: needs Docker -->\n```console\n$ docker\n```\n<!-- setup: mkdir a -->\n```yaml\na: 1\n```\n<!-- needs: PHP -->\n\
                    <!-- not sent: needs AWS -->\n```console\n$ aws x\n```\n";
        let page = Page::parse(Path::new("x.md"), text);
        let blocks: Vec<_> = page.blocks.iter().map(|(_, block)| block).collect();
        let commands = Block::Commands(vec![
            ("one \\\n    more".to_owned(), "out".to_owned()),
            ("two".to_owned(), String::new()),
        ]);
        assert_eq!(
            blocks,
            [
                &commands,
                &Block::File("a/b.py".to_owned(), "x\n".to_owned()),
                &Block::NotRun("needs Docker".to_owned()),
                &Block::Setup("mkdir a".to_owned()),
                &Block::Needs("PHP".to_owned()),
                &Block::NotSent(vec!["aws x".to_owned()]),
            ]
        );
    }
}
