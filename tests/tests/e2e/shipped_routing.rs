//! The shipped configurations in which a host has several functions, or serves other things too.

use lambda_mesh_tests::client::{Request, raw_status, send_all};
use lambda_mesh_tests::endpoint::Endpoint;
use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::upstream::{Call, ScriptedResponse, Upstream};
use serde_json::{Value, json};

fn upstream() -> Upstream {
    Upstream::responding(json!({ "statusCode": 200, "body": "from the function" }))
}

fn last(upstream: &Upstream) -> Call {
    upstream.calls().pop().expect("a call")
}

#[test]
fn a_host_and_a_path_select_the_function() {
    let upstream = upstream();
    let mesh = Mesh::shipped("hosts-and-paths.yaml", &upstream).start();
    let cases = [
        (
            "GET",
            "shop.example.com",
            "/orders/7",
            "orders",
            "/7",
            Value::Null,
        ),
        (
            "GET",
            "shop.example.com",
            "/pets/3",
            "pets",
            "/pets/3",
            json!({ "id": "3" }),
        ),
        (
            "GET",
            "shop.example.com",
            "/pets/4/",
            "pets",
            "/pets/4/",
            json!({ "id": "4" }),
        ),
        (
            "DELETE",
            "shop.example.com",
            "/pets/3",
            "pets-admin",
            "/pets/3",
            json!({ "id": "3" }),
        ),
    ];
    for (method, host, target, function, path, parameters) in cases {
        let response = mesh.request(method, target).host(host).send();
        assert_eq!(
            (response.status, response.text()),
            (200, "from the function"),
            "{target}"
        );
        let call = last(&upstream);
        assert_eq!(
            call.path,
            format!("/2015-03-31/functions/{function}/invocations")
        );
        let event = call.event();
        assert_eq!(event["path"], path, "{method} {target}");
        assert_eq!(
            event["requestContext"]["stage"], "prod",
            "{method} {target}"
        );
        if parameters != Value::Null {
            assert_eq!(event["pathParameters"], parameters, "{method} {target}");
            assert_eq!(event["resource"], "/pets/{id}", "{method} {target}");
        }
    }

    let response = mesh.get("/any").host("blue.tenants.example.com").send();
    assert_eq!(response.status, 200);
    let call = last(&upstream);
    assert_eq!(call.path, "/2015-03-31/functions/tenants/invocations");
    assert_eq!(call.event()["version"], "2.0");
    // A full name ends in a dot. Clients send it so that no search list is tried.
    let response = mesh.get("/any").host("blue.tenants.example.com.").send();
    assert_eq!(response.status, 200);
    let headers = &last(&upstream).event()["headers"];
    assert_eq!(headers["host"], "blue.tenants.example.com");
    let calls = upstream.calls().len();

    let pong = mesh.get("/ping").host("shop.example.com").send();
    assert_eq!((pong.status, pong.text()), (200, "pong\n"));
    let nowhere = [
        mesh.get("/ordersX").host("shop.example.com"),
        mesh.get("/pets/3/toys").host("shop.example.com"),
        mesh.post("/pets/3", "{}").host("shop.example.com"),
        mesh.get("/").host("tenants.example.com"),
        mesh.get("/").host("other.example.com"),
    ];
    for request in nowhere {
        let shown = format!("{request:?}");
        assert_eq!(request.send().status, 404, "{shown}");
    }
    assert_eq!(upstream.calls().len(), calls);
}

/// Returns the number of calls to each alias, `live` and `canary`, without the first `skip` calls.
fn aliases(upstream: &Upstream, skip: usize) -> [usize; 2] {
    let calls = upstream.calls();
    let calls = &calls[skip..];
    ["live", "canary"].map(|alias| {
        let path = format!("/2015-03-31/functions/orders/invocations?Qualifier={alias}");
        calls.iter().filter(|call| call.path == path).count()
    })
}

#[test]
fn a_tenth_of_the_calls_goes_to_the_canary() {
    let upstream = upstream();
    let mesh = Mesh::shipped("canary.yaml", &upstream).start();
    let get = || mesh.get("/").host("orders.localhost");
    let send = |number| {
        for response in send_all((0..number).map(|_| get()), 16) {
            assert_eq!(response.expect("a response").status, 200);
        }
    };
    send(400);
    let [live, canary] = aliases(&upstream, 0);
    assert_eq!(live + canary, 400);
    // 40 are expected. Fewer than 10 or more than 85 occur once in a hundred million runs.
    assert!((10..=85).contains(&canary), "{canary} of 400");

    assert_eq!(get().header("x-canary", "always").send().status, 200);
    assert_eq!(aliases(&upstream, 400), [0, 1]);

    let weights = "/runtime_modify?orders.orders-live=0&orders.orders-canary=100";
    assert_eq!(Request::new(mesh.admin, "POST", weights).send().status, 200);
    send(20);
    assert_eq!(aliases(&upstream, 401), [0, 20]);
    let stats = Request::new(
        mesh.admin,
        "GET",
        "/stats?filter=orders-canary.upstream_rq_200",
    )
    .send();
    assert_eq!(
        stats.text(),
        format!("cluster.orders-canary.upstream_rq_200: {}\n", canary + 21)
    );
}

