//! The sources of credentials that AWS's SDKs know, each against a stand-in.

use std::fs;
use std::path::Path;

use lambda_mesh_tests::aws::{Aws, KEY, REGION};
use lambda_mesh_tests::client::send_all;
use lambda_mesh_tests::eventually;
use lambda_mesh_tests::invoker::Builder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{invoke, request, shared};

/// Calls `function` once with an invoker whose environment has `variables`, and returns the call that
/// arrived.
fn called_with(aws: &Aws, function: &str, variables: &[(&str, &str)]) -> Value {
    aws.function(function, &json!({}));
    let invoker = environment(aws.bare_invoker(&json!({})), variables).start();
    let response = invoke(&invoker, function);
    assert_eq!(response.status, 200, "{response:?}");
    aws.calls(function).remove(0)
}

fn environment(invoker: Builder, variables: &[(&str, &str)]) -> Builder {
    let variables = variables.iter();
    variables.fold(invoker, |invoker, (name, value)| invoker.env(*name, *value))
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("a file in a temporary folder");
    text_of(&path)
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn credentials_come_from_the_environment() {
    let aws = shared();
    let token = "a/token+with==";
    aws.key("ASIAENVIRONMENT", &json!({ "secret": "s", "token": token }));
    let call = called_with(
        &aws,
        "from-environment",
        &[
            ("AWS_ACCESS_KEY_ID", "ASIAENVIRONMENT"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", token),
        ],
    );
    assert_eq!(call["key"], "ASIAENVIRONMENT");
}

#[test]
fn credentials_come_from_a_profile() {
    let aws = shared();
    let folder = folder();
    let (id, secret) = KEY;
    let credentials =
        format!("[work]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    let call = called_with(
        &aws,
        "from-profile",
        &[
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                &file(&folder, "credentials", &credentials),
            ),
            ("AWS_CONFIG_FILE", &file(&folder, "config", "")),
            ("AWS_PROFILE", "work"),
        ],
    );
    assert_eq!(call["key"], KEY.0);
}

#[test]
fn credentials_come_from_a_profile_with_a_role() {
    let aws = shared();
    let folder = folder();
    let (id, secret) = KEY;
    let credentials =
        format!("[base]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    let config = format!(
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/from-profile\n\
         source_profile = base\nrole_session_name = somebody\nregion = {REGION}\n"
    );
    let call = called_with(
        &aws,
        "from-role",
        &[
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                &file(&folder, "credentials", &credentials),
            ),
            ("AWS_CONFIG_FILE", &file(&folder, "config", &config)),
            ("AWS_PROFILE", "work"),
            ("AWS_ENDPOINT_URL_STS", &aws.sts_url()),
        ],
    );
    let session = "arn:aws:sts::123456789012:assumed-role/from-profile/somebody";
    assert_eq!(call["principal"], session);
}

#[test]
fn credentials_come_from_a_program_that_a_profile_names() {
    let aws = shared();
    let folder = folder();
    let document = json!({ "Version": 1, "AccessKeyId": KEY.0, "SecretAccessKey": KEY.1 });
    let document = file(&folder, "document", &document.to_string());
    let config = format!("[profile work]\ncredential_process = cat {document}\n");
    let call = called_with(
        &aws,
        "from-program",
        &[
            ("AWS_CONFIG_FILE", &file(&folder, "config", &config)),
            ("AWS_PROFILE", "work"),
        ],
    );
    assert_eq!(call["key"], KEY.0);
}

