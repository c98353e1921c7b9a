//! `examples/lambda-reverse-proxy`: the files of a user of the Go proxy, with another image.

use std::fs;
use std::process::Command;

use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::emulator::Emulator;
use lambda_mesh_tests::generated::Lrp;
use lambda_mesh_tests::mesh::on_each_envoy;
use serde_json::{Value, json};
use xtask::workspace_root;

use crate::service::probe;

fn text(file: &str) -> String {
    let path = workspace_root()
        .join("examples/lambda-reverse-proxy")
        .join(file);
    fs::read_to_string(path).expect("a file of the example")
}

fn proxy() -> Value {
    let compose: Value = serde_saphyr::from_str(&text("docker-compose.yaml")).expect("YAML");
    compose["services"]["proxy"].clone()
}

#[test]
fn the_example_of_the_go_proxy_runs_as_it_is() {
    let name = "the_example_of_the_go_proxy_runs_as_it_is";
    let Some(first) = Emulator::start(name, probe()) else {
        return;
    };
    let second = Emulator::start(name, probe()).expect("a second emulator");
    let yaml = text("lrp.yaml")
        .replace("lambda-1:8080", &first.address.to_string())
        .replace("lambda-2:8080", &second.address.to_string());
    let yaml = format!("host: 127.0.0.1\nport: 0\n{yaml}");
    let aliases = proxy()["networks"]["default"]["aliases"].clone();
    let aliases: Vec<String> = serde_json::from_value(aliases).expect("names");
    on_each_envoy(|version| {
        let lrp = Lrp::start(version, &yaml);
        let ping = lrp.request("GET", "/__@@__/ping").send();
        assert_eq!((ping.status, ping.text()), (200, "pong"));
        for alias in &aliases {
            // The functions have all other paths, those of the proxy without its prefix too.
            let event = lrp.request("GET", "/ping?x=1").host(alias).send().json();
            assert_eq!(event["rawPath"], "/ping");
            assert_eq!(event["requestContext"]["domainName"], *alias);
        }
        // Emulators take one call at a time, and each has its own.
        let requests = (0..20).map(|index| {
            let host = if index % 2 == 0 {
                "foo.domain.lb"
            } else {
                "bar.domain.lb"
            };
            lrp.request("GET", "/").host(host)
        });
        for response in send_all(requests, 10) {
            assert_eq!(response.expect("a response").status, 200);
        }
        health_check_succeeds(&lrp);
    });
}

/// Runs the health check of the compose file, with the port of this proxy.
fn health_check_succeeds(lrp: &Lrp) {
    let check: Vec<String> =
        serde_json::from_value(proxy()["healthcheck"]["test"].clone()).expect("words");
    let (shown, words) = check.split_last().expect("a URL");
    let (program, arguments) = words[1..].split_first().expect("a program");
    assert_eq!(words[0], "CMD");
    let url = shown.replace("localhost:8080", &lrp.address.to_string());
    assert_ne!(url, *shown);
    let output = Command::new(program).args(arguments).arg(&url).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            return xtask::skip(
                "the health check of the Go proxy",
                &format!("{program}: {error}"),
            );
        }
    };
    assert!(output.status.success(), "{url}: {output:?}");
}

#[test]
fn the_image_has_what_the_compose_file_of_the_go_proxy_starts() {
    let proxy = proxy();
    assert_eq!(proxy["entrypoint"], "/go/bin/lrp /etc/lrp.yaml");
    assert_eq!(proxy["volumes"], json!(["./lrp.yaml:/etc/lrp.yaml"]));
    let dockerfile = fs::read_to_string(workspace_root().join("Dockerfile")).expect("a file");
    let target = proxy["build"]["target"].as_str().expect("a stage");
    let stage = dockerfile
        .split("\nFROM ")
        .find(|stage| stage.starts_with(&format!("envoy AS {target}\n")));
    let stage = stage.expect("the stage is based on that of Envoy");
    assert!(stage.contains("apt-get install -y --no-install-recommends curl"));
    assert!(stage.contains(r#"ENTRYPOINT ["/go/bin/lrp"]"#));
    let link = "ln -s /usr/local/bin/sidecar-invoker /go/bin/lrp ";
    assert!(dockerfile.contains(link), "no such link");
}
