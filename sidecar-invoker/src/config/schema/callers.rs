//! The keys of the block `callers`.

use std::path::Path;

use lambda_filter_core::config::reference::Values;
use serde_json::json;

use super::aws::PATTERNS;
use crate::config::callers::{
    AccessKeyCaller, CallersConfig, FilterCaller, FunctionPatterns, IdentityCaller, KnownCallers,
    SecretSource, UriPattern,
};
use crate::config::keys::keys;
use crate::config::keys::kind::{self, Custom, Form, Types};
use crate::config::yaml::decode::Value;
use wildmatch::WildMatch;

keys! {
    /// The keys of the block.
    pub(in crate::config) struct CallersKeys;

    /// Envoys whose filter sends a secret.
    filters = kind::list("callers.filters", &FilterKeys::reference()), "none";
    /// Callers that sign with an access key, as AWS's SDKs do.
    access_keys = kind::list("callers.access_keys", &AccessKeyKeys::reference()), "none";
    /// Callers by their certificates, which a proxy in front of the invoker verifies.
    identities = kind::list("callers.identities", &IdentityKeys::reference()), "none";
    /// Serves everyone who can connect. Not beside the other keys.
    anyone: bool = FLAG, "`false`";
}

keys! {
    /// The keys of an Envoy with the filter.
    pub(in crate::config) struct FilterKeys;

    /// Places of the secret, or of two secrets during a rotation.
    secrets = secret_values(true), "required", see "secrets";
    /// Functions that the caller may invoke.
    functions: Vec<WildMatch> = PATTERNS, "`[\"*\"]`";
}

keys! {
    /// The keys of a caller with an access key.
    pub(in crate::config) struct AccessKeyKeys;

    /// The access key id, which the operator chooses.
    id: String = ACCESS_KEY_ID, "required";
    /// Place of the secret access key.
    secret = secret_values(false), "required", see "secrets";
    /// Functions that the caller may invoke.
    functions: Vec<WildMatch> = PATTERNS, "`[\"*\"]`";
}

keys! {
    /// The keys of a caller with a certificate.
    pub(in crate::config) struct IdentityKeys;

    /// The URI in the caller's certificate, or its beginning with `*` behind a slash.
    uri: UriPattern = URI, "required";
    /// Functions that the caller may invoke.
    functions: Vec<WildMatch> = PATTERNS, "`[\"*\"]`";
}

const FLAG: Custom<bool> = Custom {
    read: |value| value.parse("true or false", |text| text.parse().ok()),
    values: Values::flag,
};

/// The characters are those of AWS's own access key ids, and `-`.
const ACCESS_KEY_ID: Form<String> = Form {
    expected: "an access key id of 4 to 128 letters, digits, - and _",
    parse: |text| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let valid = (4..=128).contains(&text.len()) && text.bytes().all(letter);
        valid.then(|| text.to_owned())
    },
    text: "4 to 128 letters, digits, `-` and `_`",
    types: Types::Any,
    pattern: "^[A-Za-z0-9_-]{4,128}$",
};

const URI: Form<UriPattern> = Form {
    expected: "a URI such as spiffe://cluster.local/ns/shop/sa/cart, or spiffe://cluster.local/ns/shop/*",
    parse: UriPattern::parse,
    text: "URI, or URI that ends in `/*`",
    types: Types::Text,
    pattern: "^[^:/*]+://[^*]+(/\\*)?$",
};

/// The most secrets of a caller.
const MAX_SECRETS: usize = 2;

pub(super) fn secret_values(is_list: bool) -> Values {
    let schema = Types::Text.matching("^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$");
    match is_list {
        false => Values {
            text: "`env:NAME`, `file:PATH`".to_owned(),
            schema,
        },
        true => Values {
            text: "list of one or two of `env:NAME`, `file:PATH`".to_owned(),
            schema: json!({ "type": "array", "items": schema, "minItems": 1, "maxItems": MAX_SECRETS }),
        },
    }
}

