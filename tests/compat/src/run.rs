//! A row of the matrix, run: its functions behind the invoker, the invoker behind Envoy, each
//! format under a host name of its own.

use lambda_mesh_tests::client::Answer;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Part;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::contract::{self, Case};
use crate::manifest::{Exceptions, Format, Framework, Routes};
use crate::prepare::Prepared;

/// What became of a framework in a format.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The format.
    pub format: Format,
    /// One for each request, in the order of [`contract::cases`].
    pub requests: Vec<Request>,
}

/// What became of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// [`Case::id`].
    pub id: &'static str,
    /// Whether it was answered right.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a request was answered right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// As the contract says.
    Right,
    /// As a known deviation says, for this reason.
    Deviation(String),
    /// Neither, because of this difference.
    Wrong(String),
}

/// Calls `framework` in each of `formats`. If anything was answered wrong, the logs of the
/// functions, the invoker and Envoy are written to standard error.
#[must_use]
pub fn row(framework: &Framework, prepared: &Prepared, formats: &[Format]) -> Vec<Cell> {
    let functions: Map<_, _> = formats
        .iter()
        .map(|format| {
            (
                format.name().to_owned(),
                json!({ "local": prepared.local(framework, *format) }),
            )
        })
        .collect();
    let invoker = Invoker::start(&Value::Object(functions));
    let hosts: Vec<_> = formats
        .iter()
        .map(|format| virtual_host(framework, *format))
        .collect();
    let mesh = Mesh::shipped("local.yaml", &invoker)
        .virtual_hosts(&hosts)
        .start();
    let cells: Vec<_> = formats
        .iter()
        .map(|format| Cell {
            format: *format,
            requests: requests(framework, &mesh, *format),
        })
        .collect();
    if cells.iter().any(|cell| cell.wrong().count() > 0) {
        eprintln!(
            "--- {}: log of the invoker and its functions:\n{}",
            framework.name,
            invoker.log()
        );
        eprintln!("--- {}: log of Envoy:\n{}", framework.name, mesh.log());
    }
    cells
}

impl Cell {
    /// The requests that were answered wrong, with the difference.
    pub fn wrong(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.requests
            .iter()
            .filter_map(|request| match &request.outcome {
                Outcome::Wrong(difference) => Some((request.id, difference.as_str())),
                _ => None,
            })
    }
}

fn requests(framework: &Framework, mesh: &Mesh, format: Format) -> Vec<Request> {
    let cases = contract::cases().iter();
    let requests = cases.map(|case| {
        let outcome = match send(mesh, case, format) {
            Ok(answer) => judge(framework, case, format, &answer),
            Err(error) => Outcome::Wrong(error),
        };
        Request {
            id: case.id,
            outcome,
        }
    });
    requests.collect()
}

fn send(mesh: &Mesh, case: &Case, format: Format) -> Result<Answer, String> {
    let mut request = mesh.request(case.method, case.target).host(&host(format));
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    request.try_send()
}

fn judge(framework: &Framework, case: &Case, format: Format, answer: &Answer) -> Outcome {
    let mut contract = case.expect.clone();
    if case.id == "exception" && framework.exceptions == Exceptions::Function {
        contract = contract::function_error(format);
    }
    let right = contract.check(answer);
    let Some(deviation) = framework.deviation(case.id, format) else {
        return right.map_or_else(Outcome::Wrong, |()| Outcome::Right);
    };
    if right.is_ok() {
        return Outcome::Wrong("right, though listed as a deviation: remove it there".to_owned());
    }
    match contract.replaced_by(&deviation.expect).check(answer) {
        Ok(()) => Outcome::Deviation(deviation.reason.clone()),
        Err(difference) => Outcome::Wrong(format!("not even as its deviation says: {difference}")),
    }
}

fn host(format: Format) -> String {
    format!("{format}.test")
}

fn virtual_host(framework: &Framework, format: Format) -> Value {
    let routes: Vec<_> = match framework.routes {
        Routes::Application => {
            let lambda = json!({ "function": format.name(), "payload": format.name() });
            vec![route(&json!({ "prefix": "/" }), &lambda)]
        }
        Routes::Gateway => contract::RESOURCES
            .iter()
            .map(|path| resource(path, format))
            .collect(),
    };
    json!({ "name": format.name(), "domains": [host(format)], "routes": routes })
}

/// What a resource of API Gateway is in Envoy.
fn resource(resource: &str, format: Format) -> Value {
    let lambda = json!({
        "function": format.name(), "payload": format.name(), "resource": resource,
    });
    match resource.split_once('{') {
        Some((prefix, _)) => route(&json!({ "prefix": prefix }), &lambda),
        None => route(&json!({ "path": resource }), &lambda),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framework() -> Framework {
        serde_saphyr::from_str(
            "{ id: f, name: F, toolchain: python, app: starlette, deviations: [{ \
             requests: [not-found], formats: [alb], expect: { status: 500 }, reason: why }] }",
        )
        .unwrap()
    }

    fn judged(framework: &Framework, id: &str, format: Format, status: u16) -> Outcome {
        let case = contract::cases().iter().find(|case| case.id == id).unwrap();
        let answer = Answer {
            status,
            headers: Default::default(),
            body: Default::default(),
            trailers: Default::default(),
        };
        judge(framework, case, format, &answer)
    }

    #[test]
    fn an_answer_is_right_if_it_is_the_contract_s() {
        let judged = |status| judged(&framework(), "not-found", Format::ApigatewayV2, status);
        assert_eq!(judged(404), Outcome::Right);
        assert_eq!(
            judged(500),
            Outcome::Wrong("status 404 expected, found 500".to_owned())
        );
    }

    #[test]
    fn a_deviation_is_checked_too_and_must_still_be_one() {
        let judged = |status| judged(&framework(), "not-found", Format::Alb, status);
        assert_eq!(judged(500), Outcome::Deviation("why".to_owned()));
        for status in [404, 502] {
            assert!(matches!(judged(status), Outcome::Wrong(_)), "{status}");
        }
    }

    #[test]
    fn who_answers_an_exception_decides_what_is_right() {
        let mut framework = framework();
        assert_eq!(
            judged(&framework, "exception", Format::Alb, 500),
            Outcome::Right
        );
        framework.exceptions = Exceptions::Function;
        assert_eq!(
            judged(&framework, "exception", Format::Alb, 502),
            Outcome::Right
        );
        let outcome = judged(&framework, "exception", Format::Alb, 500);
        assert!(matches!(outcome, Outcome::Wrong(_)));
    }
}
