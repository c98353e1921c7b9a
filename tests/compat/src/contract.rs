//! What every application is asked, and what a right answer is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::client::Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::manifest::Format;

/// The boundary of the multipart body.
const BOUNDARY: &str = "compat-boundary";

/// The routes of every application, as templates of API Gateway.
pub const RESOURCES: [&str; 10] = [
    "/query",
    "/cookies",
    "/json",
    "/form",
    "/upload",
    "/binary",
    "/redirect",
    "/boom",
    "/head",
    "/path/{name}",
];

/// A request, and the answer that any framework should give to it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in `matrix.yaml` and in reports.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, with the query.
    pub target: &'static str,
    /// The headers but for the host.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body, if it has one.
    pub body: Option<Vec<u8>>,
    /// The right answer.
    pub expect: Expectation,
}

/// What is expected of an answer. What is `None`, or not named, may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The status code.
    pub status: Option<u16>,
    /// Headers by name; `None` for one that must not be there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The `NAME=VALUE` of each `set-cookie` header, in their order.
    pub cookies: Option<Vec<String>>,
    /// The body.
    pub body: Option<Body>,
}

/// What is expected of a body.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Equal as JSON.
    Json(Value),
    /// Equal as text.
    Text(String),
    /// Byte for byte every value from 0 to 255.
    AllBytes,
    /// As [`Self::AllBytes`], but still encoded as base64.
    AllBytesInBase64,
    /// Nothing.
    Empty,
    /// Anything but what the contract asks for.
    Any,
}

impl Expectation {
    /// This, with what `other` names in its place.
    #[must_use]
    pub fn replaced_by(&self, other: &Self) -> Self {
        let mut headers = self.headers.clone();
        headers.extend(other.headers.clone());
        Self {
            status: other.status.or(self.status),
            headers,
            cookies: other.cookies.clone().or_else(|| self.cookies.clone()),
            body: other.body.clone().or_else(|| self.body.clone()),
        }
    }

    /// Whether `answer` is as expected.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, answer: &Answer) -> Result<(), String> {
        if let Some(status) = self.status
            && answer.status != status
        {
            return Err(format!("status {status} expected, found {}", answer.status));
        }
        for (name, expected) in &self.headers {
            let found = answer.headers.get(name);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()));
            if found.as_deref().map(essence) != expected.as_deref() {
                return Err(format!("{name}: {expected:?} expected, found {found:?}"));
            }
        }
        if let Some(expected) = &self.cookies {
            let found = cookies(answer);
            if found != *expected {
                return Err(format!("cookies {expected:?} expected, found {found:?}"));
            }
        }
        self.body
            .as_ref()
            .map_or(Ok(()), |body| body.check(&answer.body))
    }
}

impl Case {
    fn status(mut self, status: u16) -> Self {
        self.expect.status = Some(status);
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.expect
            .headers
            .insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    fn json(mut self, body: &Value) -> Self {
        self.expect.body = Some(Body::Json(body.clone()));
        self.header("content-type", "application/json")
    }

    /// The type is asked for, because Chalice answers with bytes to nobody else.
    fn octets(mut self) -> Self {
        self.headers.push(("accept", "application/octet-stream"));
        self.expect.body = Some(Body::AllBytes);
        self.header("content-type", "application/octet-stream")
    }
}

impl Body {
    fn check(&self, found: &[u8]) -> Result<(), String> {
        let right = match self {
            Self::Json(expected) => {
                serde_json::from_slice::<Value>(found).is_ok_and(|found| found == *expected)
            }
            Self::Text(expected) => found == expected.as_bytes(),
            Self::AllBytes => found == all_bytes(),
            Self::AllBytesInBase64 => STANDARD
                .decode(found)
                .is_ok_and(|found| found == all_bytes()),
            Self::Empty => found.is_empty(),
            Self::Any => true,
        };
        if right {
            return Ok(());
        }
        let shown = match self {
            Self::Json(expected) => expected.to_string(),
            other => format!("{other:?}"),
        };
        let text = String::from_utf8_lossy(found);
        Err(format!(
            "body {shown} expected, found {} bytes: {text:.300}",
            found.len()
        ))
    }
}

/// Every request, in the order in which they are sent.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<[Case; 12]> = LazyLock::new(|| {
        [
            get(
                "query",
                "/query?q=hello%20world&plus=a%2Bb&utf8=%E2%98%95&empty=",
            )
            .json(&json!({
                "q": ["hello world"], "plus": ["a+b"], "utf8": ["☕"], "empty": [""],
            })),
            get("repeated-keys", "/query?tag=a&tag=b&one=1")
                .json(&json!({ "tag": ["a", "b"], "one": ["1"] })),
            cookies_both_ways(),
            post(
                "json",
                "/json",
                "application/json",
                r#"{"text":"héllo","list":[1,null]}"#.into(),
            )
            .json(&json!({ "text": "héllo", "list": [1, null] })),
            post(
                "form",
                "/form",
                "application/x-www-form-urlencoded",
                "name=Ada+L%26l&tag=a&tag=b&empty=".into(),
            )
            .json(&json!({ "name": ["Ada L&l"], "tag": ["a", "b"], "empty": [""] })),
            upload(),
            get("binary", "/binary").octets(),
            get("redirect", "/redirect")
                .status(302)
                .header("location", "/query?from=redirect"),
            get("not-found", "/missing").status(404),
            get("exception", "/boom").status(500),
            head(),
            get("encoded-path", "/path/caf%C3%A9%20a%2Bb").json(&json!({ "name": "café a+b" })),
        ]
    });
    &*CASES
}

