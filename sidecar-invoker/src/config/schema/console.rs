//! The key `console`.

use std::path::Path;

use hyper::header::HeaderName;
use lambda_filter_core::config::reference::Values;
use serde_json::json;

use super::callers::{secret, secret_values};
use crate::config::keys::keys;
use crate::config::keys::kind::{self, Form, Integer, List, Types};
use crate::config::model::ConsoleConfig;
use crate::config::yaml::decode::Value;

keys! {
    /// The keys of the block.
    pub(in crate::config) struct ConsoleKeys;

    /// Place of the token that a user of the page gives. Without it, only this machine has access.
    token = secret_values(false), "none", see "secrets";
    /// Headers whose values the page hides, besides `authorization`, cookies and the like.
    mask: Vec<String> = MASK, "none";
    /// Most invocations that are kept, in 64 MiB at most.
    invocations: u32 = Integer::of("invocations", 1..=10_000), "500";
}

const MASK: List<String> = List {
    expected: "a list of header names such as [x-session]",
    text: "list of header names",
    item: Form {
        expected: "a header name such as x-session",
        parse: |text| {
            let name: HeaderName = text.parse().ok()?;
            Some(name.as_str().to_owned())
        },
        text: "header name",
        types: Types::Any,
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    },
};

/// Returns the values of the key.
pub(super) fn values() -> Values {
    let Values { text, schema } = kind::mapping("console", &ConsoleKeys::reference());
    Values {
        text: format!("`true`, `false`, {text}"),
        schema: json!({ "anyOf": [{ "type": "boolean" }, schema] }),
    }
}

/// Reads the key. A block turns the console on.
pub(super) fn console(value: &Value<'_>, directory: &Path) -> Option<ConsoleConfig> {
    if let Some(is_on) = value.boolean() {
        return Some(ConsoleConfig {
            is_on,
            ..ConsoleConfig::default()
        });
    }
    let mut mapping = value.mapping("true, false, or the keys token, mask and invocations")?;
    let keys = ConsoleKeys::of(&mut mapping);
    mapping.finish();
    let token = match &keys.token {
        Some(value) => secret(value, directory).map(Some),
        None => Some(None),
    };
    let default = ConsoleConfig::default();
    let (mask, invocations) = (keys.mask.or(default.mask), keys.invocations.optional());
    Some(ConsoleConfig {
        is_on: true,
        token: token?,
        mask: mask?,
        invocations: invocations?.map_or(default.invocations, |most| most as usize),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, SecretSource};

    use super::*;

    fn parse(console: &str) -> Result<Option<ConsoleConfig>, String> {
        let text = format!("console: {console}\nfunctions: {{ f: {{ rie: 'http://f' }} }}");
        let config = Config::parse("invoker.yaml", &text, Path::new("/etc"));
        config
            .map(|config| config.console)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_console_is_a_flag_or_a_block() {
        let on = ConsoleConfig::default();
        assert_eq!(parse("true"), Ok(Some(on.clone())));
        assert!(!parse("false").unwrap().unwrap().is_on);
        let block = "{ token: env:TOKEN, mask: [X-Session], invocations: 20 }";
        let expected = ConsoleConfig {
            token: Some(SecretSource::Env("TOKEN".to_owned())),
            mask: vec!["x-session".to_owned()],
            invocations: 20,
            ..on
        };
        assert_eq!(parse(block), Ok(Some(expected)));
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        for (console, sentence) in [
            (
                "maybe",
                "console: expected true, false, or the keys token, mask and invocations, found \"maybe\"",
            ),
            (
                "{ token: abc }",
                "console.token: expected env:NAME or file:PATH; a secret itself does not belong into this file",
            ),
            (
                "{ mask: ['a b'] }",
                "console.mask[0]: expected a header name such as x-session, found \"a b\"",
            ),
            (
                "{ invocations: 0 }",
                "console.invocations: expected a number of invocations from 1 to 10000, found \"0\"",
            ),
        ] {
            let error = parse(console).unwrap_err();
            assert_eq!(error, format!("invoker.yaml:1: {sentence}"));
        }
    }
}
