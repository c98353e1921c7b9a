//! Lists in `[]` and mappings in `{}` whose lines are indented less than what is around them.
//!
//! The YAML specification wants them indented, and so does the parser. The parsers of AWS and of its CLIs do not, and
//! many templates have the closing bracket below the key.

use saphyr_parser::Span;

/// A place in a document.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Counted from 1.
    line: usize,
    /// In characters, counted from 0.
    column: usize,
}

impl Place {
    /// Returns the place where a value begins.
    pub(super) fn of(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col(),
        }
    }
}

/// Returns whether an error of the parser is about the indentation of a line.
pub(super) fn is_about_indentation(message: &str) -> bool {
    message.starts_with("invalid indentation")
}

/// Returns the document with the rest of a collection in brackets indented, from `line` on. `None` if `line` is
/// not in one. `open` are the collections that have begun before `line`, the outermost first.
pub(super) fn indented(source: &str, open: &[Place], line: usize) -> Option<String> {
    let start = open.iter().find_map(|place| bracket(source, *place))?;
    let end = end(source, start).filter(|end| (start.line + 1..=*end).contains(&line))?;
    let indentation = " ".repeat(start.column + 1);
    let mut indented = String::with_capacity(source.len() + (end - line + 1) * indentation.len());
    for (number, text) in source.split_inclusive('\n').enumerate() {
        if (line..=end).contains(&(number + 1)) {
            indented.push_str(&indentation);
        }
        indented.push_str(text);
    }
    Some(indented)
}

/// Returns the place of the bracket with which a collection begins, perhaps after its tag or anchor.
fn bracket(source: &str, place: Place) -> Option<Place> {
    let line = source.lines().nth(place.line.checked_sub(1)?)?;
    let mut properties = false;
    for (column, character) in line.chars().enumerate().skip(place.column) {
        match character {
            '[' | '{' => return Some(Place { column, ..place }),
            '!' | '&' => properties = true,
            ' ' => properties = false,
            _ if properties => {}
            _ => return None,
        }
    }
    None
}

/// Returns the line on which the collection ends whose bracket is at `start`.
fn end(source: &str, start: Place) -> Option<usize> {
    let (mut depth, mut quote, mut skipped) = (0_usize, None, start.column);
    for (number, line) in source.lines().enumerate().skip(start.line - 1) {
        let mut before = ' ';
        let mut characters = line.chars().skip(skipped);
        skipped = 0;
        while let Some(character) = characters.next() {
            match (quote, character) {
                (Some('"'), '\\') => _ = characters.next(),
                (Some(open), character) if character == open => quote = None,
                (Some(_), _) => {}
                (None, '#') if before == ' ' => break,
                // A quotation mark within a plain text is a part of it.
                (None, '"' | '\'') if " [{,:\"'".contains(before) => quote = Some(character),
                (None, '[' | '{') => depth += 1,
                (None, ']' | '}') => match depth {
                    1 => return Some(number + 1),
                    _ => depth -= 1,
                },
                (None, _) => {}
            }
            before = character;
        }
    }
    None
}
