//! `examples/private-microservice`: a function for a load balancer, on this machine and in several accounts.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use lambda_mesh_tests::aws::{Aws, with_key};
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::{Generated, envoy_config};
use lambda_mesh_tests::mesh::on_each_envoy;
use lambda_mesh_tests::shared::Component;
use lambda_mesh_tests::up::{ProjectFolder, Up};
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use lambda_mesh_tests::vpc::Vpc;
use serde_json::{Value, json};
use xtask::envoy::NEWEST;
use xtask::workspace_root;

const HOST: &str = "hipchat.private.example.com";

/// Installs the packages of the function as the example does, which `up` then finds.
///
/// # Errors
/// This machine lacks Python, or the packages cannot be fetched.
fn install(example: &Path) -> Result<()> {
    let python = xtask::python::environment()?;
    let yaml = fs::read_to_string(example.join("invoker.yaml")).expect("the file of the example");
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    let words: Vec<String> =
        serde_json::from_value(yaml["functions"]["hipchat"]["local"]["build"].clone())
            .expect("words");
    let mut command = Command::new(python.join("bin").join(&words[0]));
    command
        .args(&words[1..])
        .current_dir(example.join("hipchat"));
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(())
}

#[test]
fn messages_for_hipchat_reach_slack_if_their_token_is_known() {
    let folder = ProjectFolder::with_examples();
    let example = folder.path().join("examples/private-microservice");
    if let Err(error) = install(&example) {
        let reason = format!("{error:#}");
        return xtask::skip("the example of a private microservice", &reason);
    }
    let slack = Upstream::start(|call| {
        let answer = match call.event()["channel"].as_str() {
            Some("#nowhere") => json!({ "ok": false, "error": "channel_not_found" }),
            _ => json!({ "ok": true }),
        };
        ScriptedResponse::bytes(answer.to_string())
    });
    let file = example.join("invoker.yaml");
    let yaml = fs::read_to_string(&file).expect("the file of the example");
    let own = yaml.replace("localhost:8080/slack", &slack.address.to_string());
    assert_ne!(own, yaml);
    fs::write(&file, own).expect("a file in a temporary folder");
    let mut command = folder.command();
    command.arg(&example);
    let up = Up::start(&command).expect("a served project");

    let send = |path: &str, token: Option<&str>, body: &str| {
        let mut request = up.request("POST", path).host("api.hipchat.com");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
    };
    let message = r#"{"message":"Deployed \u2615 Zoë","color":"green"}"#;
    let ops = "/v2/room/Ops%20Team/notification";
    let sent = send(ops, Some("orders-token"), message);
    assert_eq!((sent.status, sent.text()), (204, ""), "{}", up.log());
    let sent = send(&format!("{ops}?auth_token=billing-token"), None, message);
    assert_eq!(sent.status, 204);
    // `curl -d` says that it is a form.
    let form = up.request("POST", &format!("{ops}?auth_token=billing-token"));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.body(message).send().status, 204);
    let calls = slack.calls();
    assert_eq!(calls.len(), 3);
    for call in calls {
        assert_eq!(
            (&*call.method, &*call.path),
            ("POST", "/api/chat.postMessage")
        );
        assert_eq!(call.headers["authorization"], "Bearer xoxb-of-your-app");
        let expected = json!({
            "channel": "#ops-team",
            "attachments": [{ "text": "Deployed ☕ Zoë", "color": "good" }],
        });
        assert_eq!(call.event(), expected);
    }

    // The list of tokens.
    for token in [None, Some("stranger"), Some("orders-token2"), Some("")] {
        let refused = send(ops, token, message);
        assert_eq!(refused.status, 401, "{token:?}");
        assert_eq!(refused.json()["error"]["type"], "Unauthorized");
    }
    // Mistakes of callers.
    for body in [
        "{}",
        "[]",
        "nonsense",
        r#"{"message":""}"#,
        r#"{"message":"x","color":"pink"}"#,
    ] {
        let refused = send(ops, Some("orders-token"), body);
        assert_eq!(refused.status, 400, "{body}");
    }
    assert_eq!(slack.calls().len(), 3);
    assert_eq!(send("/v2/user", Some("orders-token"), "{}").status, 404);
    assert_eq!(up.request("GET", "/v1/rooms").send().status, 404);
    // What Slack says.
    let refused = send(
        "/v2/room/nowhere/notification",
        Some("orders-token"),
        message,
    );
    assert_eq!(refused.status, 404);
    assert_eq!(
        refused.json()["error"]["message"],
        "Slack: channel_not_found"
    );
}

