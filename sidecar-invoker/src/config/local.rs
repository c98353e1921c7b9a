//! What is special to local functions among the keys of `invoker.yaml`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::InheritEnv;
use super::decode::Value;

/// What Lambda allows.
pub(super) const MEMORY_MIB: RangeInclusive<u32> = 128..=10_240;
pub(super) const CONCURRENCY: RangeInclusive<u32> = 1..=1_000;

/// What the keys of a local function default to.
#[derive(Debug)]
pub(super) struct Defaults {
    /// `None` is the file's own.
    pub(super) directory: Option<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) memory_mib: u32,
    pub(super) concurrency: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            directory: None,
            env: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory_mib: 128,
            concurrency: 10,
        }
    }
}

/// What runs without a `command`, if it is there.
pub(super) fn bootstrap(
    value: &Value<'_>,
    directory: Option<&Path>,
) -> Option<(String, Vec<String>)> {
    let directory = directory?;
    if !directory.join("bootstrap").is_file() {
        value.problem(format!(
            "there is no `command`, and no file `bootstrap` in {}; add one of them",
            directory.display()
        ));
        return None;
    }
    Some(("./bootstrap".to_owned(), Vec::new()))
}

/// The key `watch`.
pub(super) fn watch(value: &Value<'_>, directory: Option<&Path>) -> Option<Vec<PathBuf>> {
    const EXPECTED: &str = "a list of paths such as [app.py, ../shared], true or false";
    if let Some(all) = value.boolean() {
        return Some(
            directory
                .filter(|_| all)
                .map(Path::to_owned)
                .into_iter()
                .collect(),
        );
    }
    let path = |value: &Value<'_>| {
        let path = directory?.join(value.text("a path")?);
        if !path.exists() {
            value.problem(format!(
                "there is no {}; it is relative to `directory`",
                path.display()
            ));
        }
        Some(path)
    };
    value.list(EXPECTED)?.iter().map(path).collect()
}

/// The key `inherit_env`.
pub(super) fn inherit_env(value: &Value<'_>) -> Option<InheritEnv> {
    const EXPECTED: &str = "a list of names such as [AWS_ENDPOINT_URL], true or false";
    if let Some(all) = value.boolean() {
        let none = InheritEnv::Names(Vec::new());
        return Some(if all { InheritEnv::All } else { none });
    }
    let name = |value: &Value<'_>| {
        value.parse("the name of an environment variable", |text| {
            (!text.is_empty() && !text.contains(['=', '\0'])).then(|| text.to_owned())
        })
    };
    let names: Vec<_> = value.list(EXPECTED)?.iter().map(name).collect();
    names
        .into_iter()
        .collect::<Option<_>>()
        .map(InheritEnv::Names)
}
