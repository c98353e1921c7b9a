//! The authorizers of HTTP APIs.

use std::path::Path;

use super::{FUNCTION, read, read_as, warnings};
use crate::config::{Config, JwtAuthorizer, TokenSource};

fn authorizer<'c>(config: &'c Config, name: &str) -> Option<&'c JwtAuthorizer> {
    let route = config.routes.iter().find(|route| route.name() == name);
    route.unwrap().authorizer.as_ref()
}

const SAM: &str = "
Parameters: { Issuer: { Type: String, Default: 'https://a.example/' } }
Globals: { HttpApi: { Auth: { Authorizers: { Global: { IdentitySource: $request.querystring.t, JwtConfiguration: { issuer: 'https://g.example', audience: g } } } } } }
Resources:
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Own
        Authorizers:
          Own:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: { issuer: !Ref Issuer, audience: [a, b] }
";

#[test]
fn events_ask_for_the_tokens_of_their_authorizer() {
    let template = format!(
        "{SAM}
  F: {{ {FUNCTION}, Events: {{
    Own: {{ Type: HttpApi, Properties: {{ Path: /own, Method: GET, ApiId: !Ref Http }} }},
    Other: {{ Type: HttpApi, Properties: {{ Path: /other, Method: GET, ApiId: !Ref Http, Auth: {{ Authorizer: Global, AuthorizationScopes: [x] }} }} }},
    None: {{ Type: HttpApi, Properties: {{ Path: /none, Method: GET, ApiId: !Ref Http, Auth: {{ Authorizer: NONE }} }} }},
    Implicit: {{ Type: HttpApi, Properties: {{ Path: /implicit, Method: GET }} }} }} }} }}
"
    );
    let keys = "import_jwks: { 'https://g.example': 'http://localhost:1/keys' }";
    let config = read_as("template.yaml", keys, &template, &[]);
    let own = authorizer(&config, "GET /own").unwrap();
    assert_eq!(own.issuer, "https://a.example/");
    assert_eq!(own.audiences, ["a", "b"]);
    assert_eq!(own.source, TokenSource::Header("authorization".to_owned()));
    assert_eq!(own.jwks.text, "https://a.example/.well-known/jwks.json");
    let other = authorizer(&config, "GET /other").unwrap();
    assert_eq!(other.audiences, ["g"]);
    assert_eq!(other.source, TokenSource::Query("t".to_owned()));
    assert_eq!(other.jwks.text, "http://localhost:1/keys");
    assert_eq!(authorizer(&config, "GET /none"), None);
    assert_eq!(authorizer(&config, "GET /implicit"), None);
    assert_eq!(
        warnings(&config),
        [
            "17: F: Events.Other.Auth.AuthorizationScopes has no effect here: a token with any scope is accepted here"
        ]
    );
}

#[test]
fn routes_of_cloudformation_ask_for_the_tokens_of_their_authorizer() {
    let route = |id: &str, path: &str, auth: &str| {
        format!(
            "  {id}: {{ Type: AWS::ApiGatewayV2::Route, Properties: {{ ApiId: !Ref Http, RouteKey: GET {path}, Target: !Sub 'integrations/${{To}}', {auth} }} }}\n"
        )
    };
    let routes = [
        route("A", "/a", "AuthorizationType: JWT, AuthorizerId: !Ref Jwt"),
        route(
            "B",
            "/b",
            "AuthorizationType: CUSTOM, AuthorizerId: !Ref Lambda",
        ),
        route("C", "/c", "AuthorizationType: JWT, AuthorizerId: !Ref Pool"),
    ]
    .concat();
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Http: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP }} }}
  To: {{ Type: AWS::ApiGatewayV2::Integration, Properties: {{ ApiId: !Ref Http, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt F.Arn }} }}
  Jwt: {{ Type: AWS::ApiGatewayV2::Authorizer, Properties: {{ ApiId: !Ref Http, Name: a, AuthorizerType: JWT, IdentitySource: [$request.header.X-Token],
    JwtConfiguration: {{ Issuer: 'https://a.example', Audience: [a] }} }} }}
  Lambda: {{ Type: AWS::ApiGatewayV2::Authorizer, Properties: {{ ApiId: !Ref Http, AuthorizerType: REQUEST, AuthorizerUri: x }} }}
  Pool: {{ Type: AWS::ApiGatewayV2::Authorizer, Properties: {{ AuthorizerType: JWT, JwtConfiguration: {{ Issuer: !Sub 'https://x/${{Users}}', Audience: [a] }} }} }}
{routes}"
    ));
    let jwt = authorizer(&config, "GET /a").unwrap();
    assert_eq!(jwt.issuer, "https://a.example");
    assert_eq!(jwt.source, TokenSource::Header("x-token".to_owned()));
    assert_eq!(authorizer(&config, "GET /b"), None);
    assert_eq!(authorizer(&config, "GET /c"), None);
    assert_eq!(
        warnings(&config),
        [
            "8: Lambda has no effect here: only tokens are checked here; its routes are open to every caller",
            "9: Pool has no effect here: its issuer needs Users, which is not known here; its routes are open to every caller",
            "11: B: AuthorizationType has no effect here: the routes are open to every caller",
            "11: B: AuthorizerId has no effect here: the routes are open to every caller",
        ]
    );
}