#[test]
fn credentials_come_from_a_single_sign_on_session() {
    let aws = shared();
    let folder = folder();
    let cache = folder.path().join(".aws/sso/cache");
    fs::create_dir_all(&cache).expect("a folder in a temporary folder");
    let token =
        json!({ "accessToken": "token-of-the-session", "expiresAt": "2999-01-01T00:00:00Z" });
    // The SHA-1 of the session's name, `corp`.
    let name = "ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    file(
        &folder,
        &format!(".aws/sso/cache/{name}"),
        &token.to_string(),
    );
    let config = format!(
        "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\n\
         sso_role_name = developer\nregion = {REGION}\n\
         [sso-session corp]\nsso_region = {REGION}\nsso_start_url = https://corp.awsapps.com/start\n"
    );
    let call = called_with(
        &aws,
        "from-single-sign-on",
        &[
            ("HOME", &text_of(folder.path())),
            ("AWS_CONFIG_FILE", &file(&folder, "config", &config)),
            ("AWS_PROFILE", "work"),
            ("AWS_ENDPOINT_URL_SSO", &aws.metadata_url()),
        ],
    );
    assert_eq!(call["principal"], "developer");
}

#[test]
fn credentials_come_from_a_web_identity() {
    let aws = shared();
    let folder = folder();
    let call = called_with(
        &aws,
        "from-web-identity",
        &[
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                &file(&folder, "token", "the.service.account"),
            ),
            (
                "AWS_ROLE_ARN",
                "arn:aws:iam::123456789012:role/service-account",
            ),
            ("AWS_ROLE_SESSION_NAME", "pod-1"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL_STS", &aws.sts_url()),
        ],
    );
    let session = "arn:aws:sts::123456789012:assumed-role/service-account/pod-1";
    assert_eq!(call["principal"], session);
    let mut roles = aws.requests("sts");
    roles.retain(|call| call["Action"] == "AssumeRoleWithWebIdentity");
    assert_eq!(roles[0]["WebIdentityToken"], "the.service.account");
}

#[test]
fn credentials_come_from_a_container() {
    let aws = shared();
    let url = format!("{}/container/credentials", aws.metadata_url());
    let call = called_with(
        &aws,
        "from-container",
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                "token-of-the-container",
            ),
        ],
    );
    assert_eq!(call["principal"], "container");
}

#[test]
fn credentials_come_from_a_pod_identity() {
    let aws = shared();
    let folder = folder();
    let url = format!("{}/container/credentials", aws.metadata_url());
    let token = file(&folder, "token", "token-of-the-container");
    let call = called_with(
        &aws,
        "from-pod",
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        ],
    );
    assert_eq!(call["principal"], "container");
}

#[test]
fn credentials_and_region_come_from_an_instance() {
    let aws = shared();
    aws.function("from-instance", &json!({}));
    let invoker = aws.bare_invoker(&json!({ "region": null }));
    let invoker = environment(
        invoker,
        &[
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &aws.metadata_url()),
        ],
    );
    let invoker = invoker.start();
    assert_eq!(invoke(&invoker, "from-instance").status, 200);
    let call = aws.calls("from-instance").remove(0);
    assert_eq!(
        (&call["principal"], &call["region"]),
        (&json!("instance-role"), &json!(REGION))
    );
}

#[test]
fn keys_that_expire_are_replaced_while_requests_continue() {
    let aws = Aws::start();
    aws.function("busy", &json!({}));
    aws.put("/metadata", &json!({ "lifetime": 10 }));
    let url = format!("{}/container/credentials", aws.metadata_url());
    let invoker = environment(
        aws.bare_invoker(&json!({})),
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                "token-of-the-container",
            ),
        ],
    );
    let invoker = invoker.start();
    // Returns the key that signs after a few requests.
    let key = || {
        for response in send_all((0..8).map(|_| request(&invoker, "busy")), 4) {
            assert_eq!(response.expect("a response").status, 200);
        }
        let mut calls = aws.calls("busy");
        calls.pop().map(|call| call["key"].clone())
    };
    for renewals in 1..=2 {
        let old = key();
        aws.put("/metadata", &json!({ "lifetime": 10, "hold": true }));
        eventually("a request for a new key", || {
            assert_eq!(key(), old);
            (aws.requests("metadata").len() == renewals + 1).then_some(())
        });
        // The key does not come yet, and no request waits for it.
        assert_eq!(key(), old);
        aws.put("/metadata", &json!({ "lifetime": 10 }));
        eventually("the use of the new key", || (key() != old).then_some(()));
    }
    assert_eq!(aws.requests("metadata").len(), 3);
}
