//! Circles of imports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::Import;
use super::problem::{CURE, Problem};
use super::tree::{Id, Tree};

/// Returns a problem for each circle of imports.
pub(super) fn problems(imports: &[Import], tree: &Tree) -> Vec<Problem> {
    let circles = all(imports);
    circles.iter().map(|circle| problem(circle, tree)).collect()
}

/// Returns circles of imports, each as short as can be, until every module that is on a circle has
/// been on one of them.
fn all(imports: &[Import]) -> Vec<Vec<Import>> {
    let mut from: BTreeMap<Id, Vec<Import>> = BTreeMap::new();
    for import in imports {
        from.entry(import.from).or_default().push(*import);
    }
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for start in from.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(circle) = shortest(*start, &from) {
            seen.extend(circle.iter().map(|import| import.from));
            circles.push(circle);
        }
    }
    circles
}

/// Returns the shortest way from a module back to it.
fn shortest(start: Id, from: &BTreeMap<Id, Vec<Import>>) -> Option<Vec<Import>> {
    // The import by which each module was first reached.
    let mut reached: BTreeMap<Id, Import> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(module) = next.pop_front() {
        for import in from.get(&module).into_iter().flatten() {
            if reached.contains_key(&import.to) {
                continue;
            }
            reached.insert(import.to, *import);
            next.push_back(import.to);
        }
    }
    let mut circle = vec![*reached.get(&start)?];
    while let Some(first) = circle.last().filter(|first| first.from != start) {
        circle.push(*reached.get(&first.from)?);
    }
    circle.reverse();
    Some(circle)
}

fn problem(circle: &[Import], tree: &Tree) -> Problem {
    let file = |id| {
        tree.module(id)
            .map(|module| module.file.clone())
            .unwrap_or_default()
    };
    let mut text = "a circle of imports: ".to_owned();
    for import in circle {
        text.push_str(&format!(
            "{}:{} → ",
            file(import.from).display(),
            import.line
        ));
    }
    let first = circle.first();
    let start = first.map(|import| file(import.from)).unwrap_or_default();
    text.push_str(&format!("{}; {CURE}", start.display()));
    Problem {
        file: start,
        line: first.map_or(1, |import| import.line),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(imports: &[(Id, Id)]) -> Vec<Vec<Id>> {
        let imports = imports
            .iter()
            .map(|&(from, to)| Import { from, to, line: 1 });
        let imports: Vec<_> = imports.collect();
        let circles = all(&imports).into_iter();
        circles
            .map(|circle| circle.iter().map(|import| import.from).collect())
            .collect()
    }

    #[test]
    fn a_circle_is_reported_by_its_shortest_path() {
        assert_eq!(circles(&[(1, 2), (2, 1)]), [[1, 2]]);
        let two_ways = [(1, 2), (2, 3), (3, 1), (3, 4), (4, 1)];
        assert_eq!(circles(&two_ways), [vec![1, 2, 3], vec![4, 1, 2, 3]]);
        assert_eq!(circles(&[(1, 2), (3, 4), (4, 3), (2, 3)]), [[3, 4]]);
    }

    #[test]
    fn imports_that_only_lead_down_are_no_circle() {
        let diamond = [(1, 2), (1, 3), (2, 4), (3, 4)];
        assert_eq!(circles(&diamond), [[0; 0]; 0]);
    }
}
