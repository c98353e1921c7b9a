//! The keys `versions` and `aliases` of a function.

use std::collections::BTreeMap;

use lambda_api::Qualifier;
use lambda_filter_core::config::reference::Values;
use serde_json::json;

use crate::config::keys::Field;
use crate::config::keys::kind::{Custom, Form, Kind, List, Types};
use crate::config::versions::{self, Versions, is_number};
use crate::config::yaml::decode::Value;

/// The key `versions`.
pub(super) const VERSIONS: List<String> = List {
    expected: "a list of versions such as [\"1\", \"2\"]",
    text: "list of numbers",
    item: Form {
        expected: "a version such as 1",
        parse: |text| is_number(text).then(|| text.to_owned()),
        text: "number",
        types: Types::Integer,
        pattern: "^[1-9][0-9]*$",
    },
};

const TARGET: Form<String> = Form {
    expected: "a version such as 1, or $LATEST",
    parse: |text| (is_number(text) || text == "$LATEST").then(|| text.to_owned()),
    text: "number",
    types: Types::Integer,
    pattern: r"^([1-9][0-9]*|\$LATEST)$",
};

/// The key `aliases`.
pub(super) const ALIASES: Custom<BTreeMap<String, String>> = Custom {
    read: aliases,
    values: || Values {
        text: "version by name".to_owned(),
        schema: json!({
            "type": "object",
            "propertyNames": { "pattern": "^(?![0-9]+$)[A-Za-z0-9_-]{1,128}$" },
            "additionalProperties": TARGET.values().schema,
        }),
    },
};

fn aliases(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let entries = value.mapping("aliases such as { live: \"1\" }")?;
    let alias = |(name, value): (&str, Value<'_>)| {
        if versions::alias(name).is_none() {
            value.problem("an alias has 1 to 128 letters, digits, - and _, and is no number");
            return None;
        }
        Some((name.to_owned(), TARGET.read(&value)?))
    };
    let aliases: Vec<_> = entries.entries().map(alias).collect();
    aliases.into_iter().collect()
}

/// Reads both keys of a function. `is_on_aws` is true for functions whose versions AWS knows.
pub(super) fn versions(
    versions: &Field<'_, Vec<String>>,
    aliases: &Field<'_, BTreeMap<String, String>>,
    is_on_aws: bool,
) -> Option<Versions> {
    if is_on_aws {
        let given = [&versions.value, &aliases.value];
        let mut given = given.into_iter().flatten().peekable();
        let is_none = given.peek().is_none();
        given.for_each(|value| {
            value.problem("AWS knows the versions and aliases of a function on AWS; remove it");
        });
        return is_none.then(Versions::default);
    }
    let named = aliases.or_else(BTreeMap::new);
    let versions = versions.or_else(Vec::new);
    let versions = Versions {
        versions: versions?.into_iter().collect(),
        aliases: named?,
    };
    let latest = Qualifier::latest();
    let is_known =
        |version: &str| version == latest.as_str() || versions.versions.contains(version);
    let unknown = versions
        .aliases
        .iter()
        .find(|(_, version)| !is_known(version));
    match (unknown, &aliases.value) {
        (Some((alias, version)), Some(value)) => {
            value.problem(format!(
                "`{alias}` is version {version}, which `versions` does not list; add it there"
            ));
            None
        }
        _ => Some(versions),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(keys: &str) -> Result<Config, String> {
        let text = format!("functions: {{ f: {{ {keys} }} }}");
        Config::parse("i.yaml", &text, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn versions_and_aliases_are_declared() {
        let keys = "rie: 'http://h', versions: [1, '2'], aliases: { live: 2, next: $LATEST }";
        let config = parse(keys).unwrap();
        let versions = &config.functions.values().next().unwrap().versions;
        assert_eq!(versions.versions.iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(versions.aliases["live"], "2");
        assert_eq!(versions.aliases["next"], "$LATEST");
    }

    #[test]
    fn every_mistake_has_its_sentence() {
        for (keys, message) in [
            (
                "versions: [a]",
                "versions[0]: expected a version such as 1, found \"a\"",
            ),
            (
                "versions: [01]",
                "versions[0]: expected a version such as 1, found \"01\"",
            ),
            (
                "aliases: { 1: 1 }",
                "aliases.1: an alias has 1 to 128 letters, digits, - and _, and is no number",
            ),
            (
                "aliases: { a: live }",
                "aliases.a: expected a version such as 1, or $LATEST, found \"live\"",
            ),
            (
                "versions: [1], aliases: { live: 2 }",
                "aliases: `live` is version 2, which `versions` does not list; add it there",
            ),
        ] {
            let error = parse(&format!("rie: 'http://h', {keys}")).unwrap_err();
            assert_eq!(error, format!("i.yaml:1: functions.f.{message}"));
        }
        let error = parse("aws: {}, versions: [1]").unwrap_err();
        let message = "AWS knows the versions and aliases of a function on AWS; remove it";
        assert_eq!(error, format!("i.yaml:1: functions.f.versions: {message}"));
    }
}
