//! Stacks whose values are known, and what one of them may use of another.

use super::intrinsic::Scope;
use super::resource::{Resource, Resources};
use super::template::Source;

/// A stack whose values are known.
pub(super) struct Stack {
    pub(super) source: Source,
    pub(super) scope: Scope,
    pub(super) resources: Resources,
    /// The line of `Resources`.
    pub(super) line: usize,
}

/// A stack and those inside it. An outer stack comes before its inner ones.
pub(super) struct Stacks(pub(super) Vec<Stack>);

impl Stacks {
    /// Returns the resource with this path, see [`Scope::path`], and its stack.
    pub(super) fn get(&self, path: &str) -> Option<(&Stack, &Resource)> {
        let resources = self.0.iter().flat_map(|stack| {
            let resources = stack.resources.all.iter();
            resources.map(move |resource| (stack, resource))
        });
        resources
            .into_iter()
            .find(|(stack, resource)| stack.scope.path(&resource.id) == path)
    }

    /// Returns the resources of a type, each with its stack.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = (&Stack, &Resource)> {
        self.0.iter().flat_map(move |stack| {
            let resources = stack.resources.of_kind(kind);
            resources.map(move |resource| (stack, resource))
        })
    }
}
