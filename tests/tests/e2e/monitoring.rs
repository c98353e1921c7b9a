//! The dashboard and the alert rules of `examples/monitoring`, on a real Prometheus that scrapes real traffic.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lambda_mesh_tests::aws::Aws;
use lambda_mesh_tests::client::Request;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::mesh::{Mesh, route};
use lambda_mesh_tests::prometheus::{Prometheus, file};
use serde_json::{Value, json};

use crate::service::probe;

/// Requests with every outcome, all the time. Dropping it ends them.
struct Traffic(Arc<AtomicBool>);

impl Traffic {
    fn start(mesh: &Mesh) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (Arc::clone(&stop), mesh.address);
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for path in ["/echo", "/aws", "/fail", "/exit/3", "/sleep/400", "/reply"] {
                    // A response without a status code is malformed.
                    let request =
                        Request::new(address, "POST", path).body("{\"statusCode\":\"x\"}");
                    let _ = request.try_send();
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self(stop)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns the titles and expressions of the dashboard's panels.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(file("dashboard.json")).expect("a shipped file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression
                .replace("$function", ".+")
                .replace("$__rate_interval", "20s");
            (title.to_owned(), expression)
        })
    });
    targets.collect()
}

fn is_number(result: &Value) -> bool {
    let number = result["value"][1]
        .as_str()
        .and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}

#[test]
fn every_panel_of_the_dashboard_shows_something_under_load_and_every_rule_can_be_evaluated() {
    let aws = Aws::start();
    aws.function("aws", &json!({}));
    let credentials = format!("{}/container/credentials", aws.metadata_url());
    let invoker = aws
        .invoker_of(&json!({ "functions": {
            "probe": { "local": { "command": [probe()], "timeout": "300ms" } },
            "aws": { "aws": {} },
        } }))
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials)
        .env(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "token-of-the-container",
        )
        .start();
    let mut routes = [
        route(&json!({ "path": "/aws" }), &json!({ "function": "aws" })),
        route(&json!({ "prefix": "/" }), &json!({ "function": "probe" })),
    ];
    routes[1]["stat_prefix"] = json!("probe");
    let mesh = Mesh::to(&invoker).routes(&routes).start();
    let prometheus = match Prometheus::start(invoker.admin, mesh.admin) {
        Ok(prometheus) => prometheus,
        Err(error) => return xtask::skip("monitoring", &format!("{error:#}")),
    };
    let _traffic = Traffic::start(&mesh);
    let panels = panels();
    assert!(panels.len() > 20, "{panels:?}");
    for (title, expression) in &panels {
        eventually(&format!("a value of \"{title}\": {expression}"), || {
            prometheus
                .query(expression)
                .iter()
                .any(is_number)
                .then_some(())
        });
    }
    eventually("an evaluation of every rule", || {
        let rules = prometheus.get("/api/v1/rules");
        let groups = rules["data"]["groups"].as_array()?;
        let rules: Vec<_> = groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .collect();
        assert!(
            rules.iter().all(|rule| rule["health"] != "err"),
            "{rules:?}"
        );
        let evaluated = rules.iter().filter(|rule| rule["health"] == "ok").count();
        (evaluated > 8 && evaluated == rules.len()).then_some(())
    });
    let test = prometheus
        .promtool()
        .args(["test", "rules"])
        .arg(file("alerts.test.yaml"))
        .output();
    let test = test.expect("promtool starts");
    assert!(
        test.status.success(),
        "{}",
        String::from_utf8_lossy(&test.stdout)
    );
}
