//! The JSON Schemas agree with the programs: both refuse the same keys, types, ranges and forms.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lambda_filter_core::config::Settings;
use serde_json::{Value, json};
use sidecar_invoker::config::{Config, reference};

/// A value, and its place in a document, as the program names it: `routes[0].host`.
type Case = (String, Value);

/// A schema, and the program that has to agree.
struct Pair {
    schema: Value,
    /// Returns the places in which the program finds mistakes.
    problems: fn(&Value) -> Vec<String>,
}

fn pairs() -> [Pair; 2] {
    let filter = Pair {
        schema: serde_json::from_str(&Settings::schema()).unwrap(),
        problems: |document| {
            let problems = Settings::parse(document.as_object().unwrap()).err();
            // `KEY`: MESSAGE
            let place = |problem: String| problem.split('`').nth(1).unwrap().to_owned();
            problems
                .map(|problem| place(problem.to_string()))
                .into_iter()
                .collect()
        },
    };
    [invoker(), filter]
}

fn invoker() -> Pair {
    Pair {
        schema: serde_json::from_str(&reference::schema()).unwrap(),
        problems: |document| {
            let config = Config::parse("invoker.yaml", &document.to_string(), Path::new("/"));
            let problems = config.map_or_else(|error| error.problems, |_| Vec::new());
            problems.into_iter().map(|problem| problem.key).collect()
        },
    }
}

impl Pair {
    /// Checks that schema and program accept each value, or that both refuse it.
    fn agree(&self, cases: &[Case], accept: bool) {
        let documents: Vec<_> = cases.iter().map(document).collect();
        let mistakes = xtask::schema::mistakes(&self.schema, &documents).unwrap();
        assert!(!cases.is_empty() && mistakes.len() == cases.len());
        for (((place, _), document), mistakes) in cases.iter().zip(&documents).zip(mistakes) {
            let problems = (self.problems)(document);
            // The filter names the list, not the item.
            let is_here =
                |problem: &String| place.trim_end_matches("[0]") == problem || place == problem;
            assert_eq!(
                !problems.iter().any(is_here),
                accept,
                "{document}: {problems:?}"
            );
            // For a schema, an unknown key is a mistake of the mapping.
            let place = place.trim_end_matches("colour").trim_end_matches('.');
            let separator = if place.is_empty() { "" } else { "." };
            let path = format!("${separator}{place}");
            let is_here = |mistake: &String| {
                let rest = mistake.strip_prefix(&path);
                rest.is_some_and(|rest| rest.starts_with([':', '[']))
            };
            assert_eq!(
                !mistakes.iter().any(is_here),
                accept,
                "{document}: {mistakes:?}"
            );
        }
    }
}

/// Returns a document with a value in its place, and with what the program needs to look at it.
fn document((place, value): &Case) -> Value {
    let steps = place.rsplit('.');
    let mut document = steps.fold(value.clone(), |inner, step| {
        match step.strip_suffix("[0]") {
            Some(key) => json!({ key: [inner] }),
            None => json!({ step: inner }),
        }
    });
    if document.get("socket_mode").is_some() {
        document["listen"] = "unix:///a".into();
    }
    if place.starts_with("import_") {
        document["import"] = "template.yaml".into();
    }
    if let Some(aws) = document.get_mut("aws").and_then(Value::as_object_mut) {
        aws.entry("role_arn").or_insert(ROLE.into());
    }
    if let Some(Value::Object(function)) = document.pointer_mut("/functions/a") {
        if !["aws", "rie", "local"]
            .iter()
            .any(|key| function.contains_key(*key))
        {
            function.insert("rie".to_owned(), "http://a".into());
        }
        if let Some(Value::Object(local)) = function.get_mut("local") {
            local.entry("concurrency").or_insert(1_000.into());
        }
    }
    document
}

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

/// Calls `found` for all schemas inside of a schema, with their places.
fn visit(schema: &Value, place: &str, found: &mut impl FnMut(&str, &Value)) {
    found(place, schema);
    let at = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        visit(schema, &at(key), found);
    }
    if schema["additionalProperties"].is_object() {
        visit(&schema["additionalProperties"], &at("a"), found);
    }
    if schema["items"].is_object() {
        visit(&schema["items"], &format!("{place}[0]"), found);
    }
}

/// Returns the cases that `make` finds in all schemas inside of a schema.
fn cases<I: IntoIterator<Item = Case>>(pair: &Pair, make: impl Fn(&str, &Value) -> I) -> Vec<Case> {
    let mut cases = Vec::new();
    visit(&pair.schema, "", &mut |place, schema| {
        cases.extend(make(place, schema));
    });
    cases
}

#[test]
fn both_refuse_an_unknown_key() {
    for pair in pairs() {
        let unknown = cases(&pair, |place, schema| {
            let place = format!("{place}.colour").trim_start_matches('.').to_owned();
            (schema["additionalProperties"] == false).then(|| (place, json!("red")))
        });
        pair.agree(&unknown, false);
    }
}

