//! Indented JSON, for terminals.

/// Returns JSON with a line for each item and member. All values, and their order, stay as they are.
pub(crate) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            text.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            continue;
        }
        match character {
            character if character.is_ascii_whitespace() => {}
            '"' => {
                in_string = true;
                text.push(character);
            }
            '{' | '[' => {
                text.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(character);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => text.push(character),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_space_between_values_changes() {
        for (json, expected) in [
            ("", ""),
            ("1e400", "1e400"),
            (r#""a: {\"b\", \\""#, r#""a: {\"b\", \\""#),
            ("{}", "{}"),
            ("[ \n ]", "[]"),
            (
                r#"{"z":[1, {"a":{ }}],"a":"x,y"}"#,
                "{\n  \"z\": [\n    1,\n    {\n      \"a\": {}\n    }\n  ],\n  \"a\": \"x,y\"\n}",
            ),
        ] {
            assert_eq!(pretty(json), expected);
            assert_eq!(pretty(expected), expected);
        }
    }
}
