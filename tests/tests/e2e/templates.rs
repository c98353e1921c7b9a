//! Templates of AWS SAM and CloudFormation, through the invoker that imports them and the Envoy whose
//! configuration is made of them.

use std::fs;

use lambda_mesh_tests::client::Response;
use lambda_mesh_tests::endpoint::free_address;
use lambda_mesh_tests::generated::{Generated, envoy_config, write_file};
use lambda_mesh_tests::invoker::Invoker;
use lambda_mesh_tests::mesh::on_each_envoy;
use lambda_mesh_tests::upstream::{ScriptedResponse, Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::workspace_root;

use crate::service::probe;

/// Writes files into a folder whose functions, in the folder `code`, are the probe.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        let parent = path.parent().expect("a folder around the file");
        fs::create_dir_all(parent).expect("a folder in a temporary folder");
        write_file(folder.path(), name, text);
    }
    let code = folder.path().join("code");
    fs::create_dir_all(&code).expect("a folder in a temporary folder");
    fs::copy(probe(), code.join("bootstrap")).expect("a copy of the probe");
    folder
}

/// Serves the `template.yaml` of a folder.
fn serve(version: &str, folder: &TempDir) -> (Invoker, Generated) {
    serve_with(version, folder, &json!({}))
}

/// Serves the `template.yaml` of a folder, with these keys of `invoker.yaml`.
fn serve_with(version: &str, folder: &TempDir, keys: &Value) -> (Invoker, Generated) {
    let mut config = keys.clone();
    config["import"] = json!(folder.path().join("template.yaml"));
    let invoker = Invoker::with(config.clone()).start();
    let config = write_file(folder.path(), "invoker.yaml", &config.to_string());
    let (listen, admin) = (free_address(), free_address());
    let output = envoy_config(
        version,
        &[
            "--config",
            &config,
            "--invoker",
            &invoker.address().to_string(),
            "--listen",
            &listen.to_string(),
            "--admin",
            &admin.to_string(),
            "--check",
        ],
    );
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let envoy = Generated::start(version, &output.stdout, listen, admin);
    (invoker, envoy)
}

/// Returns the headers of CORS.
fn cors(response: &Response) -> Vec<(&str, &str)> {
    let headers = response.headers.iter();
    let mut headers: Vec<_> = headers
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("access-control-")?;
            Some((name, value.to_str().ok()?))
        })
        .collect();
    headers.sort_unstable();
    headers
}

const SITE: &str = "https://site.example";

#[test]
fn web_pages_of_other_origins_are_answered_by_the_rules_of_the_api() {
    let folder = project(&[(
        "template.yaml",
        r#"
Globals:
  Function: { Runtime: provided.al2023, CodeUri: code, Timeout: 30 }
Resources:
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration:
        AllowOrigins: [https://site.example, "http://*"]
        AllowMethods: [GET, POST]
        AllowHeaders: [x-a]
        ExposeHeaders: [x-b]
        MaxAge: 60
        AllowCredentials: true
  Rest:
    Type: AWS::Serverless::Api
    Properties: { StageName: dev, Cors: { AllowOrigin: "'https://site.example'", AllowHeaders: "'x-100%'" } }
  F:
    Type: AWS::Serverless::Function
    Properties:
      FunctionUrlConfig: { AuthType: NONE, Cors: { AllowOrigins: ["*"], AllowMethods: ["*"] } }
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: /http, Method: GET } }
        Post: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: /http, Method: POST } }
        Any: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: "/any/{proxy+}" } }
        Rest: { Type: Api, Properties: { RestApiId: !Ref Rest, Path: /rest, Method: GET } }
        Put: { Type: Api, Properties: { RestApiId: !Ref Rest, Path: /rest, Method: PUT } }
        All: { Type: Api, Properties: { RestApiId: !Ref Rest, Path: "/all/{id}", Method: ANY } }
        Own: { Type: Api, Properties: { RestApiId: !Ref Rest, Path: /own, Method: OPTIONS } }