#[test]
fn both_refuse_a_value_of_a_wrong_type() {
    for pair in pairs() {
        let wrong = cases(&pair, |place, schema| {
            let types = schema["type"].to_string();
            let wrong = [("object", json!({ "a": "b" })), ("array", json!(["a"]))];
            let is_wrong =
                |name: &str| !place.is_empty() && types != "null" && !types.contains(name);
            let wrong = wrong.into_iter().filter(|(name, _)| is_wrong(name));
            wrong
                .map(|(_, value)| (place.to_owned(), value))
                .collect::<Vec<_>>()
        });
        pair.agree(&wrong, false);
    }
}

#[test]
fn both_have_the_same_choices_and_ranges() {
    for pair in pairs() {
        let right = cases(&pair, |place, schema| {
            let limits = [&schema["minimum"], &schema["maximum"]];
            let limits = limits.into_iter().filter(|limit| limit.is_number());
            let right = schema["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .chain(limits);
            right
                .map(|value| (place.to_owned(), value.clone()))
                .collect::<Vec<_>>()
        });
        pair.agree(&right, true);
        let wrong = cases(&pair, |place, schema| {
            let other = schema.get("enum").map(|_| json!("other"));
            let below = schema["minimum"].as_i64().map(|least| json!(least - 1));
            let above = schema["maximum"].as_i64().map(|most| json!(most + 1));
            let wrong = [other, below, above].into_iter().flatten();
            wrong
                .map(|value| (place.to_owned(), value))
                .collect::<Vec<_>>()
        });
        pair.agree(&wrong, false);
    }
}

/// Texts of each form: a place, what is accepted there, what is not.
const FORMS: &str = r#"[
    ["listen", ["[::1]:0", "a.b:1", "unix:///a"], ["a", 9090, "unix://a"]],
    ["socket_mode", ["660", 660], ["0o660", "6600", 1.5]],
    ["admin", ["localhost:80"], ["unix:///a", 80]],
    ["callers.filters[0].secrets[0]", ["env:A", "file:/a"], ["a", "env:", "env:1A", "env:A)", "file:", 1]],
    ["callers.access_keys[0].id", ["AKID", "a-b_1", 1234], ["a/b", "abc", ""]],
    ["callers.identities[0].uri", ["spiffe://td/a", "spiffe://td/a/*"], ["td", "spiffe://td/a*", 1]],
    ["drain_timeout", [1, "1", "500ms", "30s", "15m"], ["1d", "", "1.5s", 1.5, true]],
    ["traces.endpoint", ["http://a:4318", "https://a/b"], ["a:4317", "grpc://a", "http://u@a", 1]],
    ["traces.service_name", ["edge", 1], ["", " "]],
    ["traces.sample_ratio", ["0.25", 0.25, 1, "1.0"], ["2", "1.5", "-1", "50%", ""]],
    ["import_stack_name", ["orders-dev"], ["1a", "a_b", ""]],
    ["import_jwks.a", ["https://a", "http://a:1/b"], ["a", "ftp://a/", "https://a@b", 1]],
    ["aws.region", ["eu-west-1"], ["EU", "", 1.5]],
    ["aws.endpoint", ["http://a", "https://a.b:1/", "http://[::1]"], ["a.b", "http://a/b", 1]],
    ["aws.role_arn", ["arn:aws-cn:iam::123456789012:role/r"], ["r", "arn:aws:iam::1:user/u"]],
    ["aws.external_id", ["a+=,.@:/-_", 12], ["a", "a b", "ä!"]],
    ["aws.session_name", ["a+=,.@-_", 12], ["a", "a:b", "a/b"]],
    ["aws.allow[0]", ["a-*", "b?", 1], ["", "a b", "a.b"]],
    ["functions.a.rie", ["http://a", "http://a:1/"], ["https://a", "http://a/b", "a:1"]],
    ["functions.a.aws.function", ["o", 7, "o:live", "123456789012:function:o:$LATEST.PUBLISHED",
        "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:o:$LATEST"],
        ["a.b", "", "o:", "o:live:x", "arn:aws:s3:::b"]],
    ["functions.a.aws.qualifier", ["live", 42, "$LATEST"], ["$LIVE", "a.b", ""]],
    ["functions.a.versions[0]", [1, "42"], ["0", "01", "a", ""]],
    ["functions.a.aliases.a", ["$LATEST"], ["live", "0", ""]],
    ["functions.a.event.maximum_event_age", [60, "1000ms", "6h"], ["1d", ""]],
    ["routes[0].host", ["*", "*.a_b.c", "A.b", "localhost"], ["a:80", "", "a*"]],
    ["routes[0].path", ["/", "/*", "/a/{id}", "/{p+}", "/a/*"], ["a", "", "/a?b"]],
    ["routes[0].method", ["GET", "ANY"], ["get", "M-SEARCH", ""]],
    ["routes[0].stage", ["prod", 1, true], ["a/b", ""]],
    ["routes[0].account_id", ["a", 123456789012], [""]],
    ["routes[0].invoker_secret", ["0123456789abcdef0123456789abcdef"], ["short", ""]],
    ["routes[0].strip_prefix", ["/shop", "/a/b"], ["shop", "/", "/a/", "/a?"]],
    ["routes[0].resource", ["/pets/{id}", "/"], ["pets", ""]],
    ["routes[0].binary_media_types[0]", ["image/*", "*/*", "a/b"], ["image", "a/b;c"]]
]"#;

