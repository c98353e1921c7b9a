//! Runs a row of the matrix: its functions behind the invoker behind Envoy, with a host name for each
//! format.

use anyhow::Result;
use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::shared::Component;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::contract::{self, Case};
use crate::format::Format;
use crate::manifest::{Exceptions, Framework, Routes};
use crate::prepare::Prepared;

/// The result of a framework in a format.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The format.
    pub format: Format,
    /// The results of the requests, in the order of [`contract::cases`].
    pub requests: Vec<Request>,
}

/// The result of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// [`Case::id`].
    pub id: &'static str,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// The response fulfils the contract.
    Right,
    /// The response is that of a known deviation, for this reason.
    Deviation(String),
    /// The response is wrong, with this difference.
    Wrong(String),
}

/// Calls `framework` in each of `formats`. If a response is wrong, prints the logs of the functions, the
/// invoker and Envoy on standard error.
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
    /// Returns the requests with a wrong response, each with the difference.
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
            Ok(response) => judge(framework, case, format, &response),
            Err(error) => Outcome::Wrong(format!("{error:#}")),
        };
        Request {
            id: case.id,
            outcome,
        }
    });
    requests.collect()
}

fn send(mesh: &Mesh, case: &Case, format: Format) -> Result<Response> {
    let mut request = mesh.request(case.method, case.target).host(&host(format));
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    request.try_send()
}

fn judge(framework: &Framework, case: &Case, format: Format, response: &Response) -> Outcome {
    let mut contract = case.expect.clone();
    if case.id == "exception" && framework.exceptions == Exceptions::Function {
        contract = contract::function_error(format);
    }
    let right = contract.check(response);
    let Some(deviation) = framework.deviation(case.id, format) else {
        return match right {
            Ok(()) => Outcome::Right,
            Err(difference) => Outcome::Wrong(difference.to_string()),
        };
    };
    if right.is_ok() {
        return Outcome::Wrong("the response is right; remove the deviation".to_owned());
    }
    match contract.replaced_by(&deviation.expect).check(response) {
        Ok(()) => Outcome::Deviation(deviation.reason.clone()),
        Err(difference) => Outcome::Wrong(format!("not the listed deviation: {difference}")),
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

/// Returns the route for a resource of API Gateway.
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
        let response = Response {
            status,
            headers: Default::default(),
            body: Default::default(),
            trailers: Default::default(),
        };
        judge(framework, case, format, &response)
    }

    #[test]
    fn a_response_is_right_if_it_fulfils_the_contract() {
        let judged = |status| judged(&framework(), "not-found", Format::ApigatewayV2, status);
        assert_eq!(judged(404), Outcome::Right);
        assert_eq!(
            judged(500),
            Outcome::Wrong("status 404 expected, found 500".to_owned())
        );
    }

    #[test]
    fn a_deviation_is_checked_and_must_still_exist() {
        let judged = |status| judged(&framework(), "not-found", Format::Alb, status);
        assert_eq!(judged(500), Outcome::Deviation("why".to_owned()));
        for status in [404, 502] {
            assert!(matches!(judged(status), Outcome::Wrong(_)), "{status}");
        }
    }

    #[test]
    fn the_handler_of_exceptions_decides_what_is_right() {
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