fn account_file(name: &str) -> String {
    let folder = workspace_root().join("examples/private-microservice/accounts");
    fs::read_to_string(folder.join(name)).expect("a file of the example")
}

/// The name of an account in the example, and the role that the gateway has there.
const ACCOUNTS: [(&str, Option<&str>); 3] = [
    ("orders", Some("arn:aws:iam::111111111111:role/lambda-mesh")),
    (
        "billing",
        Some("arn:aws:iam::222222222222:role/lambda-mesh"),
    ),
    ("platform", None),
];

#[test]
fn a_header_or_the_source_address_chooses_the_account() {
    let aws = Aws::with_sts();
    let response = json!({ "statusCode": 204, "statusDescription": "204 No Content" });
    aws.function("hipchat", &json!({ "payload": response }));
    let mut config: Value = serde_saphyr::from_str(&account_file("invoker.yaml")).expect("YAML");
    keep_functions(&mut config);
    let invoker = || with_key(aws.invoker_of(&config)).env("AWS_ENDPOINT_URL_STS", aws.sts_url());
    let output = invoker().run("check");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = workspace_root().join("docs/stories/private-microservice.md");
    let page = fs::read_to_string(page).expect("the page of the example");
    assert!(page.contains(&format!("\n{table}```\n")), "{table}");
    let invoker = invoker().start();

    // Callers of these tests have the address 127.0.0.1.
    let here = |range: &str| account_file("invoker.yaml").replace(range, "127.0.0.0/8");
    let cases = [
        (account_file("invoker.yaml"), "platform"),
        (here("10.1.0.0/16"), "orders"),
        (here("10.2.0.0/16"), "billing"),
    ];
    on_each_envoy(|version| {
        for (yaml, by_address) in &cases {
            let gateway = gateway(version, yaml, invoker.address(), free_address());
            let account_of = |account: Option<&str>| {
                let mut request = gateway
                    .request("POST", "/v2/room/ops/notification")
                    .host(HOST)
                    .body("{}");
                if let Some(account) = account {
                    request = request.header("x-account", account);
                }
                let response = request.send();
                assert_eq!(response.status, 204, "{response:?}");
                let calls = aws.calls("hipchat");
                let call = calls.last().expect("a call");
                let body = call["body"].as_str().expect("the event");
                let event: Value = serde_json::from_str(body).expect("an event");
                assert!(event["requestContext"]["elb"].is_object(), "{event}");
                call["principal"].as_str().map(str::to_owned)
            };
            for (account, role) in ACCOUNTS {
                // The stand-in's name for the gateway's own key.
                let session = role.map_or("user".to_owned(), |role| {
                    role.replace("iam", "sts").replace("role/", "assumed-role/") + "/hipchat"
                });
                let session = Some(session);
                if role.is_some() {
                    assert_eq!(account_of(Some(account)), session, "{account}");
                    let spelled = account.to_uppercase();
                    assert_eq!(account_of(Some(&spelled)), session, "{account}");
                }
                if account == *by_address {
                    assert_eq!(account_of(None), session, "{account}");
                    assert_eq!(account_of(Some("unknown")), session, "{account}");
                }
            }
        }
    });
    let other = gateway(NEWEST, &cases[0].0, invoker.address(), free_address());
    assert_eq!(
        other
            .request("GET", "/")
            .host("other.example.com")
            .send()
            .status,
        404
    );

    // Each role is assumed as its trust policy demands.
    let trust: Value = serde_json::from_str(&account_file("trust-policy.json")).expect("JSON");
    let condition = &trust["Statement"][0]["Condition"]["StringEquals"];
    let assumed = aws.requests("sts");
    let assumed: BTreeSet<_> = assumed
        .iter()
        .filter(|call| call["Action"] == "AssumeRole")
        .map(|call| {
            assert_eq!(call["ExternalId"], condition["sts:ExternalId"]);
            call["RoleArn"].as_str().expect("a role").to_owned()
        })
        .collect();
    let gateway: Value = serde_json::from_str(&account_file("gateway-policy.json")).expect("JSON");
    let allowed = gateway["Statement"][0]["Resource"].clone();
    let allowed: BTreeSet<String> = serde_json::from_value(allowed).expect("roles");
    assert_eq!(assumed, allowed);
    let permission: Value =
        serde_json::from_str(&account_file("permission-policy.json")).expect("JSON");
    let resource = "arn:aws:lambda:eu-central-1:111111111111:function:hipchat";
    assert_eq!(
        permission["Statement"][0]["Action"],
        "lambda:InvokeFunction"
    );
    assert_eq!(permission["Statement"][0]["Resource"], resource);
}