"#,
    )]);
    on_each_envoy(|version| {
        let (_invoker, envoy) = serve(version, &folder);
        let preflight = |path: &str, origin: &str| {
            let request = envoy.request("OPTIONS", path);
            let request = request.header("origin", origin);
            request
                .header("access-control-request-method", "GET")
                .send()
        };
        let allowed = |origin| {
            [
                ("allow-credentials", "true"),
                ("allow-headers", "x-a"),
                ("allow-methods", "GET,POST"),
                ("allow-origin", origin),
                ("expose-headers", "x-b"),
                ("max-age", "60"),
            ]
        };
        for path in ["/http", "/any/a/b"] {
            for origin in [SITE, "http://localhost:3000"] {
                let response = preflight(path, origin);
                assert_eq!(response.status, 200, "{response:?}");
                assert_eq!(cors(&response), allowed(origin), "{path}");
                assert_eq!(response.text(), "", "the function is not called");
            }
            let response = preflight(path, "https://other.example");
            assert!(
                !cors(&response)
                    .iter()
                    .any(|(name, _)| *name == "allow-origin")
            );
            assert_eq!(response.text(), "", "the function is not called");
            let response = envoy.request("GET", path).header("origin", SITE).send();
            assert_eq!(
                cors(&response),
                [
                    ("allow-credentials", "true"),
                    ("allow-origin", SITE),
                    ("expose-headers", "x-b")
                ]
            );
            assert_eq!(response.json()["rawPath"], path);
        }
        // A request that is no preflight is the function's.
        let options = envoy.request("OPTIONS", "/any/a").send();
        assert_eq!(
            options.json()["requestContext"]["http"]["method"],
            "OPTIONS"
        );

        let url = envoy.request("OPTIONS", "/").host("f.localhost");
        let url = url.header("origin", SITE);
        let url = url.header("access-control-request-method", "PUT").send();
        // Envoy names the method that the page asks for.
        assert_eq!(
            cors(&url),
            [("allow-methods", "PUT"), ("allow-origin", SITE)]
        );

        let all = "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT";
        for (path, methods) in [
            ("/rest", "GET,OPTIONS,PUT"),
            ("/rest/", "GET,OPTIONS,PUT"),
            ("/all/7", all),
        ] {
            for origin in [SITE, "https://other.example"] {
                let response = preflight(path, origin);
                assert_eq!((response.status, response.text()), (200, ""));
                let expected = [
                    ("allow-headers", "x-100%"),
                    ("allow-methods", methods),
                    ("allow-origin", SITE),
                ];
                assert_eq!(cors(&response), expected, "{path}");
            }
        }
        let response = envoy.request("GET", "/rest").header("origin", SITE).send();
        assert_eq!(response.status, 200);
        assert_eq!(
            cors(&response),
            [],
            "a REST API leaves them to its functions"
        );
        let own = preflight("/own", SITE);
        assert_eq!(own.json()["httpMethod"], "OPTIONS");
    });
}

#[test]
fn stacks_inside_a_stack_are_served_together() {
    let folder = project(&[
        (
            "template.yaml",
            "
Parameters: { Stage: { Type: String, Default: beta } }
Resources:
  Orders: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: stacks/orders.yaml, Parameters: { Stage: !Ref Stage } } }
  Bills: { Type: AWS::Serverless::Application, Properties: { Location: stacks/bills.yaml, Parameters: { Orders: !GetAtt Orders.Outputs.Name } } }
",
        ),
        (
            "stacks/orders.yaml",
            "
Parameters: { Stage: { Type: String } }
Resources:
  Api: { Type: AWS::Serverless::Api, Properties: { StageName: !Ref Stage, BinaryMediaTypes: [image~1png] } }
  Get:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      CodeUri: ../code
      Events:
        Get: { Type: Api, Properties: { RestApiId: !Ref Api, Path: '/orders/{id}/', Method: GET } }
        Put: { Type: Api, Properties: { RestApiId: !Ref Api, Path: '/orders/{rest+}', Method: PUT } }
Outputs: { Name: { Value: !Ref Get } }
",
        ),
        (
            "stacks/bills.yaml",
            "
Parameters: { Orders: { Type: String } }
Resources:
  Get:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      CodeUri: ../code
      Environment: { Variables: { PROBE_CALLS: !Sub '/tmp/${Orders}' } }
      Events: { Get: { Type: HttpApi, Properties: { Path: /bills, Method: GET } } }
",
        ),
    ]);
    on_each_envoy(|version| {
        let (invoker, envoy) = serve(version, &folder);
        // A REST API takes a path with and without a slash at its end.
        for path in ["/orders/7", "/orders/7/"] {
            let event = envoy.request("GET", path).send().json();
            assert_eq!(event["path"], path);
            assert_eq!(event["resource"], "/orders/{id}");
            assert_eq!(event["pathParameters"], json!({ "id": "7" }));
            assert_eq!(event["requestContext"]["stage"], "beta");
        }
        let put = |media_type: &str| {
            let request = envoy.request("PUT", "/orders/a/b");
            let request = request.header("content-type", media_type);
            request.body(&b"abc"[..]).send().json()
        };
        let image = put("image/png");
        assert_eq!(image["isBase64Encoded"], true);
        assert_eq!(image["body"], "YWJj");
        assert_eq!(put("text/plain")["isBase64Encoded"], false);
        assert_eq!(image["pathParameters"], json!({ "rest": "a/b" }));
        let bills = envoy.request("GET", "/bills").send().json();
        assert_eq!(bills["requestContext"]["stage"], "$default");
        assert_eq!(envoy.request("GET", "/bills/").send().status, 404);
        // Both functions have the same logical id.
        let metrics = invoker.ask("/metrics");
        for name in ["Get", "Bills-Get"] {
            let label = format!("function=\"{name}\"");
            assert!(metrics.text().contains(&label), "{}", metrics.text());
        }
    });
}

