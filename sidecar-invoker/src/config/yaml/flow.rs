//! Lists in `[]`, mappings in `{}` and texts in quotes whose lines are indented less than what is around them.
//!
//! The YAML specification wants them indented, and so does the parser. The parsers of AWS and of its CLIs do not, and
//! many templates have the closing bracket below the key.

use saphyr_parser::Marker;

/// The last column at which a collection or a text may begin whose lines are indented here.
const MAX_COLUMN: usize = 500;

/// A place in a document.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Counted from 1.
    line: usize,
    /// In characters, counted from 0.
    column: usize,
}

impl Place {
    /// Returns the place that the parser names.
    pub(super) fn of(marker: Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col(),
        }
    }

    /// Returns the place in bytes from the beginning of the document.
    pub(super) fn offset(self, source: &str) -> Option<usize> {
        let before = lines(source).take(self.line.checked_sub(1)?);
        let before: usize = before.map(str::len).sum();
        let (column, _) = source.get(before..)?.char_indices().nth(self.column)?;
        Some(before + column)
    }
}

/// Returns the lines with their breaks as the parser counts them: a CR alone ends a line too.
fn lines(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let text = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let width = match rest.get(text..)? {
            line_break if line_break.starts_with("\r\n") => 2,
            line_break => line_break.len().min(1),
        };
        let (line, after) = rest.split_at_checked(text + width)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

/// Returns whether an error of the parser is about the indentation of a line.
pub(super) fn is_about_indentation(message: &str) -> bool {
    message.starts_with("invalid indentation")
}

/// Returns the document with the rest of a collection or of a text indented. `None` if the `place` of the error is in
/// neither. `open` are the collections that have begun before the error, the outermost first.
pub(super) fn indented(
    source: &str,
    open: &[Place],
    place: Place,
    message: &str,
) -> Option<String> {
    let (start, line) = match message {
        // The place is that of the quotation mark.
        "invalid indentation in quoted scalar" => (place, place.line + 1),
        _ => (
            open.iter().find_map(|open| bracket(source, *open))?,
            place.line,
        ),
    };
    let end = end(source, start).filter(|end| (start.line + 1..=*end).contains(&line))?;
    // A bracket so far to the right is in a document of one line.
    let column = Some(start.column).filter(|column| *column <= MAX_COLUMN)?;
    let indentation = " ".repeat(column + 1);
    let mut indented = String::with_capacity(source.len() + (end - line + 1) * indentation.len());
    for (number, text) in lines(source).enumerate() {
        if (line..=end).contains(&(number + 1)) {
            indented.push_str(&indentation);
        }
        indented.push_str(text);
    }
    Some(indented)
}

/// Returns the place of the bracket with which a collection begins, perhaps after its tag or anchor.
fn bracket(source: &str, place: Place) -> Option<Place> {
    let line = lines(source).nth(place.line.checked_sub(1)?)?;
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

/// Returns the line on which the collection or the text ends whose bracket or quotation mark is at `start`.
fn end(source: &str, start: Place) -> Option<usize> {
    let (mut depth, mut quote, mut skipped) = (0_usize, None, start.column);
    for (number, line) in lines(source).enumerate().skip(start.line - 1) {
        let mut before = ' ';
        let mut characters = line.chars().skip(skipped).peekable();
        skipped = 0;
        while let Some(character) = characters.next() {
            match (quote, character) {
                (Some('"'), '\\') => _ = characters.next(),
                (Some('\''), '\'') if characters.peek() == Some(&'\'') => _ = characters.next(),
                (Some(open), character) if character == open && depth == 0 => {
                    return Some(number + 1);
                }
                (Some(open), character) if character == open => quote = None,
                (Some(_), _) => {}
                (None, '#') if before == ' ' => break,
                // A quotation mark within a plain text is a part of it.
                (None, '"' | '\'') if " [{,:".contains(before) => quote = Some(character),
                (None, '[' | '{') => depth += 1,
                (None, ']' | '}') => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(number + 1);
                    }
                }
                (None, _) => {}
            }
            before = character;
        }
    }
    None
}