fn gateway(version: &str, yaml: &str, invoker: SocketAddr, address: SocketAddr) -> Generated {
    let folder = ProjectFolder::new(&[("invoker.yaml", yaml)]);
    let file = folder.path().join("invoker.yaml");
    let admin = free_address();
    let output = envoy_config(
        version,
        &[
            "--config",
            file.to_str().expect("text"),
            "--invoker",
            &invoker.to_string(),
            "--listen",
            &address.to_string(),
            "--admin",
            &admin.to_string(),
        ],
    );
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    Generated::start(version, &output.stdout, address, admin)
}

/// Removes what the harness has of its own: the listener, and routes, which are Envoy's.
fn keep_functions(config: &mut Value) {
    for key in ["listen", "routes", "x-hipchat"] {
        config.as_object_mut().expect("keys").remove(key);
    }
}

/// Each account has a network with a resolver of its own, a gateway, and a function. The URL is the same.
#[test]
fn the_zone_of_the_callers_network_chooses_the_account() {
    let name = "the_zone_of_the_callers_network_chooses_the_account";
    // Another run of this test may be going on.
    let [_, second, third, _] = (127 << 24 | (std::process::id() << 8 & 0x00ff_ff00)).to_be_bytes();
    let address = |last| Ipv4Addr::new(127, second, third, last);
    let port = free_address().port();
    let mut config: Value = serde_saphyr::from_str(&account_file("zone.yaml")).expect("YAML");
    keep_functions(&mut config);
    let mut accounts = Vec::new();
    for (account, last) in [("orders", 2), ("billing", 3)] {
        let vpc = match Vpc::start(address(last), &[(HOST, address(last))]) {
            Ok(vpc) => vpc,
            Err(error) => return xtask::skip(name, &format!("{error:#}")),
        };
        let aws = Aws::start();
        let response = json!({ "statusCode": 200, "statusDescription": "200 OK", "body": account });
        aws.function("hipchat", &json!({ "payload": response }));
        let invoker = with_key(aws.invoker_of(&config)).start();
        accounts.push((account, last, vpc, aws, invoker));
    }
    let elsewhere = Vpc::start(address(4), &[]).expect("a third resolver");
    let url = format!("http://{HOST}:{port}/v2/room/ops/notification");
    let curl = ["-sS", "--max-time", "60", "-d", "{}", &url];
    on_each_envoy(|version| {
        let yaml = account_file("zone.yaml");
        let _gateways: Vec<_> = accounts
            .iter()
            .map(|(_, last, _, _, invoker)| {
                let listener = SocketAddr::from((address(*last), port));
                gateway(version, &yaml, invoker.address(), listener)
            })
            .collect();
        for (account, _, vpc, aws, _) in &accounts {
            let before = aws.calls("hipchat").len();
            let output = vpc.run("curl", curl);
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                *account,
                "{output:?} {}",
                vpc.log()
            );
            let calls = aws.calls("hipchat");
            assert_eq!(calls.len(), before + 1, "{account}");
            // The gateway's own key: no role is assumed.
            assert_eq!(calls[before]["principal"], "user", "{account}");
        }
        // Could not resolve host.
        assert_eq!(elsewhere.run("curl", curl).status.code(), Some(6));
    });
    let calls = accounts
        .iter()
        .map(|(_, _, _, aws, _)| aws.calls("hipchat").len());
    assert_eq!(calls.collect::<Vec<_>>(), [2, 2]);
}
