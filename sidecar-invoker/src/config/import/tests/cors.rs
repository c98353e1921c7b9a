//! The rules of templates for web pages of other origins.

use super::{FUNCTION, read, warnings};
use crate::config::{Config, Cors, CorsPolicy, Preflight};

fn cors<'c>(config: &'c Config, name: &str) -> Option<&'c Cors> {
    let mut routes = config.routes.iter();
    let route = routes.find(|route| route.name() == name || route.host.as_str() == name);
    route.unwrap().cors.as_ref()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn preflight(status: u16, headers: &[(&str, &str)], lists_methods: bool) -> Option<Cors> {
    let headers = headers.iter();
    let headers =
        headers.map(|&(name, value)| (format!("access-control-{name}"), value.to_owned()));
    Some(Cors::Preflight(Preflight {
        status,
        headers: headers.collect(),
        lists_methods,
    }))
}

#[test]
fn http_apis_and_function_urls_have_a_policy() {
    let config = read(&format!(
        "
Globals: {{ HttpApi: {{ CorsConfiguration: true }} }}
Resources:
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration:
        AllowOrigins: [https://a.example, 'https://*']
        AllowMethods: [GET, POST]
        AllowHeaders: [x-a, x-b]
        ExposeHeaders: [x-c]
        MaxAge: 600
        AllowCredentials: true
  Inline:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: false
      DefinitionBody:
        openapi: 3.0.1
        x-amazon-apigateway-cors: {{ allowOrigins: ['*'], allowMethods: [GET], maxAge: 0 }}
        paths: {{ /d: {{ get: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn }} }} }} }}
  Plain: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ CorsConfiguration: {{ AllowOrigins: [https://b.example] }}, Target: !GetAtt F.Arn, RouteKey: GET /p }} }}
  F: {{ {FUNCTION}, FunctionUrlConfig: {{ AuthType: NONE, Cors: {{ AllowOrigins: ['*'], AllowHeaders: ['*'] }} }}, Events: {{
    Own: {{ Type: HttpApi, Properties: {{ Path: /own, Method: GET, ApiId: !Ref Http }} }},
    Global: {{ Type: HttpApi, Properties: {{ Path: /global, Method: GET }} }} }} }} }}
"
    ));
    let all = || CorsPolicy {
        origins: texts(&["*"]),
        ..CorsPolicy::default()
    };
    for (name, expected) in [
        (
            "GET /own",
            CorsPolicy {
                origins: texts(&["https://a.example", "https://*"]),
                methods: texts(&["GET", "POST"]),
                headers: texts(&["x-a", "x-b"]),
                exposed_headers: texts(&["x-c"]),
                max_age: Some(600),
                allows_credentials: true,
            },
        ),
        ("GET /global", all()),
        (
            "GET /d",
            CorsPolicy {
                methods: texts(&["GET"]),
                max_age: Some(0),
                ..all()
            },
        ),
        (
            "GET /p",
            CorsPolicy {
                origins: texts(&["https://b.example"]),
                ..CorsPolicy::default()
            },
        ),
        (
            "f.localhost",
            CorsPolicy {
                headers: texts(&["*"]),
                ..all()
            },
        ),
    ] {
        assert_eq!(cors(&config, name), Some(&Cors::Policy(expected)), "{name}");
    }
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_preflight_response_of_a_rest_api_is_that_of_aws_sam() {
    let config = read(&format!(
        r#"
Globals: {{ Api: {{ Cors: "'https://a.example'" }} }}
Resources:
  Rest: {{ Type: AWS::Serverless::Api, Properties: {{ StageName: s, Cors: {{ AllowOrigin: "'*'", AllowHeaders: "'x-a,x-b'",
    AllowMethods: "'GET'", MaxAge: "'600'", AllowCredentials: true }} }} }}
  F: {{ {FUNCTION}, Events: {{
    Own: {{ Type: Api, Properties: {{ Path: /own, Method: GET, RestApiId: !Ref Rest }} }},
    Any: {{ Type: Api, Properties: {{ Path: /any, Method: GET, RestApiId: !Ref Any }} }},
    Global: {{ Type: Api, Properties: {{ Path: /global, Method: GET }} }} }} }} }}
  Any: {{ Type: AWS::Serverless::Api, IgnoreGlobals: [Cors], Properties: {{ StageName: s, Cors: {{ MaxAge: "'1'" }} }} }}
"#
    ));
    let any = preflight(200, &[("allow-origin", "*"), ("max-age", "1")], true);
    assert_eq!(cors(&config, "GET /any"), any.as_ref());
    assert_eq!(
        cors(&config, "GET /own"),
        preflight(
            200,
            &[
                ("allow-origin", "*"),
                ("allow-headers", "x-a,x-b"),
                ("allow-methods", "GET"),
                ("max-age", "600"),
                ("allow-credentials", "true")
            ],
            false
        )
        .as_ref()
    );
    let global = preflight(200, &[("allow-origin", "https://a.example")], true);
    assert_eq!(cors(&config, "GET /global"), global.as_ref());
    assert_eq!(config.warnings, [""; 0]);
}

