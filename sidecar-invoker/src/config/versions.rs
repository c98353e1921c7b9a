//! The versions and aliases of a function outside AWS.

use std::collections::{BTreeMap, BTreeSet};

use lambda_api::Qualifier;

/// The keys `versions` and `aliases` of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// `versions`: the published versions.
    pub versions: BTreeSet<String>,
    /// `aliases`: the version of each alias.
    pub aliases: BTreeMap<String, String>,
}

impl Versions {
    /// Returns the version that runs for a caller who names `qualifier`, or `None` if there is none.
    ///
    /// Without a declared version or alias, every qualifier is accepted. An alias then stands for `$LATEST`.
    pub(crate) fn resolve(&self, qualifier: Option<&Qualifier>) -> Option<Qualifier> {
        let Some(qualifier) = qualifier else {
            return Some(Qualifier::latest());
        };
        let text = qualifier.as_str();
        let is_version = is_number(text) || text.starts_with('$');
        if text == Qualifier::latest().as_str() || self.versions.contains(text) {
            return Some(qualifier.clone());
        }
        if let Some(version) = self.aliases.get(text) {
            return version.parse().ok();
        }
        let is_declared = !self.versions.is_empty() || !self.aliases.is_empty();
        match (is_declared, is_version) {
            (true, _) => None,
            (false, true) => Some(qualifier.clone()),
            (false, false) => Some(Qualifier::latest()),
        }
    }
}

/// Returns an alias, or `None` if the text is not a valid alias name.
pub(super) fn alias(text: &str) -> Option<Qualifier> {
    let is_alias = !text.starts_with('$') && !text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_alias)
}

/// Returns whether a text has the form of a published version.
pub(super) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() && !text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(versions: &Versions, qualifier: &str) -> Option<String> {
        let qualifier = qualifier.parse().unwrap();
        let version = versions.resolve(Some(&qualifier))?;
        Some(version.to_string())
    }

    #[test]
    fn without_a_declaration_the_version_is_the_one_asked_for() {
        let versions = Versions::default();
        assert_eq!(versions.resolve(None), Some(Qualifier::latest()));
        for (qualifier, version) in [
            ("1", "1"),
            ("42", "42"),
            ("$LATEST", "$LATEST"),
            ("$LATEST.PUBLISHED", "$LATEST.PUBLISHED"),
            ("live", "$LATEST"),
            ("2024-01-01", "$LATEST"),
        ] {
            assert_eq!(resolve(&versions, qualifier).as_deref(), Some(version));
        }
    }

    #[test]
    fn only_declared_qualifiers_have_a_version() {
        let versions = Versions {
            versions: BTreeSet::from(["1".to_owned(), "2".to_owned()]),
            aliases: BTreeMap::from([
                ("live".to_owned(), "1".to_owned()),
                ("next".to_owned(), "$LATEST".to_owned()),
            ]),
        };
        assert_eq!(versions.resolve(None), Some(Qualifier::latest()));
        for (qualifier, version) in [
            ("1", Some("1")),
            ("live", Some("1")),
            ("next", Some("$LATEST")),
            ("$LATEST", Some("$LATEST")),
            ("3", None),
            ("other", None),
            ("$LATEST.PUBLISHED", None),
        ] {
            assert_eq!(
                resolve(&versions, qualifier).as_deref(),
                version,
                "{qualifier}"
            );
        }
    }
}
