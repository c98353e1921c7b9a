//! The APIs of templates, in the shapes that AWS's tools and their users write.

use super::{FUNCTION, local, names, read, read_as, read_problems, routes, warnings};

#[test]
fn the_apis_of_aws_sam_have_their_stage_and_media_types() {
    let config = read(&format!(
        "
Globals: {{ Api: {{ BinaryMediaTypes: [image~1png] }} }}
Resources:
  Rest:
    Type: AWS::Serverless::Api
    Properties: {{ StageName: !Sub '${{AWS::StackName}}-v1', BinaryMediaTypes: ['*~1*'], Auth: {{ DefaultAuthorizer: x }} }}
  Http:
    Type: AWS::Serverless::HttpApi
    Properties: {{ StageName: beta, CorsConfiguration: true }}
  F:
    {FUNCTION},
      Events: {{
        Implicit: {{ Type: Api, Properties: {{ Path: /users/, Method: get }} }},
        Root: {{ Type: Api, Properties: {{ Path: /, Method: any }} }},
        Explicit: {{ Type: Api, Properties: {{ Path: '/a/{{proxy+}}', Method: ANY, RestApiId: !Ref Rest }} }},
        Stream: {{ Type: Api, Properties: {{ Path: /s, Method: GET, ResponseTransferMode: STREAM, TimeoutInMillis: 5000 }} }},
        Http: {{ Type: HttpApi, Properties: {{ Path: /h/, Method: GET, ApiId: !Ref Http }} }},
        Old: {{ Type: HttpApi, Properties: {{ Path: /old, Method: GET, PayloadFormatVersion: '1.0' }} }},
        Rest: {{ Type: HttpApi }}
      }} }}
"
    ).replace("Type: AWS::Serverless::Function, Prop", "{ Type: AWS::Serverless::Function, Prop").replace("}\n      } }", "}\n      } } }"));
    assert_eq!(
        routes(&config),
        [
            r#"GET /users {"binary_media_types":["image/png"],"function":"F","payload":"apigateway-v1","stage":"Prod"}"#,
            r#"GET /s {"binary_media_types":["image/png"],"function":"F","invocation":"response-stream","payload":"apigateway-v1","stage":"Prod"}"#,
            r#"GET /h {"function":"F","payload":"apigateway-v2","stage":"beta"}"#,
            r#"GET /old {"function":"F","payload":"apigateway-v1","stage":"$default"}"#,
            r#"ANY / {"binary_media_types":["image/png"],"function":"F","payload":"apigateway-v1","stage":"Prod"}"#,
            r#"ANY /a/{proxy+} {"binary_media_types":["image/png","*/*"],"function":"F","payload":"apigateway-v1","stage":"shop-v1"}"#,
            r#"ANY /* {"function":"F","payload":"apigateway-v2"}"#,
        ]
    );
    let rest_api = |path: &str| {
        config
            .routes
            .iter()
            .find(|route| route.path.as_str() == path)
            .unwrap()
            .is_rest_api
    };
    assert!(rest_api("/users") && !rest_api("/old"));
    assert_eq!(
        warnings(&config),
        ["6: Rest: Auth has no effect here: the routes are open to every caller",]
    );
}