/// Reads the block.
pub(super) fn callers(value: &Value<'_>, directory: &Path) -> Option<CallersConfig> {
    let mut mapping = value.mapping("the keys filters, access_keys, identities or anyone")?;
    let keys = CallersKeys::of(&mut mapping);
    mapping.finish();
    let filters = each(keys.filters.as_ref(), |value| filter(value, directory));
    let access_keys = each(keys.access_keys.as_ref(), |value| {
        access_key(value, directory)
    });
    let identities = each(keys.identities.as_ref(), identity);
    let (anyone, known) = (
        keys.anyone.or(false)?,
        KnownCallers {
            filters: filters?,
            access_keys: access_keys?,
            identities: identities?,
        },
    );
    let is_empty =
        known.filters.is_empty() && known.access_keys.is_empty() && known.identities.is_empty();
    match (anyone, is_empty) {
        (true, true) => return Some(CallersConfig::Anyone),
        (false, false) => {}
        (true, false) => {
            value.problem("`anyone: true` makes the other keys pointless; keep one or the others");
            return None;
        }
        (false, true) => {
            value.problem(
                "nobody could call; add `filters`, `access_keys` or `identities`, or `anyone: true`",
            );
            return None;
        }
    }
    for (index, key) in known.access_keys.iter().enumerate() {
        if known
            .access_keys
            .iter()
            .take(index)
            .any(|other| other.id == key.id)
        {
            value.problem(format!(
                "the access key {} stands twice; remove one",
                key.id
            ));
            return None;
        }
    }
    Some(CallersConfig::Known(known))
}

/// Reads the items of a list, if it is there.
fn each<T>(value: Option<&Value<'_>>, read: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
    let Some(value) = value else {
        return Some(Vec::new());
    };
    let items = value.list("a list of callers")?;
    let items: Vec<_> = items.iter().map(read).collect();
    items.into_iter().collect()
}

fn filter(value: &Value<'_>, directory: &Path) -> Option<FilterCaller> {
    let mut mapping = value.mapping("the keys of a caller such as { secrets: [env:NAME] }")?;
    let keys = FilterKeys::of(&mut mapping);
    let functions = keys.functions.optional();
    if keys.secrets.is_none() {
        mapping.missing("secrets");
    }
    mapping.finish();
    let list = keys.secrets?;
    let secrets = list.list("a list such as [env:LAMBDA_MESH_SECRET]")?;
    if !(1..=MAX_SECRETS).contains(&secrets.len()) {
        list.problem(format!(
            "expected one or two secrets, found {}",
            secrets.len()
        ));
        return None;
    }
    let secrets: Vec<_> = secrets
        .iter()
        .map(|value| secret(value, directory))
        .collect();
    Some(FilterCaller {
        secrets: secrets.into_iter().collect::<Option<_>>()?,
        functions: patterns(functions?),
    })
}

fn access_key(value: &Value<'_>, directory: &Path) -> Option<AccessKeyCaller> {
    let mut mapping = value.mapping("the keys of a caller such as { id: ID, secret: env:NAME }")?;
    let keys = AccessKeyKeys::of(&mut mapping);
    let (id, functions) = (keys.id.optional(), keys.functions.optional());
    if keys.id.value.is_none() {
        mapping.missing("id");
    }
    if keys.secret.is_none() {
        mapping.missing("secret");
    }
    mapping.finish();
    let secret = secret(&keys.secret?, directory);
    Some(AccessKeyCaller {
        id: id??,
        secret: secret?,
        functions: patterns(functions?),
    })
}

fn identity(value: &Value<'_>) -> Option<IdentityCaller> {
    let mut mapping = value.mapping("the keys of a caller such as { uri: URI }")?;
    let keys = IdentityKeys::of(&mut mapping);
    let (uri, functions) = (keys.uri.optional(), keys.functions.optional());
    if keys.uri.value.is_none() {
        mapping.missing("uri");
    }
    mapping.finish();
    Some(IdentityCaller {
        uri: uri??,
        functions: patterns(functions?),
    })
}

fn patterns(patterns: Option<Vec<WildMatch>>) -> FunctionPatterns {
    patterns.map_or_else(FunctionPatterns::all, FunctionPatterns::new)
}