/// What a client gets in `format` when the invocation itself fails.
#[must_use]
pub fn function_error(format: Format) -> Expectation {
    let (status, body) = match format {
        Format::ApigatewayV1 => (
            502,
            Some(Body::Json(json!({ "message": "Internal server error" }))),
        ),
        Format::ApigatewayV2 => (
            500,
            Some(Body::Json(json!({ "message": "Internal Server Error" }))),
        ),
        Format::FunctionUrl => (502, Some(Body::Text("Internal Server Error".to_owned()))),
        Format::Alb | Format::AlbMultiValue | Format::VpcLatticeV1 | Format::VpcLatticeV2 => {
            (502, None)
        }
    };
    Expectation {
        status: Some(status),
        body,
        ..Expectation::default()
    }
}

fn cookies_both_ways() -> Case {
    let mut case =
        get("cookies", "/cookies").json(&json!({ "theme": "dark", "session": "abc123" }));
    case.headers.push(("cookie", "theme=dark; session=abc123"));
    case.expect.cookies = Some(vec!["first=1".to_owned(), "second=2".to_owned()]);
    case
}

fn upload() -> Case {
    let head = format!(
        "--{BOUNDARY}\r\n\
         content-disposition: form-data; name=\"note\"\r\n\r\n\
         hello\r\n\
         --{BOUNDARY}\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"all.bin\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let body = [head.into_bytes(), all_bytes(), tail.into_bytes()].concat();
    post(
        "upload",
        "/upload",
        "multipart/form-data; boundary=compat-boundary",
        body,
    )
    .octets()
    .header("x-filename", "all.bin")
    .header("x-note", "hello")
}

fn head() -> Case {
    let mut case = get("head", "/head").header("x-method", "HEAD");
    case.method = "HEAD";
    case.expect.body = Some(Body::Empty);
    case
}

fn post(id: &'static str, target: &'static str, content_type: &'static str, body: Vec<u8>) -> Case {
    let mut case = get(id, target);
    case.method = "POST";
    case.headers.push(("content-type", content_type));
    case.body = Some(body);
    case
}

fn get(id: &'static str, target: &'static str) -> Case {
    Case {
        id,
        method: "GET",
        target,
        headers: Vec::new(),
        body: None,
        expect: Expectation {
            status: Some(200),
            ..Expectation::default()
        },
    }
}

/// A header's value without its parameters: `charset` is a matter of taste.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or(value)
}

fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// The `NAME=VALUE` of each `set-cookie` header.
fn cookies(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("set-cookie").iter();
    let pairs = values.map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        essence(&value).to_owned()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Answer {
        let mut answer = Answer {
            status: 200,
            headers: Default::default(),
            body: body.into(),
            trailers: Default::default(),
        };
        for (name, value) in headers {
            answer.headers.append(*name, value.parse().unwrap());
        }
        answer
    }

    #[test]
    fn every_part_of_an_answer_is_compared() {
        let expect = Expectation {
            status: Some(200),
            headers: [
                ("x-a".to_owned(), Some("1".to_owned())),
                ("x-b".to_owned(), None),
            ]
            .into(),
            cookies: Some(vec!["a=1".to_owned()]),
            body: Some(Body::Text("hello".to_owned())),
        };
        let right = [("x-a", "1; charset=x"), ("set-cookie", "a=1; Path=/")];
        assert_eq!(expect.check(&answer(&right, b"hello")), Ok(()));
        let wrong = [
            answer(&right, b"hallo"),
            answer(&[("x-a", "2"), ("set-cookie", "a=1")], b"hello"),
            answer(
                &[("x-a", "1"), ("x-b", ""), ("set-cookie", "a=1")],
                b"hello",
            ),
            answer(&[("x-a", "1")], b"hello"),
        ];
        for answer in wrong {
            assert!(expect.check(&answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_replacement_keeps_what_it_does_not_name() {
        let case = cases().iter().find(|case| case.id == "redirect").unwrap();
        let other = Expectation {
            status: Some(301),
            ..Expectation::default()
        };
        let replaced = case.expect.replaced_by(&other);
        assert_eq!(replaced.status, Some(301));
        assert_eq!(replaced.headers, case.expect.headers);
    }
}
