//! The cases of `fixtures/golden`, which record what AWS sends and accepts, and their matching rules,
//! which `fixtures/golden/README.md` explains.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use xtask::workspace_root;

use crate::client::Response;

/// A request, and the expected event.
#[derive(Clone, Debug, Deserialize)]
pub struct RequestCase {
    /// The name in a report.
    pub id: String,
    /// The payload format, as in the filter's `payload` key.
    pub format: String,
    /// Keys of the filter's configuration, for what would be configured at AWS.
    pub config: Map<String, Value>,
    /// The request.
    pub request: GoldenRequest,
    /// The client's address.
    pub source_ip: String,
    expect: Value,
    #[serde(default)]
    expect_forwarded: Value,
    #[serde(default)]
    expect_context: Value,
    expect_absent: Vec<String>,
    expect_null_or_absent: Vec<String>,
    #[serde(default)]
    alternatives: Map<String, Value>,
}

/// The request of a [`RequestCase`].
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenRequest {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host.
    pub authority: String,
    /// The path with the query.
    pub path_and_query: String,
    /// The headers without the host, as the client spells them.
    pub headers: Vec<(String, String)>,
    body_base64: Option<String>,
}

/// A function's payload, and the expected HTTP response.
#[derive(Clone, Debug, Deserialize)]
pub struct ResponseCase {
    /// The name in a report.
    pub id: String,
    /// The payload format.
    pub format: String,
    /// Keys of the filter's configuration.
    pub config: Map<String, Value>,
    /// The request of the invocation.
    pub request: InvokingRequest,
    lambda_payload: Option<String>,
    lambda_payload_gen: Option<Repeated>,
    /// The value of `X-Amz-Function-Error`.
    pub function_error: Option<String>,
    expect: ExpectedResponse,
    #[serde(default)]
    alternatives: Vec<ExpectedResponse>,
    /// The rules that hold for any status.
    #[serde(default)]
    pub invariants: Vec<String>,
}

/// The request of a [`ResponseCase`].
#[derive(Clone, Debug, Deserialize)]
pub struct InvokingRequest {
    /// The method.
    pub method: String,
    /// The headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, Deserialize)]
struct Repeated {
    prefix: String,
    unit: String,
    count: usize,
    #[serde(default)]
    unit2: String,
    suffix: String,
}

#[derive(Clone, Debug, Deserialize)]
struct ExpectedResponse {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    headers_absent: Vec<String>,
    body_base64: Option<String>,
    body_json: Option<Value>,
}

/// A payload that a framework's adapter made of a known response.
#[derive(Clone, Debug, Deserialize)]
pub struct AdapterCase {
    /// The name in a report.
    pub id: String,
    /// The payload format.
    pub format: String,
    app_response: AppResponse,
    /// The payload.
    pub lambda_payload: String,
    lost_by_adapter: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct AppResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body_base64: String,
}

/// The cases that differ from AWS on purpose, each with the reason.
pub const DEVIATIONS: [(&str, &str); 1] = [(
    "v1r-base64-without-binary-types",
    "a REST API decodes only its binary media types, which are often not configured; here, a body \
     that a function marks as base64 is always decoded",
)];

/// The differences of all cases from AWS.
#[derive(Debug, Default)]
pub struct Report(Vec<String>);

impl Report {
    /// Adds the differences of a case. A case of [`DEVIATIONS`] must differ.
    pub fn add(&mut self, id: &str, differences: &[String]) {
        let deviation = DEVIATIONS.iter().find(|(deviating, _)| *deviating == id);
        match deviation {
            None => self
                .0
                .extend(differences.iter().map(|what| format!("{id}: {what}"))),
            Some((_, why)) if differences.is_empty() => {
                self.0.push(format!("{id}: agrees with AWS, though {why}"));
            }
            Some(_) => {}
        }
    }