#[test]
fn the_definition_of_an_api_has_routes() {
    let openapi = "
openapi: 3.0.1
info: { title: Shop }
x-amazon-apigateway-binary-media-types: [image/gif]
x-amazon-apigateway-policy: { Version: 1 }
paths:
  /pets/{id}:
    get:
      operationId: getPet
      responses: { default: {} }
      x-amazon-apigateway-integration:
        type: AWS_PROXY
        httpMethod: POST
        payloadFormatVersion: '2.0'
        uri: !Sub 'arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations'
    options:
      x-amazon-apigateway-integration: { type: mock }
  /{proxy+}:
    x-amazon-apigateway-any-method:
      x-amazon-apigateway-integration: { type: aws_proxy, uri: !Ref Absent }
";
    let indented = openapi.replace('\n', "\n        ");
    let template = format!(
        "
Resources:
  F: {{ {FUNCTION}, Events: {{
    In: {{ Type: Api, Properties: {{ Path: '/pets/{{id}}', Method: GET, RestApiId: !Ref Inline }} }},
    Out: {{ Type: Api, Properties: {{ Path: /out, Method: GET, RestApiId: !Ref Inline }} }} }} }} }}
  Inline:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      DefinitionBody:{indented}
  File: {{ Type: AWS::Serverless::HttpApi, Properties: {{ DefinitionUri: api.yaml }} }}
  Included:
    Type: AWS::Serverless::HttpApi
    Properties: {{ DefinitionBody: {{ 'Fn::Transform': {{ Name: AWS::Include, Parameters: {{ Location: api.yaml }} }} }} }}
  Bucket: {{ Type: AWS::Serverless::Api, Properties: {{ StageName: v1, DefinitionUri: s3://b/api.yaml }} }}
"
    );
    let config = read_as("template.yaml", "", &template, &[("api.yaml", openapi)]);
    let files: Vec<_> = config
        .templates
        .iter()
        .flat_map(|file| file.file_name())
        .collect();
    assert_eq!(files, ["template.yaml", "api.yaml"], "`up` watches them");
    assert_eq!(
        routes(&config),
        [
            r#"GET /pets/{id} {"binary_media_types":["image/gif"],"function":"F","payload":"apigateway-v1","stage":"v1"}"#
        ]
    );
    let found = warnings(&config);
    for expected in [
        "35: Bucket: its definition cannot be read: it is not a file on this machine",
        "31: File: ANY /{proxy+}: its function needs Absent, which is not known here; it is left out",
        "5: F: Events.Out: GET /out is not in the definition of Inline, which counts; it is left out",
        "25: Inline: OPTIONS /pets/{id}: integrations of the type mock are not served here; it is left out",
        "28: Inline: ANY /{proxy+}: its function needs Absent, which is not known here; it is left out",
        "14: Inline: x-amazon-apigateway-policy in its definition is not understood and has no effect here",
    ] {
        assert!(found.contains(&expected), "{expected}\n{found:#?}");
    }
}

/// `up` would otherwise take the routes away while someone edits the file.
#[test]
fn a_definition_that_cannot_be_parsed_is_a_mistake() {
    let template = "
Resources:
  Api: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionUri: api.yaml } }
";
    let definition = "paths:\n  /a: [";
    let problems = read_problems("template.yaml", template, &[("api.yaml", definition)]);
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(problem.contains("api.yaml:3: "), "{problem}");
}

/// As samtranslator's `api_merge_definitions_with_conflicting_methods` has it.
#[test]
fn an_event_replaces_the_route_of_a_definition_into_which_it_is_merged() {
    let template = |merges| {
        format!(
            "
Resources:
  F: {{ {FUNCTION} }} }}
  G: {{ {FUNCTION}, Events: {{ E: {{ Type: Api, Properties: {{ Path: /test, Method: get, RestApiId: !Ref Api }} }} }} }} }}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      MergeDefinitions: {merges}
      DefinitionBody:
        paths:
          /test: {{ get: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn }} }} }}
          /other: {{ get: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn }} }} }}
"
        )
    };
    for (merges, function, warning) in [
        (
            true,
            "G",
            &[
                "12: the route GET /test is that of template.yaml:4 too, which counts; this one is left out",
            ][..],
        ),
        (false, "F", &[]),
    ] {
        let config = read(&template(merges));
        let expected = [("/other", "F"), ("/test", function)].map(|(path, function)| {
            format!(
                r#"GET {path} {{"function":"{function}","payload":"apigateway-v1","stage":"v1"}}"#
            )
        });
        let mut found = routes(&config);
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(warnings(&config), warning);
    }
}

