//! The requests to every application, and the expected responses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_mesh_tests::client::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::format::Format;

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

/// A request, and the response that any framework should give.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name in `matrix.yaml` and in reports.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, with the query.
    pub target: &'static str,
    /// The headers without the host.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body, if it has one.
    pub body: Option<Vec<u8>>,
    /// The expected response.
    pub expect: Expectation,
}

/// The expectation of a response. A member that is `None` and a header without an entry can be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The status code.
    pub status: Option<u16>,
    /// Headers by name. A header that is `None` must be absent.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The `NAME=VALUE` of each `set-cookie` header, in their order.
    pub cookies: Option<Vec<String>>,
    /// The body.
    pub body: Option<Body>,
}

/// The expectation of a body.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Equal as JSON.
    Json(Value),
    /// Equal as text.
    Text(String),
    /// The bytes 0 to 255.
    AllBytes,
    /// The bytes 0 to 255, still encoded as base64.
    AllBytesInBase64,
    /// No bytes.
    Empty,
    /// Any body.
    Any,
}

/// The first difference between a response and its expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The expected part of the response.
    expected: String,
    found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(formatter, "{expected} expected, found {found}")
    }
}

impl std::error::Error for Difference {}

impl Expectation {
    /// Returns this expectation with the members of `other` in place of its own.
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

    /// Checks a response.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, response: &Response) -> Result<(), Difference> {
        if let Some(status) = self.status
            && response.status != status
        {
            return Err(Difference {
                expected: format!("status {status}"),
                found: response.status.to_string(),
            });
        }
        for (name, expected) in &self.headers {
            let found = response.headers.get(name);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()));
            if found.as_deref().map(essence) != expected.as_deref() {
                return Err(Difference {
                    expected: format!("{name}: {expected:?}"),
                    found: format!("{found:?}"),
                });
            }
        }
        if let Some(expected) = &self.cookies {
            let found = cookies(response);
            if found != *expected {
                return Err(Difference {
                    expected: format!("cookies {expected:?}"),
                    found: format!("{found:?}"),
                });
            }
        }
        self.body
            .as_ref()
            .map_or(Ok(()), |body| body.check(&response.body))
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

    /// The request asks for the type, because Chalice sends bytes only then.
    fn octets(mut self) -> Self {
        self.headers.push(("accept", "application/octet-stream"));
        self.expect.body = Some(Body::AllBytes);
        self.header("content-type", "application/octet-stream")
    }
}

impl Body {
    fn check(&self, found: &[u8]) -> Result<(), Difference> {
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
        Err(Difference {
            expected: format!("body {shown}"),
            found: format!("{} bytes: {text:.300}", found.len()),
        })
    }
}

/// Returns the requests in the order in which they are sent.
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

/// Returns what a client gets in `format` if the invocation itself fails.
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

/// Returns the value of a header without its parameters, such as `charset`, which adapters choose.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or(value)
}

fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// Returns the `NAME=VALUE` of each `set-cookie` header.
fn cookies(response: &Response) -> Vec<String> {
    let values = response.headers.get_all("set-cookie").iter();
    let pairs = values.map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        essence(&value).to_owned()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Response {
        let mut response = Response {
            status: 200,
            headers: Default::default(),
            body: body.into(),
            trailers: Default::default(),
        };
        for (name, value) in headers {
            response.headers.append(*name, value.parse().unwrap());
        }
        response
    }

    #[test]
    fn every_part_of_a_response_is_compared() {
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
        assert_eq!(expect.check(&response(&right, b"hello")), Ok(()));
        let wrong = [
            response(&right, b"hallo"),
            response(&[("x-a", "2"), ("set-cookie", "a=1")], b"hello"),
            response(
                &[("x-a", "1"), ("x-b", ""), ("set-cookie", "a=1")],
                b"hello",
            ),
            response(&[("x-a", "1")], b"hello"),
        ];
        for response in wrong {
            assert!(expect.check(&response).is_err(), "{response:?}");
        }
    }

    #[test]
    fn a_replacement_keeps_the_other_members() {
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