#[test]
fn rules_of_a_load_balancer_lead_to_their_functions() {
    let folder = project(&[(
        "template.yaml",
        "
Globals: { Function: { Runtime: provided.al2023, CodeUri: code } }
Resources:
  F: { Type: AWS::Serverless::Function }
  Group: { Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: { TargetType: lambda, Targets: [{ Id: !GetAtt F.Arn }] } }
  Listener: { Type: AWS::ElasticLoadBalancingV2::Listener, Properties: { Port: 80, Protocol: HTTP, DefaultActions: [{ Type: fixed-response }] } }
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 1
      Conditions:
        - { Field: path-pattern, Values: ['/img_*.p?g', /exact] }
        - { Field: http-header, HttpHeaderConfig: { HttpHeaderName: X-Mode, Values: ['be*'] } }
        - { Field: query-string, QueryStringConfig: { Values: [{ Key: v, Value: two }] } }
      Actions: [{ Type: forward, TargetGroupArn: !Ref Group }]
",
    )]);
    on_each_envoy(|version| {
        let (_invoker, envoy) = serve(version, &folder);
        let status = |path: &str, mode: &str| {
            let request = envoy.request("GET", path).header("x-mode", mode);
            request.send().status
        };
        for (path, mode, expected) in [
            ("/img_a/b.png?v=Two", "Beta", 200),
            ("/exact?a=b&v=two", "be", 200),
            ("/img_a.jpeg?v=two", "be", 404),
            ("/exact/?v=two", "be", 404),
            ("/exact?v=three", "be", 404),
            ("/exact?v=two", "a be", 404),
        ] {
            assert_eq!(status(path, mode), expected, "{path} {mode}");
        }
        let request = envoy.request("GET", "/exact?v=two").header("x-mode", "be");
        let event = request.send().json();
        assert!(event["requestContext"]["elb"].is_object(), "{event}");
    });
}

/// The fixtures are those of `shipped_protected.rs`.
#[test]
fn routes_with_an_authorizer_need_a_token_of_its_issuer() {
    let fixture = |name: &str| {
        let path = workspace_root().join("tests/fixtures/jwt").join(name);
        fs::read_to_string(path).expect("a fixture")
    };
    let folder = project(&[(
        "template.yaml",
        "
Globals: { Function: { Runtime: provided.al2023, CodeUri: code } }
Resources:
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: { AllowOrigins: [https://site.example], AllowHeaders: [authorization] }
      Auth:
        DefaultAuthorizer: Header
        Authorizers:
          Header:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: { issuer: 'https://issuer.example.com', audience: [orders] }
          Query:
            IdentitySource: $request.querystring.token
            JwtConfiguration: { issuer: 'https://issuer.example.com', audience: [orders] }
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: /header, Method: GET } }
        Query: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: /query, Method: GET, Auth: { Authorizer: Query } } }
        Open: { Type: HttpApi, Properties: { ApiId: !Ref Http, Path: /open, Method: GET, Auth: { Authorizer: NONE } } }
",
    )]);
    let keys = fixture("jwks.json");
    let issuer = Upstream::start(move |_| ScriptedResponse::bytes(keys.clone()));
    let url = format!("http://{}/keys", issuer.address);
    let jwks = json!({ "import_jwks": { "https://issuer.example.com": url } });
    on_each_envoy(|version| {
        let (_invoker, envoy) = serve_with(version, &folder, &jwks);
        assert_eq!(envoy.request("GET", "/open").send().status, 200);
        assert_eq!(envoy.request("GET", "/header").send().status, 401);
        assert_eq!(envoy.request("GET", "/query").send().status, 401);
        let token = |name: &str| fixture(name).trim().to_owned();
        let bearer = |name: &str| {
            let request = envoy.request("GET", "/header");
            request.header("authorization", format!("Bearer {}", token(name)))
        };
        assert_eq!(bearer("expired.jwt").send().status, 401);
        assert_eq!(bearer("other-audience.jwt").send().status, 403);
        let event = bearer("valid.jwt").send().json();
        let claims = &event["requestContext"]["authorizer"]["jwt"]["claims"];
        assert_eq!(claims["sub"], "user-1", "{event}");
        let authorization = event["headers"]["authorization"].as_str();
        assert!(authorization.is_some_and(|value| value.starts_with("Bearer ")));
        let path = format!("/query?token={}", token("valid.jwt"));
        assert_eq!(envoy.request("GET", &path).send().status, 200);
        // A preflight request has no token.
        let preflight = envoy.request("OPTIONS", "/header");
        let preflight = preflight.header("origin", "https://site.example");
        let preflight = preflight.header("access-control-request-method", "GET");
        let preflight = preflight.send();
        assert_eq!(preflight.status, 200);
        let expected = [
            ("allow-headers", "authorization"),
            ("allow-origin", "https://site.example"),
        ];
        assert_eq!(cors(&preflight), expected);
    });
}