/// As API Gateway exports an HTTP API, and as AWS SAM makes one.
#[test]
fn the_definition_of_an_http_api_has_a_default_route_and_shares_integrations() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  G: {{ {FUNCTION}, Events: {{ Rest: {{ Type: HttpApi, Properties: {{ ApiId: !Ref Sam, Path: /$default, Method: ANY }} }} }} }} }}
  Sam: {{ Type: AWS::Serverless::HttpApi, Properties: {{ StageName: beta }} }}
  Http:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Body:
        openapi: 3.0.1
        paths:
          /$default:
            x-amazon-apigateway-any-method:
              isDefaultRoute: true
              x-amazon-apigateway-integration: {{ $ref: '#/components/x-amazon-apigateway-integrations/shared' }}
          /orders:
            get:
              isDefaultRoute: false
              x-amazon-apigateway-integration: {{ $ref: '#/components/x-amazon-apigateway-integrations/shared' }}
            put:
              x-amazon-apigateway-integration: {{ $ref: '#/components/x-amazon-apigateway-integrations/absent' }}
            post:
              x-amazon-apigateway-integration: {{ $ref: other.yaml }}
        components:
          x-amazon-apigateway-integrations:
            shared: {{ type: AWS_PROXY, httpMethod: POST, uri: !GetAtt F.Arn, payloadFormatVersion: '2.0', connectionType: INTERNET }}
"
    ));
    assert_eq!(
        routes(&config),
        [
            r#"GET /orders {"function":"F","payload":"apigateway-v2"}"#,
            r#"ANY /* {"function":"F","payload":"apigateway-v2"}"#,
        ]
    );
    assert_eq!(
        warnings(&config),
        [
            "4: the route ANY /* is that of template.yaml:13 too, which counts; this one is left out",
            "20: Http: PUT /orders: there is no integration #/components/x-amazon-apigateway-integrations/absent; it is left out",
            "22: Http: POST /orders: there is no integration other.yaml; it is left out",
        ]
    );
}

#[test]
fn an_integration_has_its_timeout_in_every_kind_of_api() {
    let config = read(&format!(
        "
Parameters: {{ Later: {{ Type: Number }} }}
Resources:
  F: {{ {FUNCTION}, Events: {{
    Event: {{ Type: HttpApi, Properties: {{ Path: /event, Method: GET, TimeoutInMillis: 5000 }} }},
    Unknown: {{ Type: HttpApi, Properties: {{ Path: /unknown, Method: GET, TimeoutInMillis: !Ref Later }} }} }} }} }}
  Rest: {{ Type: AWS::ApiGateway::RestApi }}
  Root: {{ Type: AWS::ApiGateway::Method, Properties: {{ RestApiId: !Ref Rest, ResourceId: !GetAtt Rest.RootResourceId, HttpMethod: GET,
    Integration: {{ Type: AWS_PROXY, Uri: !GetAtt F.Arn, TimeoutInMillis: 4000 }} }} }}
  Http: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP }} }}
  Integration: {{ Type: AWS::ApiGatewayV2::Integration, Properties: {{ ApiId: !Ref Http, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt F.Arn, TimeoutInMillis: '3000' }} }}
  Route: {{ Type: AWS::ApiGatewayV2::Route, Properties: {{ ApiId: !Ref Http, RouteKey: GET /route, Target: !Sub 'integrations/${{Integration}}' }} }}
  Defined:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        paths:
          /defined: {{ get: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn, timeoutInMillis: 2000 }} }} }}
          /zero: {{ get: {{ x-amazon-apigateway-integration: {{ type: aws_proxy, uri: !GetAtt F.Arn, timeoutInMillis: 0 }} }} }}
"
    ));
    let mut timeouts: Vec<_> = config
        .routes
        .iter()
        .map(|route| {
            let seconds = route.timeout.map(|timeout| timeout.as_secs());
            (route.path.as_str(), seconds)
        })
        .collect();
    timeouts.sort_unstable();
    assert_eq!(
        timeouts,
        [
            ("/", Some(4)),
            ("/defined", Some(2)),
            ("/event", Some(5)),
            ("/route", Some(3)),
            ("/unknown", None),
            ("/zero", None),
        ]
    );
    assert_eq!(
        warnings(&config),
        [
            "6: F: Events.Unknown.TimeoutInMillis is not understood and has no effect here",
            "19: Defined: timeoutInMillis in its definition is not understood and has no effect here",
        ]
    );
}