#[test]
fn an_authorizer_that_is_not_kept_is_a_warning() {
    let config = read(&format!(
        "
Resources:
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: AWS_IAM
        EnableIamAuthorizer: true
        Authorizers:
          Fn: {{ FunctionArn: !GetAtt F.Arn, AuthorizerPayloadFormatVersion: 2.0 }}
          Odd: {{ JwtConfiguration: {{ issuer: a, audience: [b] }} }}
          Place: {{ IdentitySource: $context.x, JwtConfiguration: {{ issuer: 'https://a', audience: [b] }} }}
          None: {{ JwtConfiguration: {{ issuer: 'https://a' }} }}
  F: {{ {FUNCTION}, Events: {{
    E: {{ Type: HttpApi, Properties: {{ Path: /, Method: GET, ApiId: !Ref Http, Auth: {{ Authorizer: Fn }} }} }},
    G: {{ Type: HttpApi, Properties: {{ Path: /g, Method: GET, ApiId: !Ref Http, Auth: {{ Authorizer: Typo }} }} }} }} }} }}
"
    ));
    let open = |line, name: &str, reason: &str| {
        format!(
            "{line}: Http: the authorizer {name} has no effect here: {reason}; its routes are open to every caller"
        )
    };
    let unread = |line, key: &str| {
        format!("{line}: {key} has no effect here: the routes are open to every caller")
    };
    assert_eq!(authorizer(&config, "GET /g"), None);
    assert_eq!(
        warnings(&config),
        [
            unread(7, "Http: Auth.DefaultAuthorizer"),
            unread(8, "Http: Auth.EnableIamAuthorizer"),
            open(10, "Fn", "only tokens are checked here"),
            open(11, "Odd", "its issuer \"a\" is no URL"),
            open(
                12,
                "Place",
                "its IdentitySource \"$context.x\" is neither a header nor a parameter"
            ),
            open(13, "None", "it has no audience"),
            unread(16, "F: Events.G.Auth.Authorizer"),
        ]
    );
}

#[test]
fn the_keys_of_an_issuer_that_no_route_names_are_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let template = format!("{SAM}\n  F: {{ {FUNCTION} }} }}\n");
    std::fs::write(folder.path().join("t.yaml"), template).unwrap();
    std::fs::write(folder.path().join("bootstrap"), "").unwrap();
    let problems = |keys: &str| {
        let config = Config::parse("i.yaml", keys, Path::new(folder.path()));
        config.unwrap_err().to_string()
    };
    assert_eq!(
        problems("import: t.yaml\nimport_jwks: { 'https://b.example': 'https://b.example/k' }"),
        "i.yaml:2: import_jwks.https://b.example: no route of a template asks for tokens of this issuer"
    );
    let error = problems("import: t.yaml\nimport_jwks: { a: b }");
    let expected =
        "i.yaml:2: import_jwks.a: expected a URL such as https://id.example.com/keys, found \"b\"";
    assert!(error.starts_with(expected), "{error}");
    let without = problems("functions: { f: { rie: 'http://f' } }\nimport_jwks: {}");
    assert!(
        without.contains("no template is imported; remove `import_jwks`"),
        "{without}"
    );
}

#[test]
fn routes_of_a_definition_ask_for_the_tokens_of_the_api_and_of_their_events() {
    let api = |id: &str, auth: &str| {
        let integration =
            "x-amazon-apigateway-integration: { type: aws_proxy, uri: !GetAtt F.Arn }";
        format!(
            "  {id}: {{ Type: AWS::Serverless::HttpApi, Properties: {{ Auth: {{ {auth} Authorizers: {{ J: {{ IdentitySource: $request.header.A,
    JwtConfiguration: {{ issuer: 'https://i.example', audience: [a] }} }} }} }}, DefinitionBody: {{ paths: {{ /{id}: {{ get: {{ {integration} }} }}, /{id}/open: {{ get: {{ {integration} }} }} }} }} }} }}\n"
        )
    };
    let config = read(&format!(
        "
Resources:
{}{}  F: {{ {FUNCTION}, Events: {{ E: {{ Type: HttpApi, Properties: {{ ApiId: !Ref b, Path: /b, Method: GET, Auth: {{ Authorizer: J }} }} }} }} }} }}
",
        api("a", "DefaultAuthorizer: J,"),
        api("b", "")
    ));
    for (name, asks) in [
        ("GET /a", true),
        ("GET /a/open", true),
        ("GET /b", true),
        ("GET /b/open", false),
    ] {
        assert_eq!(authorizer(&config, name).is_some(), asks, "{name}");
    }
}
