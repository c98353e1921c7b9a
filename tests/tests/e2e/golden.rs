//! Every golden case, through Envoy.

use lambda_mesh_tests::client::raw;
use lambda_mesh_tests::golden::{self, Report};
use lambda_mesh_tests::mesh::{Builder, Mesh, route};
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::upstream::{Call, ScriptedResponse, Upstream};
use serde_json::{Map, Value, json};

/// Builds an Envoy with a route for each case. The route is chosen by a header, which it removes, and calls
/// the function `case-N` with the configuration of case N.
fn cases<'a>(
    upstream: &Upstream,
    format: &str,
    configurations: impl Iterator<Item = &'a Map<String, Value>>,
) -> Builder {
    let routes = configurations.enumerate().map(|(number, configuration)| {
        let mut lambda = configuration.clone();
        lambda.insert("function".to_owned(), json!(format!("case-{number}")));
        lambda.insert("payload".to_owned(), json!(format));
        let chosen = json!({ "name": "x-case", "string_match": { "exact": number.to_string() } });
        let chosen = json!({ "prefix": "/", "headers": [chosen] });
        let mut route = route(&chosen, &Value::Object(lambda));
        route["request_headers_to_remove"] = json!(["x-case"]);
        route
    });
    Mesh::to(upstream).routes(&routes.collect::<Vec<_>>())
}

/// Returns the number of the case that a call belongs to.
fn number(call: &Call) -> usize {
    let name = call
        .path
        .split('/')
        .find_map(|part| part.strip_prefix("case-"));
    name.and_then(|number| number.parse().ok())
        .expect("the call of a case")
}

#[test]
fn requests_become_the_events_that_aws_sends() {
    let mut report = Report::default();
    for (format, table) in golden::requests() {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh =
            cases(&upstream, &format, table.iter().map(|case| &case.config)).edit(|config| {
                // A trusted proxy in front of Envoy reports the caller's address and scheme.
                config.keep_paths();
                let manager = config.connection_manager();
                manager["xff_num_trusted_hops"] = json!(1);
                manager["skip_xff_append"] = json!(true);
            });
        let mesh = mesh.start();
        for (number, case) in table.iter().enumerate() {
            let sent = &case.request;
            let mut request = mesh
                .request(&sent.method, sent.path_and_query.as_str())
                .host(&sent.authority)
                .header("x-case", number.to_string())
                .header("x-forwarded-proto", &sent.scheme);
            // The trusted proxy appends to the header of the client.
            let mut forwarded_for = Vec::new();
            for (name, value) in &sent.headers {
                if name.eq_ignore_ascii_case("x-forwarded-for") {
                    forwarded_for.push(value.as_str());
                } else {
                    request = request.header(name, value);
                }
            }
            forwarded_for.push(&case.source_ip);
            request = request.header("x-forwarded-for", forwarded_for.join(", "));
            if let Some(body) = sent.body() {
                request = request.body(body);
            }
            let status = request.send().status;
            assert_eq!(status, 200, "{}", case.id);
            let calls = upstream.calls();
            report.add(&case.id, &case.differences(&calls[number].event()));
        }
    }
    report.assert_empty();
}

#[test]
fn payloads_become_the_responses_that_aws_gives() {
    let mut report = Report::default();
    for (format, table) in golden::responses() {
        let script = table.clone();
        let upstream = Upstream::start(move |call| {
            let case = &script[number(call)];
            let response = ScriptedResponse::bytes(case.payload());
            match &case.function_error {
                Some(error) => response.header("x-amz-function-error", error),
                None => response,
            }
        });
        let mesh = cases(&upstream, &format, table.iter().map(|case| &case.config)).start();
        for (number, case) in table.iter().enumerate() {
            let request = mesh.request(&case.request.method, "/");
            let request = request.header("x-case", number.to_string());
            let headers = case.request.headers.iter();
            let request = headers.fold(request, |request, (name, value)| {
                request.header(name, value)
            });
            let response = request.send();
            report.add(&case.id, &case.differences(&response));
            if case.invariants.iter().any(|rule| rule == "no_body_on_wire") {
                let wire = raw(
                    mesh.address,
                    format!(
                        "{} / HTTP/1.1\r\nhost: a\r\nx-case: {number}\r\nconnection: close\r\n\r\n",
                        case.request.method
                    ),
                );
                assert!(wire.ends_with("\r\n\r\n"), "{}: {wire}", case.id);
            }
            assert!(mesh.alive(), "{}", case.id);
        }
        // The first case once more shows that the filter has survived all others.
        let again = mesh.get("/").header("x-case", "0").send();
        assert_eq!(table[0].differences(&again), Vec::<String>::new());
    }
    report.assert_empty();
}

#[test]
fn payloads_of_adapters_become_the_responses_of_the_applications() {
    let mut report = Report::default();
    for (format, table) in golden::adapter_responses() {
        let script = table.clone();
        let upstream = Upstream::start(move |call| {
            ScriptedResponse::bytes(script[number(call)].lambda_payload.clone())
        });
        let none = Map::new();
        let mesh = cases(&upstream, &format, table.iter().map(|_| &none)).start();
        for (number, case) in table.iter().enumerate() {
            let response = mesh.get("/").header("x-case", number.to_string()).send();
            report.add(&case.id, &case.differences(&response));
        }
    }
    report.assert_empty();
}