#[test]
fn two_requests_of_the_same_form_are_one_route() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION}, Events: {{ E: {{ Type: Api, Properties: {{ Path: '/a/{{id}}', Method: GET }} }} }} }} }}
  G: {{ {FUNCTION}, Events: {{ E: {{ Type: Api, Properties: {{ Path: '/a/{{name}}/', Method: GET }} }} }} }} }}
"
    ));
    assert_eq!(config.routes.len(), 1);
    let expected = "4: the route GET /a/{name} is that of template.yaml:3 too, which counts; this one is left out";
    assert_eq!(warnings(&config), [expected]);
}

#[test]
fn a_function_url_is_a_host() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION}, FunctionUrlConfig: {{ AuthType: NONE, InvokeMode: RESPONSE_STREAM }} }} }}
  G: {{ {FUNCTION}, FunctionUrlConfig: {{ AuthType: AWS_IAM, Cors: {{ AllowOrigins: ['*'] }} }} }} }}
"
    ));
    assert_eq!(
        routes(&config),
        [
            r#"f.localhost ANY /* {"function":"F","invocation":"response-stream","payload":"function-url"}"#,
            r#"g.localhost ANY /* {"function":"G","payload":"function-url"}"#,
        ]
    );
    assert_eq!(
        warnings(&config),
        [
            "4: G: FunctionUrlConfig.AuthType has no effect here: the routes are open to every caller",
        ]
    );
}