    /// # Panics
    /// Any case differs.
    #[track_caller]
    pub fn assert_empty(&self) {
        assert!(
            self.0.is_empty(),
            "{} differ:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

/// Returns the request cases by payload format.
pub fn requests() -> BTreeMap<String, Vec<RequestCase>> {
    load("cases.json", |case: &RequestCase| &case.format)
}

/// Returns the response cases by payload format.
pub fn responses() -> BTreeMap<String, Vec<ResponseCase>> {
    load("responses.json", |case: &ResponseCase| &case.format)
}

/// Returns the payloads of adapters by payload format.
pub fn adapter_responses() -> BTreeMap<String, Vec<AdapterCase>> {
    load("adapter_responses.json", |case: &AdapterCase| &case.format)
}

fn load<T: DeserializeOwned>(
    name: &str,
    format: impl Fn(&T) -> &String,
) -> BTreeMap<String, Vec<T>> {
    #[derive(Deserialize)]
    struct Table<T> {
        cases: Vec<T>,
    }
    let path = workspace_root().join("tests/fixtures/golden").join(name);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table: Table<T> =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!table.cases.is_empty(), "{} has no case", path.display());
    let mut formats = BTreeMap::<_, Vec<_>>::new();
    for case in table.cases {
        formats.entry(format(&case).clone()).or_default().push(case);
    }
    formats
}

impl GoldenRequest {
    /// Returns the body. An empty body is not `None`.
    pub fn body(&self) -> Option<Vec<u8>> {
        self.body_base64.as_deref().map(decode)
    }
}

impl RequestCase {
    /// Returns the differences between `event` and the event that AWS sends.
    pub fn differences(&self, event: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for expected in [&self.expect, &self.expect_forwarded, &self.expect_context] {
            // A case without the member has no expectation.
            if !expected.is_null() {
                self.compare("", expected, Some(event), &mut found);
            }
        }
        for pointer in &self.expect_absent {
            if let Some(value) = event.pointer(pointer) {
                found.push(format!("{pointer}: absent expected, found {value}"));
            }
        }
        for pointer in &self.expect_null_or_absent {
            match event.pointer(pointer) {
                None | Some(Value::Null) => {}
                Some(value) => found.push(format!("{pointer}: null expected, found {value}")),
            }
        }
        found
    }

    fn compare(
        &self,
        pointer: &str,
        expected: &Value,
        actual: Option<&Value>,
        found: &mut Vec<String>,
    ) {
        let others = self.alternatives.get(pointer).and_then(Value::as_array);
        if others.is_some_and(|others| others.iter().any(|other| Some(other) == actual)) {
            return;
        }
        match (expected, actual) {
            (Value::Object(expected), Some(Value::Object(actual))) => {
                for (name, expected) in expected {
                    let pointer = format!("{pointer}/{name}");
                    self.compare(&pointer, expected, self.member(actual, name), found);
                }
            }
            (expected, Some(actual)) if expected == actual => {}
            (expected, Some(actual))
                if pointer.ends_with("/timeEpoch") && is_same_form(expected, actual) => {}
            (expected, actual) => {
                let actual = actual.map_or_else(|| "nothing".to_owned(), Value::to_string);
                found.push(format!("{pointer}: {expected} expected, found {actual}"));
            }
        }
    }

    /// Returns a member of an object. REST APIs keep the client's spelling of header names, which Envoy has
    /// lowered, so their case does not count.
    fn member<'a>(&self, object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        if self.format != "apigateway-v1" {
            return object.get(name);
        }
        let mut members = object.iter();
        let member = members.find(|(member, _)| member.eq_ignore_ascii_case(name));
        member.map(|(_, value)| value)
    }
}

/// Returns whether two times have the same form: both a number or both a string, with as many digits. The
/// times of the cases are those of the recording.
fn is_same_form(expected: &Value, actual: &Value) -> bool {
    expected.is_string() == actual.is_string()
        && expected.to_string().len() == actual.to_string().len()
}

impl ResponseCase {
    /// Returns the function's payload, which need not be JSON.
    pub fn payload(&self) -> String {
        match (&self.lambda_payload, &self.lambda_payload_gen) {
            (Some(payload), None) => payload.clone(),
            (None, Some(parts)) => [
                parts.prefix.as_str(),
                &parts.unit.repeat(parts.count),
                &parts.unit2.repeat(parts.count),
                &parts.suffix,
            ]
            .concat(),
            _ => panic!("{}: one payload expected", self.id),
        }
    }

