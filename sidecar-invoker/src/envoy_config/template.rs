//! Texts with placeholders.

/// Replaces each `${NAME}` in `template` with the result of `fill`. Placeholders in a result are not
/// replaced, so a value cannot name another value.
pub(super) fn fill_in(template: &str, fill: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut parts = template.split("${");
    out.extend(parts.next());
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        out.push_str(&fill(name));
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_in_values_are_not_replaced() {
        let fill = |name: &str| format!("<{name} ${{b}}>");
        assert_eq!(fill_in("1 ${a} 2 ${b}", fill), "1 <a ${b}> 2 <b ${b}>");
    }
}