#[test]
fn a_template_of_the_cdk_has_functions_and_routes() {
    let uri = |function: &str| {
        format!(
            r#"{{ "Fn::Join": ["", ["arn:", {{ "Ref": "AWS::Partition" }}, ":apigateway:", {{ "Ref": "AWS::Region" }},
                ":lambda:path/2015-03-31/functions/", {{ "Fn::GetAtt": ["{function}", "Arn"] }}, "/invocations"]] }}"#
        )
    };
    let template = format!(
        r#"{{
 "Resources": {{
  "Role1": {{ "Type": "AWS::IAM::Role", "Properties": {{}}, "Metadata": {{ "aws:cdk:path": "S/Role" }} }},
  "Fn1": {{
   "Type": "AWS::Lambda::Function",
   "Properties": {{
    "Code": {{ "S3Bucket": {{ "Fn::Sub": "cdk-hnb-assets-${{AWS::AccountId}}" }}, "S3Key": "abc.zip" }},
    "Handler": "index.handler",
    "Runtime": {{ "Fn::FindInMap": ["Runtimes", {{ "Ref": "AWS::Region" }}, "provided", {{ "DefaultValue": "provided.al2023" }}] }},
    "Role": {{ "Fn::GetAtt": ["Role1", "Arn"] }}
   }},
   "DependsOn": ["Role1"],
   "Metadata": {{ "aws:cdk:path": "S/Fn", "aws:asset:path": "asset.abc", "aws:asset:is-bundled": false, "aws:asset:property": "Code" }}
  }},
  "Url": {{ "Type": "AWS::Lambda::Url", "Properties": {{ "AuthType": "NONE", "TargetFunctionArn": {{ "Fn::GetAtt": ["Fn1", "Arn"] }} }} }},
  "Http": {{ "Type": "AWS::ApiGatewayV2::Api", "Properties": {{ "Name": "H", "ProtocolType": "HTTP" }} }},
  "HttpStage": {{ "Type": "AWS::ApiGatewayV2::Stage", "Properties": {{ "ApiId": {{ "Ref": "Http" }}, "AutoDeploy": true, "StageName": "$default" }} }},
  "Integration": {{ "Type": "AWS::ApiGatewayV2::Integration", "Properties": {{ "ApiId": {{ "Ref": "Http" }}, "IntegrationType": "AWS_PROXY",
    "IntegrationUri": {{ "Fn::GetAtt": ["Fn1", "Arn"] }}, "PayloadFormatVersion": "2.0" }} }},
  "Route1": {{ "Type": "AWS::ApiGatewayV2::Route", "Properties": {{ "ApiId": {{ "Ref": "Http" }}, "AuthorizationType": "NONE",
    "RouteKey": "GET /items/{{id}}", "Target": {{ "Fn::Join": ["", ["integrations/", {{ "Ref": "Integration" }}]] }} }} }},
  "Rest": {{ "Type": "AWS::ApiGateway::RestApi", "Properties": {{ "Name": "R", "BinaryMediaTypes": ["image/png"] }} }},
  "Users": {{ "Type": "AWS::ApiGateway::Resource", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "PathPart": "users",
    "ParentId": {{ "Fn::GetAtt": ["Rest", "RootResourceId"] }} }} }},
  "User": {{ "Type": "AWS::ApiGateway::Resource", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "PathPart": "{{id}}", "ParentId": {{ "Ref": "Users" }} }} }},
  "GetUser": {{ "Type": "AWS::ApiGateway::Method", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "ResourceId": {{ "Ref": "User" }},
    "HttpMethod": "GET", "AuthorizationType": "AWS_IAM", "Integration": {{ "Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": {} }} }} }},
  "AnyRoot": {{ "Type": "AWS::ApiGateway::Method", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "ResourceId": {{ "Fn::GetAtt": ["Rest", "RootResourceId"] }},
    "HttpMethod": "ANY", "AuthorizationType": "NONE", "Integration": {{ "Type": "AWS_PROXY", "Uri": {} }} }} }},
  "Options": {{ "Type": "AWS::ApiGateway::Method", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "ResourceId": {{ "Ref": "User" }},
    "HttpMethod": "OPTIONS", "Integration": {{ "Type": "MOCK" }} }} }},
  "Deployment": {{ "Type": "AWS::ApiGateway::Deployment", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }} }} }},
  "Stage": {{ "Type": "AWS::ApiGateway::Stage", "Properties": {{ "RestApiId": {{ "Ref": "Rest" }}, "DeploymentId": {{ "Ref": "Deployment" }}, "StageName": "prod" }} }},
  "CDKMetadata": {{ "Type": "AWS::CDK::Metadata", "Properties": {{ "Analytics": "v2" }} }}
 }},
 "Parameters": {{ "BootstrapVersion": {{ "Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk" }} }},
 "Rules": {{ "CheckBootstrapVersion": {{}} }}
}}"#,
        uri("Fn1"),
        uri("Fn1")
    );
    let asset = [("cdk.out/asset.abc/bootstrap", "")];
    let config = read_as("cdk.out/S.template.json", "", &template, &asset);
    assert_eq!(names(&config), ["Fn1"]);
    let local = local(&config, "Fn1");
    assert!(local.directory.ends_with("cdk.out/asset.abc"));
    assert_eq!(
        routes(&config),
        [
            r#"ANY / {"binary_media_types":["image/png"],"function":"Fn1","payload":"apigateway-v1","stage":"prod"}"#,
            r#"GET /items/{id} {"function":"Fn1","payload":"apigateway-v2"}"#,
            r#"GET /users/{id} {"binary_media_types":["image/png"],"function":"Fn1","payload":"apigateway-v1","stage":"prod"}"#,
            r#"fn1.localhost ANY /* {"function":"Fn1","payload":"function-url"}"#,
        ]
    );
    let found = warnings(&config);
    assert_eq!(found.len(), 5, "{found:#?}");
    for expected in [
        "Role1: resources of the type AWS::IAM::Role are not made here",
        "Fn1: Role has no effect here",
        "GetUser: AuthorizationType has no effect here: the routes are open to every caller",
        "Options: integrations of the type MOCK are not served here; it is left out",
        "CDKMetadata: resources of the type AWS::CDK::Metadata are not made here",
    ] {
        assert!(
            found.iter().any(|found| found.contains(expected)),
            "{expected}\n{found:#?}"
        );
    }
}