    /// Returns the differences between `response` and the nearest of the acceptable responses.
    ///
    /// The caller has to check the invariants `no_body_on_wire` and `no_crash`, which are not visible in a
    /// response.
    pub fn differences(&self, response: &Response) -> Vec<String> {
        let acceptable = std::iter::once(&self.expect).chain(&self.alternatives);
        let nearest = acceptable
            .map(|expected| expected.differences(response))
            .min_by_key(Vec::len);
        let mut found = nearest.unwrap_or_default();
        found.extend(
            self.invariants
                .iter()
                .filter_map(|rule| broken(rule, response)),
        );
        found
    }
}

fn broken(invariant: &str, response: &Response) -> Option<String> {
    let lengths = || response.all("content-length");
    let holds = match invariant {
        "valid_http" => (200..=599).contains(&response.status),
        "no_injected_header" => response.all("x-injected").is_empty(),
        "framing_ok" => lengths()
            .iter()
            .all(|length| **length == *response.body.len().to_string()),
        "no_body_on_wire" => response.body.is_empty(),
        "no_crash" => true,
        counted => {
            let parts: Vec<_> = counted.split(':').collect();
            match parts[..] {
                ["header_count", name, count] => response.all(name).len().to_string() == count,
                _ => panic!("{counted}: an unknown invariant"),
            }
        }
    };
    (!holds).then(|| format!("{invariant} does not hold: {:?}", response.headers))
}

impl ExpectedResponse {
    fn differences(&self, response: &Response) -> Vec<String> {
        let mut found = Vec::new();
        if self.status != response.status {
            found.push(format!(
                "status {} expected, found {}",
                self.status, response.status
            ));
        }
        found.extend(missing(&self.headers, response));
        for name in &self.headers_absent {
            if response.headers.contains_key(name) {
                found.push(format!(
                    "no {name} expected, found {:?}",
                    response.all(name)
                ));
            }
        }
        let body = &response.body;
        if let Some(expected) = &self.body_base64
            && decode(expected) != *body
        {
            found.push(format!("another body expected, found {body:?}"));
        }
        if let Some(expected) = &self.body_json
            && serde_json::from_slice::<Value>(body).ok().as_ref() != Some(expected)
        {
            found.push(format!("body {expected} expected, found {body:?}"));
        }
        found
    }
}

impl AdapterCase {
    /// Returns the differences between `response` and the response of the application.
    pub fn differences(&self, response: &Response) -> Vec<String> {
        let app = &self.app_response;
        let mut found = Vec::new();
        if app.status != response.status {
            found.push(format!(
                "status {} expected, found {}",
                app.status, response.status
            ));
        }
        if decode(&app.body_base64) != *response.body {
            found.push(format!("another body expected, found {:?}", response.body));
        }
        let mut names: Vec<_> = app
            .headers
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        names.sort();
        names.dedup();
        // An entry of `lost_by_adapter` is `NAME: REST OF THE VALUES`.
        names.retain(|name| {
            let mut lost = self.lost_by_adapter.iter();
            !lost.any(|lost| lost.split(':').next() == Some(name))
        });
        for name in names {
            let given = app
                .headers
                .iter()
                .filter(|(given, _)| given.eq_ignore_ascii_case(&name));
            let given: Vec<_> = given.map(|(_, value)| value.as_str()).collect();
            let received = response.all(&name);
            // An adapter may join repeated headers other than `set-cookie`, with the same meaning
            // (RFC 9110, 5.3).
            let same = if name == "set-cookie" {
                given == received
            } else {
                elements(&given) == elements(&received)
            };
            if !same {
                found.push(format!("{name}: {given:?} expected, found {received:?}"));
            }
        }
        found
    }
}

/// Returns the expected headers that `response` lacks. The values of a name must be in their order.
fn missing(expected: &[(String, String)], response: &Response) -> Vec<String> {
    let mut received = HashMap::new();
    let mut missing = Vec::new();
    for (name, value) in expected {
        let values = received
            .entry(name)
            .or_insert_with(|| response.headers.get_all(name).iter());
        if !values.any(|received| received == value.as_str()) {
            missing.push(format!(
                "{name}: {value} expected, found {:?}",
                response.all(name)
            ));
        }
    }
    missing
}

fn elements<'a>(values: &[&'a str]) -> Vec<&'a str> {
    let all = values.iter().flat_map(|value| value.split(','));
    all.map(str::trim).collect()
}

fn decode(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64 in the golden data")
}

#[cfg(test)]
mod tests;