/// The CDK writes such methods for `defaultCorsPreflightOptions`, and API Gateway's console exports such definitions.
#[test]
fn a_mock_of_options_is_the_preflight_response_of_its_path() {
    let parameters = r#"{ "method.response.header.Access-Control-Allow-Origin": "'*'", "method.response.header.Vary": "'Origin'" }"#;
    let mock = format!(
        "Integration: {{ Type: MOCK, RequestTemplates: {{ a: b }}, IntegrationResponses: [{{ StatusCode: 204, ResponseParameters: {parameters} }}] }}, MethodResponses: [{{ StatusCode: 204 }}]"
    );
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Rest: {{ Type: AWS::ApiGateway::RestApi }}
  Users: {{ Type: AWS::ApiGateway::Resource, Properties: {{ RestApiId: !Ref Rest, PathPart: users, ParentId: !GetAtt Rest.RootResourceId }} }}
  Get: {{ Type: AWS::ApiGateway::Method, Properties: {{ RestApiId: !Ref Rest, ResourceId: !Ref Users, HttpMethod: GET, Integration: {{ Type: AWS_PROXY, Uri: !GetAtt F.Arn }} }} }}
  Options: {{ Type: AWS::ApiGateway::Method, Properties: {{ RestApiId: !Ref Rest, ResourceId: !Ref Users, HttpMethod: OPTIONS, AuthorizationType: NONE,
    {mock} }} }}
  Other: {{ Type: AWS::ApiGateway::Method, Properties: {{ RestApiId: !Ref Rest, ResourceId: !Ref Users, HttpMethod: PUT, {mock} }} }}
  Inline:
    Type: AWS::Serverless::Api
    Properties:
      StageName: s
      DefinitionBody:
        paths:
          /d/:
            x-amazon-apigateway-any-method: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn }} }}
            options: {{ x-amazon-apigateway-integration: {{ type: mock, responses: {{ default: {{ statusCode: '200', responseParameters: {parameters} }} }} }} }}
"
    ));
    for (name, status) in [("GET /users", 204), ("ANY /d", 200)] {
        let Some(Cors::Preflight(found)) = cors(&config, name) else {
            panic!("{name} has no preflight response");
        };
        let headers = [("access-control-allow-origin", "*"), ("vary", "Origin")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((found.status, &found.headers[..]), (status, &headers[..]));
    }
    assert_eq!(
        warnings(&config),
        ["9: Other: integrations of the type MOCK are not served here; it is left out"]
    );
}

#[test]
fn rules_that_are_not_known_are_a_warning() {
    let config = read(&format!(
        r#"
Resources:
  Http: {{ Type: AWS::Serverless::HttpApi, Properties: {{ CorsConfiguration: {{ AllowOrigins: [!Ref Domain, 'https://a.example'],
    AllowMethods: ["G\nX"], MaxAge: soon, Colour: red }} }} }}
  None: {{ Type: AWS::Serverless::HttpApi, Properties: {{ CorsConfiguration: {{ AllowHeaders: [a] }} }} }}
  Odd: {{ Type: AWS::Serverless::HttpApi, Properties: {{ CorsConfiguration: some }} }}
  Rest: {{ Type: AWS::Serverless::Api, Properties: {{ StageName: s, Cors: '*' }} }}
  Empty: {{ Type: AWS::Serverless::Api, Properties: {{ StageName: s, Cors: {{ AllowOrigin: !Ref Domain, MaxAge: "'1'" }} }} }}
  F: {{ {FUNCTION} }} }}
"#
    ));
    assert_eq!(
        warnings(&config),
        [
            "3: Http: AllowOrigins needs Domain, which is not known here; it is left out",
            "3: Http: MaxAge is no number of seconds; it is left out",
            "4: Http: AllowMethods has a text that no header can have; it is left out",
            "4: Http: CorsConfiguration.Colour is not understood and has no effect here",
            "5: None: CORS has no AllowOrigins; it is left out",
            "6: Odd: CORS is \"some\", neither true nor its settings; it is left out",
            "7: Rest: Cors.AllowOrigin needs single quotes of its own on AWS: \"'*'\"",
            "8: Empty: Cors.AllowOrigin needs Domain, which is not known here; it is left out",
        ]
    );
}