#[test]
fn of_several_stages_of_an_api_the_first_is_taken() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Http: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP, Target: !GetAtt F.Arn, RouteKey: GET /a }} }}
  Beta: {{ Type: AWS::ApiGatewayV2::Stage, Properties: {{ ApiId: !Ref Http, StageName: beta }} }}
  Live: {{ Type: AWS::ApiGatewayV2::Stage, Properties: {{ ApiId: !Ref Http, StageName: live }} }}
"
    ));
    assert_eq!(
        routes(&config),
        [r#"GET /a {"function":"F","payload":"apigateway-v2","stage":"beta"}"#]
    );
    assert_eq!(
        warnings(&config),
        ["4: Http: of its stages, only beta is served"]
    );
}

/// `$default` of a WebSocket API takes messages, and would take every request here.
#[test]
fn a_web_socket_api_has_no_routes_here() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Chat: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ Name: Chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }} }}
  Talk: {{ Type: AWS::ApiGatewayV2::Integration, Properties: {{ ApiId: !Ref Chat, IntegrationType: AWS_PROXY, IntegrationUri: !Sub 'arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{F.Arn}}/invocations', TemplateSelectionExpression: x }} }}
  Default: {{ Type: AWS::ApiGatewayV2::Route, Properties: {{ ApiId: !Ref Chat, RouteKey: $default, AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard, Target: !Sub 'integrations/${{Talk}}' }} }}
  Connect: {{ Type: AWS::ApiGatewayV2::Route, Properties: {{ ApiId: !Ref Chat, RouteKey: $connect, Target: !Sub 'integrations/${{Talk}}' }} }}
  Guard: {{ Type: AWS::ApiGatewayV2::Authorizer, Properties: {{ ApiId: !Ref Chat, AuthorizerType: REQUEST }} }}
  Stage: {{ Type: AWS::ApiGatewayV2::Stage, Properties: {{ ApiId: !Ref Chat, StageName: prod }} }}
  Http: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP, Target: !GetAtt F.Arn, RouteKey: GET /a }} }}
"
    ));
    assert_eq!(
        routes(&config),
        [r#"GET /a {"function":"F","payload":"apigateway-v2"}"#]
    );
    assert_eq!(
        warnings(&config),
        ["4: Chat: APIs of the type WEBSOCKET are not served here; it is left out"]
    );
}

#[test]
fn the_definition_of_an_api_of_the_cdk_may_be_a_file() {
    let openapi = r#"{ "paths": { "/a": { "get": { "security": [], "x-amazon-apigateway-integration": { "type": "aws_proxy",
        "uri": { "Fn::GetAtt": ["F", "Arn"] } } } } } }"#;
    let template = format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Rest: {{ Type: AWS::ApiGateway::RestApi, Properties: {{ BodyS3Location: {{ Bucket: b, Key: !Ref Key }} }},
          Metadata: {{ 'aws:asset:path': asset.json, 'aws:asset:property': BodyS3Location }} }}
  Other: {{ Type: AWS::ApiGateway::RestApi, Properties: {{ BodyS3Location: {{ Bucket: b }} }} }}
  Zip: {{ Type: AWS::Serverless::Function, Properties: {{ Runtime: provided.al2023, CodeUri: asset.json }} }}
"
    );
    let config = read_as("template.yaml", "", &template, &[("asset.json", openapi)]);
    assert_eq!(
        routes(&config),
        [r#"GET /a {"function":"F","payload":"apigateway-v1"}"#]
    );
    let found = warnings(&config);
    assert_eq!(
        found[..2],
        [
            "5: Rest: security in its definition has no effect here: the routes are open to every caller",
            "6: Other: BodyS3Location is not understood and has no effect here",
        ]
    );
    assert!(
        found[2].starts_with("7: Zip: ") && found[2].contains("/asset.json is a file; unpack it")
    );
}