/// Starts `static-site.yaml` with `files` in the place of the bucket, and without TLS to it.
pub(crate) fn static_site(upstream: impl Into<Endpoint>, files: &Upstream) -> Mesh {
    Mesh::shipped("static-site.yaml", upstream)
        .environment("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .environment("AWS_SECRET_ACCESS_KEY", "secret")
        .environment("AWS_EC2_METADATA_DISABLED", "true")
        .edit(|config| {
            config.set_address("assets", files.address);
            let mut clusters = config.clusters().iter_mut();
            let assets = clusters.find(|cluster| cluster["name"] == "assets");
            let assets = assets.and_then(Value::as_object_mut);
            let tls = assets.and_then(|assets| assets.remove("transport_socket"));
            let tls = tls.expect("TLS to the bucket");
            let validation = &tls["typed_config"]["common_tls_context"]["validation_context"];
            assert!(validation["trusted_ca"].is_object(), "{tls}");
            assert!(
                validation["match_typed_subject_alt_names"].is_array(),
                "{tls}"
            );
        })
        .start()
}

/// The path that selects the route has to be the path that the origin resolves.
#[test]
fn no_path_leads_out_of_the_folder_of_files() {
    let upstream = upstream();
    let files = Upstream::start(|_| ScriptedResponse::bytes("body {}"));
    let mesh = static_site(&upstream, &files);
    for path in [
        "/assets/../index.php",
        "/assets/%2e%2e/index.php",
        "/assets/.%2E/index.php",
        "/assets/a/../../index.php",
        "//assets/..//index.php",
    ] {
        assert_eq!(raw_status(mesh.address, path), 200, "{path}");
        assert_eq!(last(&upstream).event()["path"], "/index.php", "{path}");
    }
    for path in [
        "/assets/..%2findex.php",
        "/assets/%2e%2e%2Findex.php",
        "/assets/..%5cindex.php",
    ] {
        assert_eq!(raw_status(mesh.address, path), 400, "{path}");
    }
    assert!(files.calls().is_empty());
}

#[test]
fn files_come_from_their_own_origin_and_the_rest_from_the_function() {
    let upstream = upstream();
    let files = Upstream::start(|_| {
        ScriptedResponse::bytes("body {}").header("cache-control", "max-age=60")
    });
    let mesh = static_site(&upstream, &files);
    let request = mesh.get("/assets/site.css?v=2");
    let request = request.header("cookie", "session=1");
    let response = request.header("authorization", "Bearer x").send();
    assert_eq!((response.status, response.text()), (200, "body {}"));
    assert_eq!(response.header("cache-control"), "max-age=60");
    let call = files.call();
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("GET", "/assets/site.css?v=2")
    );
    let host = "assets-example-com.s3.eu-central-1.amazonaws.com";
    assert_eq!(call.headers["host"], host);
    assert!(!call.headers.contains_key("cookie"), "{:?}", call.headers);
    // The bucket is private: Envoy signs, and the client's own header is gone.
    let signatures: Vec<_> = call.headers.get_all("authorization").iter().collect();
    let [signature] = signatures[..] else {
        panic!("{signatures:?}");
    };
    let signature = signature.to_str().expect("text");
    let credential = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/";
    assert!(signature.starts_with(credential), "{signature}");
    let scope = "/eu-central-1/s3/aws4_request,";
    assert!(signature.contains(scope), "{signature}");
    assert_eq!(call.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert_eq!(upstream.calls().len(), 0);

    let response = mesh
        .get("/blog/2026/hello?x=1")
        .header("cookie", "session=1")
        .send();
    assert_eq!(
        (response.status, response.text()),
        (200, "from the function")
    );
    let event = upstream.call().event();
    assert_eq!(event["path"], "/blog/2026/hello");
    assert_eq!(event["resource"], "/{proxy+}");
    assert_eq!(
        event["pathParameters"],
        json!({ "proxy": "blog/2026/hello" })
    );
    assert_eq!(event["headers"]["Cookie"], "session=1");
    assert_eq!(mesh.get("/").send().status, 200);
    assert_eq!(last(&upstream).event()["resource"], "/");
    assert_eq!(files.calls().len(), 1);
}