#[test]
fn both_have_the_same_forms_of_text() {
    type Form = (String, Vec<Value>, Vec<Value>);
    let forms: Vec<Form> = serde_json::from_str(FORMS).unwrap();
    let cases = |values: fn(&Form) -> &[Value]| {
        let cases = forms.iter().flat_map(|form| {
            let values = values(form).iter();
            values.map(|value| (form.0.clone(), value.clone()))
        });
        cases.collect::<Vec<Case>>()
    };
    let invoker = invoker();
    invoker.agree(&cases(|(_, right, _)| right), true);
    invoker.agree(&cases(|(_, _, wrong)| wrong), false);

    let (mut tested, mut all) = (BTreeSet::new(), BTreeSet::new());
    visit(&invoker.schema, "", &mut |place, schema| {
        let pattern = schema["pattern"].as_str().map(str::to_owned);
        if forms.iter().any(|(form, ..)| form == place) {
            tested.extend(pattern.clone());
        }
        all.extend(pattern);
    });
    assert_eq!(tested, all, "FORMS has every pattern");
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bootstrap"), "").unwrap();
    let config = |document: &Value| {
        let config = Config::parse("invoker.yaml", &document.to_string(), folder.path());
        let config = config.unwrap_or_else(|error| panic!("{document}: {error}"));
        format!("{config:?}")
    };
    let unwritten = json!({
        "aws": { "role_arn": ROLE },
        "callers": {
            "filters": [{ "secrets": ["env:A"] }],
            "access_keys": [{ "id": "AKID", "secret": "env:B" }],
            "identities": [{ "uri": "spiffe://td/a" }],
        },
        "functions": { "a": { "rie": "http://a", "event": {} }, "b": { "local": {} } },
        "routes": [{ "function": "a" }],
    });
    let mut defaults = 0;
    visit(&invoker().schema, "", &mut |place, schema| {
        let (mapping, key) = place.rsplit_once('.').unwrap_or(("", place));
        // The filter's own defaults have a test there.
        let is_filter = mapping == "routes[0]" && Settings::KEYS.contains(&key);
        let Some(default) = schema.get("default").filter(|_| !is_filter) else {
            return;
        };
        let pointer = format!("/{mapping}").replace('.', "/").replace("[0]", "/0");
        let pointer = pointer
            .replace("/a/local", "/b/local")
            .trim_end_matches('/')
            .to_owned();
        let mut written = unwritten.clone();
        written.pointer_mut(&pointer).unwrap()[key] = default.clone();
        assert_eq!(config(&written), config(&unwritten), "{place}");
        defaults += 1;
    });
    assert!(defaults > 20, "{defaults}");
}

#[test]
fn the_program_prints_the_schemas() {
    let print = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sidecar-invoker"));
        let output = program.arg("schema").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(print(&[]), reference::schema());
    assert_eq!(print(&["invoker"]), reference::schema());
    assert_eq!(print(&["filter"]), Settings::schema());
}

#[test]
fn shipped_configurations_are_valid() {
    let root = xtask::workspace_root();
    let folders = ["examples", "envoy", "sidecar-invoker/tests/fixtures"];
    let mut texts = Vec::new();
    for file in folders
        .iter()
        .flat_map(|folder| files(&root.join(folder), "invoker.yaml"))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        let config = Config::parse(&file.to_string_lossy(), &text, file.parent().unwrap());
        config.unwrap_or_else(|error| panic!("{error}"));
        texts.push(text);
    }
    assert!(texts.len() >= 5, "{texts:?}");
    for page in files(&root.join("docs"), ".md") {
        let page = std::fs::read_to_string(page).unwrap();
        let blocks = page.split("```yaml\n").skip(1);
        let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
        let is_invoker = |block: &&str| block.contains("functions:") || block.contains("import:");
        texts.extend(blocks.filter(is_invoker).map(str::to_owned));
    }
    assert!(texts.len() >= 10, "{texts:?}");
    let documents = texts
        .iter()
        .map(|text| serde_saphyr::from_str(text).unwrap());
    let documents: Vec<Value> = documents.collect();
    let mistakes = xtask::schema::mistakes(&invoker().schema, &documents).unwrap();
    for (text, mistakes) in texts.iter().zip(mistakes) {
        assert!(mistakes.is_empty(), "{mistakes:?} in\n{text}");
    }
}

/// Returns all files below a folder whose path ends in `end`.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => files(&path, end),
        false => vec![path],
    });
    found
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect()
}
