//! The caller's identity, verified by Envoy, is in the event where API Gateway puts it.

use std::process::Command;

use lambda_mesh_tests::mesh::{Builder, Mesh};
use lambda_mesh_tests::upstream::Upstream;
use serde_json::{Value, json};
use xtask::workspace_root;

/// `{"iss":"https://issuer.test","sub":"user-1","exp":4102444800,"admin":true,"groups":["a","b"]}`,
/// signed with [`KEY`] by HS256.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
    eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0Iiwic3ViIjoidXNlci0xIiwiZXhwIjo0MTAyNDQ0ODAwLCJhZG1pbiI6\
    dHJ1ZSwiZ3JvdXBzIjpbImEiLCJiIl19.r_GzVaqZhtY4EARVeGe-NUXlgiHR-3XyUiFtT4spv38";

/// The key in base64.
const KEY: &str = "YSBrZXkgdGhhdCBwcm90ZWN0cyBub3RoaW5nIGF0IGFsbA";

/// Starts an Envoy that verifies a token if the request has one.
fn with_jwt(upstream: &Upstream, payload: &str) -> Mesh {
    let keys = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": KEY }] });
    let filter = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "issuer": {
                "issuer": "https://issuer.test",
                "local_jwks": { "inline_string": keys.to_string() },
                "payload_in_metadata": "payload",
            } },
            "rules": [{
                "match": { "prefix": "/" },
                "requires": { "requires_any": { "requirements": [
                    { "provider_name": "issuer" }, { "allow_missing": {} },
                ] } },
            }],
        },
    });
    let mesh = Mesh::to(upstream).plugin(&json!({ "payload": payload }));
    let mesh = mesh.edit(|config| {
        let filters = config.connection_manager()["http_filters"].as_array_mut();
        filters.expect("the router").insert(0, filter);
    });
    mesh.start()
}

#[test]
fn claims_of_a_verified_token_are_in_the_authorizer() {
    let claims = json!({
        "iss": "https://issuer.test",
        "sub": "user-1",
        "exp": "4102444800",
        "admin": "true",
        "groups": "[a b]",
    });
    for (payload, pointer) in [
        ("apigateway-v2", "/requestContext/authorizer/jwt/claims"),
        ("apigateway-v1", "/requestContext/authorizer/claims"),
    ] {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = with_jwt(&upstream, payload);
        let request = mesh
            .get("/")
            .header("authorization", format!("Bearer {TOKEN}"));
        assert_eq!(request.send().status, 200);
        assert_eq!(
            upstream.call().event().pointer(pointer),
            Some(&claims),
            "{payload}"
        );

        let forged = mesh
            .get("/")
            .header("authorization", format!("Bearer {TOKEN}x"));
        assert_eq!(forged.send().status, 401);
        assert_eq!(mesh.get("/").send().status, 200);
        let calls = upstream.calls();
        assert_eq!(calls.len(), 2);
        let context = &calls[1].event()["requestContext"];
        assert_eq!(context.get("authorizer"), None, "{payload}");
    }
}

fn fixture(name: &str) -> String {
    let path = workspace_root().join("tests/fixtures/tls").join(name);
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn with_mutual_tls(upstream: &Upstream, payload: &str) -> Builder {
    let file = |name| json!({ "filename": fixture(name) });
    let context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{
                "certificate_chain": file("server.pem"), "private_key": file("server.key"),
            }],
            "validation_context": { "trusted_ca": file("ca.pem") },
        },
    });
    let mesh = Mesh::to(upstream).plugin(&json!({ "payload": payload }));
    mesh.edit(|config| {
        config.listener()["filter_chains"][0]["transport_socket"] =
            json!({ "name": "envoy.transport_sockets.tls", "typed_config": context });
        let manager = config.connection_manager();
        manager["forward_client_cert_details"] = json!("SANITIZE_SET");
        manager["set_current_client_cert_details"] = json!({ "subject": true, "cert": true });
    })
}

/// Sends a GET with Python's client, which shows its certificate.
fn get_with_certificate(mesh: &Mesh) {
    const CLIENT: &str = "\
import http.client, ssl, sys
port, ca, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(certificate, key)
connection = http.client.HTTPSConnection('127.0.0.1', int(port), context=context, timeout=10)
connection.request('GET', '/', headers={'x-forwarded-client-cert': 'Cert=forged'})
assert connection.getresponse().status == 200
";
    let client = Command::new("python3")
        .args(["-c", CLIENT, &mesh.address.port().to_string()])
        .args(["ca.pem", "client.pem", "client.key"].map(fixture))
        .status();
    assert!(client.expect("python3 runs").success());
}

#[test]
fn the_certificate_of_a_mutual_tls_client_is_in_the_context() {
    let pem = std::fs::read_to_string(fixture("client.pem")).expect("the fixture");
    let certificate = json!({
        "clientCertPem": pem,
        "subjectDN": r"CN=client.test,O=Example Corp\, Inc.,C=DE",
        "issuerDN": "CN=Test CA",
        "serialNumber": "a1:b2:c3",
        "validity": {
            "notBefore": "Nov 21 21:56:32 2026 GMT",
            "notAfter": "Oct 28 21:56:32 2126 GMT",
        },
    });
    for (payload, pointer) in [
        ("apigateway-v2", "/requestContext/authentication/clientCert"),
        ("apigateway-v1", "/requestContext/identity/clientCert"),
    ] {
        let upstream = Upstream::responding(json!({ "statusCode": 200 }));
        let mesh = with_mutual_tls(&upstream, payload).start();
        get_with_certificate(&mesh);
        let event = upstream.call().event();
        assert_eq!(event.pointer(pointer), Some(&certificate), "{payload}");
    }
}

/// Without mutual TLS the header comes from the client, even if Envoy is configured to forward it.
#[test]
fn a_certificate_that_a_client_only_claims_is_ignored() {
    let pem = std::fs::read_to_string(fixture("client.pem")).expect("the fixture");
    let encoded = pem
        .replace('\n', "%0A")
        .replace('+', "%2B")
        .replace(' ', "%20");
    let upstream = Upstream::responding(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream).edit(|config| {
        config.connection_manager()["forward_client_cert_details"] = json!("ALWAYS_FORWARD_ONLY");
    });
    let mesh = mesh.start();
    let request = mesh
        .get("/")
        .header("x-forwarded-client-cert", format!("Cert=\"{encoded}\""));
    assert_eq!(request.send().status, 200);
    let event = upstream.call().event();
    assert_ne!(event["headers"]["x-forwarded-client-cert"], Value::Null);
    assert_eq!(event["requestContext"].get("authentication"), None);
}