/// Reads the place of a secret. The message does not repeat the text, which may be a secret.
pub(super) fn secret(value: &Value<'_>, directory: &Path) -> Option<SecretSource> {
    const EXPECTED: &str = "env:NAME or file:PATH";
    let text = value.text(EXPECTED)?;
    let name = text.strip_prefix("env:");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = |name: &&str| {
        name.bytes().all(letter) && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    let name = name.filter(|name| !name.is_empty()).filter(is_name);
    let path = text.strip_prefix("file:").filter(|path| !path.is_empty());
    match (name, path) {
        (Some(name), _) => Some(SecretSource::Env(name.to_owned())),
        (_, Some(path)) => Some(SecretSource::File(directory.join(path))),
        _ => {
            value.problem(format!(
                "expected {EXPECTED}; a secret itself does not belong into this file"
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{CallersConfig, Config, SecretSource};

    use super::*;

    fn parse(callers: &str) -> Result<Option<CallersConfig>, String> {
        let text = format!("callers: {callers}\nfunctions: {{ f: {{ rie: 'http://f' }} }}");
        let config = Config::parse("invoker.yaml", &text, Path::new("/etc"));
        config
            .map(|config| config.callers)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn callers_are_read_with_the_places_of_their_secrets() {
        let read = parse(
            "{ filters: [{ secrets: [env:NEW, file:old] }],
               access_keys: [{ id: REPORTS, secret: 'file:/run/key', functions: ['reports-*'] }],
               identities: [{ uri: 'spiffe://td/ns/shop/*' }] }",
        );
        let Ok(Some(CallersConfig::Known(known))) = read else {
            panic!("{read:?}");
        };
        let file = |path: &str| SecretSource::File(path.into());
        let places: Vec<_> = known.secrets().cloned().collect();
        let expected = [
            SecretSource::Env("NEW".to_owned()),
            file("/etc/old"),
            file("/run/key"),
        ];
        assert_eq!(places, expected);
        assert_eq!(known.variables().collect::<Vec<_>>(), ["NEW"]);
        let allowed = &known.access_keys[0].functions;
        assert!(allowed.matches(&"reports-daily".parse().unwrap()));
        assert!(!allowed.matches(&"orders".parse().unwrap()));
        assert!(
            known.filters[0]
                .functions
                .matches(&"orders".parse().unwrap())
        );
        assert!(matches!(
            parse("{ anyone: true }"),
            Ok(Some(CallersConfig::Anyone))
        ));
    }

    #[test]
    fn every_mistake_has_its_sentence_and_no_sentence_has_a_secret() {
        for (callers, sentence) in [
            (
                "{}",
                "callers: nobody could call; add `filters`, `access_keys` or `identities`, or `anyone: true`",
            ),
            (
                "{ anyone: false }",
                "callers: nobody could call; add `filters`, `access_keys` or `identities`, or `anyone: true`",
            ),
            (
                "{ anyone: yes }",
                "callers.anyone: expected true or false, found \"yes\"",
            ),
            (
                "{ anyone: true, filters: [{ secrets: [env:A] }] }",
                "callers: `anyone: true` makes the other keys pointless; keep one or the others",
            ),
            (
                "{ filters: [{}] }",
                "callers.filters[0]: the key `secrets` is missing",
            ),
            (
                "{ filters: [{ secrets: [] }] }",
                "callers.filters[0].secrets: expected one or two secrets, found 0",
            ),
            (
                "{ filters: [{ secrets: [env:A, env:B, env:C] }] }",
                "callers.filters[0].secrets: expected one or two secrets, found 3",
            ),
            (
                "{ filters: [{ secrets: [0123456789abcdef0123456789abcdef] }] }",
                "callers.filters[0].secrets[0]: expected env:NAME or file:PATH; a secret itself does not belong into this file",
            ),
            (
                "{ access_keys: [{ id: a/b, secret: env:A }] }",
                "callers.access_keys[0].id: expected an access key id of 4 to 128 letters, digits, - and _, found \"a/b\"",
            ),
            (
                "{ access_keys: [{ id: abcd, secret: env:A }, { id: abcd, secret: env:B }] }",
                "callers: the access key abcd stands twice; remove one",
            ),
            (
                "{ identities: [{ uri: 'spiffe://td/shop*' }] }",
                "callers.identities[0].uri: expected a URI such as spiffe://cluster.local/ns/shop/sa/cart, or spiffe://cluster.local/ns/shop/*, found \"spiffe://td/shop*\"",
            ),
            (
                "{ identities: [{ uri: 'spiffe://td/a', functions: ['a b'] }] }",
                "callers.identities[0].functions[0]: expected a function's bare name, with * and ?, found \"a b\"",
            ),
        ] {
            let error = parse(callers).unwrap_err();
            assert_eq!(error, format!("invoker.yaml:1: {sentence}"));
        }
    }
}
