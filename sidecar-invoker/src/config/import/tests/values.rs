//! The values of templates: globals, functions, and the keys that are not understood.

use std::path::Path;

use super::super::folder_name;
use super::{FUNCTION, env, local, names, read, read_as, routes, warnings};

#[test]
fn each_key_of_a_function_and_of_globals_is_understood_or_a_warning() {
    let config = read(
        "
Globals:
  Function:
    Layers: [!Ref Shared]
    Runtime: provided.al2023
    Odd: { Key: 1 }
  Api: { Cors: \"'*'\" }
  SimpleTable: { SSESpecification: { SSEEnabled: true } }
Resources:
  A:
    Type: AWS::Serverless::Function
    Colour: red
    Properties:
      Role: arn:aws:iam::123456789012:role/a
      EphemeralStorage: { Size: 1024, Colour: red }
      Environment: { Variables: { A: 1 }, Colour: red }
      Events:
        E:
          Type: Api
          Properties: { Path: /, Method: GET, RequestModel: { Model: M }, Auth: { ApiKeyRequired: true } }
          Colour: red
  B:
    Type: AWS::Serverless::Function
    Properties: { Role: !GetAtt R.Arn, Tags: { a: b }, Description: B }
    DependsOn: A
    Metadata: { BuildMethod: makefile }
  R: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } }
  T: { Type: AWS::IAM::Role }
  V: { Type: AWS::IAM::Role }
",
    );
    assert_eq!(names(&config), ["A", "B"]);
    assert_eq!(
        warnings(&config),
        [
            "4: A: a layer is left out, because it is no layer of this template; give all folders in functions.A.local.layers",
            "4: B: a layer is left out, because it is no layer of this template; give all folders in functions.B.local.layers",
            "6: Globals: Function.Odd is not understood and has no effect here",
            "8: Globals: SimpleTable is not understood and has no effect here",
            "12: A: Colour is not understood and has no effect here",
            "14: A: Role has no effect here: a function on this machine has the credentials that it finds there (line 24 too)",
            "15: A: EphemeralStorage.Colour is not understood and has no effect here",
            "16: A: Environment.Colour is not understood and has no effect here",
            "20: A: Events.E.RequestModel is not understood and has no effect here",
            "20: A: Events.E.Auth has no effect here: the routes are open to every caller",
            "21: A: Events.E.Colour is not understood and has no effect here",
            "27: R: resources of the type AWS::IAM::Role are not made here (lines 28, 29 too)",
        ]
    );
}

#[test]
fn a_function_has_the_storage_and_the_layers_of_its_template() {
    let template = format!(
        "
Globals:
  Function:
    EphemeralStorage: {{ Size: 1024 }}
    Layers: [!Ref Shared]
Resources:
  Shared: {{ Type: AWS::Serverless::LayerVersion, Properties: {{ ContentUri: layers/shared, LayerName: s }} }}
  Own: {{ Type: AWS::Lambda::LayerVersion, Properties: {{ Content: {{ S3Bucket: b, S3Key: k }} }},
          Metadata: {{ 'aws:asset:path': layers/own }} }}
  Gone: {{ Type: AWS::Serverless::LayerVersion, Properties: {{ ContentUri: layers/gone }} }}
  A: {{ {FUNCTION}, Layers: [!Ref Own, {{ Ref: Gone }}, 'arn:aws:lambda:us-east-1:1:layer:x:1'] }} }}
  B: {{ {FUNCTION}, EphemeralStorage: {{ Size: 100 }}, Layers: x }}, IgnoreGlobals: [Layers] }}
  C: {{ {FUNCTION}, Layers: [!Ref Own, !Ref Own, !Ref Own, !Ref Own, !Ref Own] }} }}
"
    );
    let others = [("layers/shared/a", ""), ("layers/own/a", "")];
    let config = read_as("template.yaml", "", &template, &others);
    let layers = |name| {
        let layers = local(&config, name).layers.iter();
        let layer = |folder: &std::path::PathBuf| folder.file_name().unwrap().to_owned();
        layers.map(layer).collect::<Vec<_>>()
    };
    assert_eq!(layers("A"), ["shared", "own"]);
    assert_eq!(layers("B"), [""; 0]);
    assert_eq!(layers("C"), ["shared", "own", "own", "own", "own"]);
    assert_eq!(local(&config, "A").ephemeral_storage_mib, 1024);
    assert_eq!(local(&config, "B").ephemeral_storage_mib, 512);
    let left_out = |line, name, reason| {
        format!(
            "{line}: {name}: a layer is left out, because {reason}; give all folders in functions.{name}.local.layers"
        )
    };
    let found = warnings(&config);
    assert!(found[0].starts_with("11: A: a layer is left out, because there is no directory "));
    assert_eq!(
        found[1..],
        [
            left_out(11, "A", "it is no layer of this template"),
            "12: B: EphemeralStorage.Size is no number from 512 to 10240 that is known here; the default is taken".to_owned(),
            "12: B: Layers is no list that is known here; it has no effect".to_owned(),
            left_out(13, "C", "a function has at most 5 layers"),
        ]
    );
}

#[test]
fn globals_are_merged_as_aws_sam_merges_them() {
    let config = read(&format!(
        "
Globals:
  Function:
    Timeout: 20
    Environment: {{ Variables: {{ A: global, B: global, C: global }} }}
    LoggingConfig: {{ LogFormat: JSON, ApplicationLogLevel: DEBUG }}
Resources:
  F: {{ {FUNCTION}, Environment: {{ Variables: {{ B: own, C: !Ref AWS::NoValue }} }} }} }}
  G: {{ {FUNCTION} }}, IgnoreGlobals: [Timeout, Environment] }}
  H: {{ {FUNCTION} }}, IgnoreGlobals: '*' }}
"
    ));
    let f = env(&config, "F");
    assert_eq!(
        (f["A"].as_str(), f["B"].as_str(), f.get("C")),
        ("global", "own", None)
    );
    assert_eq!(f["AWS_LAMBDA_LOG_FORMAT"], "JSON");
    assert_eq!(f["AWS_LAMBDA_LOG_LEVEL"], "DEBUG");
    assert!(env(&config, "G").contains_key("AWS_LAMBDA_LOG_FORMAT"));
    assert!(!env(&config, "G").contains_key("A"));
    assert!(!env(&config, "H").contains_key("AWS_LAMBDA_LOG_FORMAT"));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn functions_of_cloudformation_have_their_values_in_any_place() {
    let template = format!(
        r#"
Parameters:
  Stage: {{ Type: String, Default: dev }}
  Names: {{ Type: CommaDelimitedList, Default: "a, b" }}
  Empty: {{ Type: String, Default: }}
  Count: {{ Type: Number, Default: 4 }}
Mappings:
  Levels: {{ dev: {{ level: debug, list: [x, y] }}, prod: {{ level: info }} }}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsDev, !Or [!Condition IsProd, !Condition IsDev]]
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${{AWS::StackName}}-f"
      CodeUri: !FindInMap [Nowhere, a, b, {{ DefaultValue: code }}]
      Runtime: !Join [".", [provided, al2023]]
      Timeout: !If [IsProd, 60, 7]
      MemorySize: !If [IsProd, 1024, !Ref AWS::NoValue]
      Environment:
        Variables: !If
          - Both
          - SUB: !Sub ["${{A}}-${{Stage}}-${{!Raw}}-${{AWS::Region}}", {{ A: !Select [1, !Ref Names] }}]
            MAP: !FindInMap [Levels, !Ref Stage, level]
            SPLIT: !Select [2, !Split ["/", "a/b/c"]]
            JOIN: !Join ["+", !FindInMap [Levels, dev, list]]
            LONG: {{ "Fn::Join": ["", [{{ Ref: Stage }}, "!"]] }}
            BASE64: !Base64 abc
            EMPTY: !Ref Empty
            ACCOUNT: !Ref AWS::AccountId
            GONE: !If [IsProd, x, !Ref AWS::NoValue]
            LENGTH: !Length [1, 2, 3]
            JSON: !ToJsonString {{ b: [1, "1", 1.10, 010, yes, "no", !If [IsProd, 2, 3], !Ref Stage, !Ref Count], a: null, "c\"": {{}} }}
          - OTHER: x
      Events: !If [IsDev, {{ E: {{ Type: HttpApi, Properties: !If [IsProd, {{}}, {{ Path: /e, Method: GET }}] }} }}, {{}}]
  G: {{ {FUNCTION} }}, Condition: IsProd }}
  H: {{ {FUNCTION}, FunctionName: !Join ["-", [!Ref AWS::StackName, !GetAtt Queue.QueueName]] }} }}
"#
    );
    let config = read(&template);
    assert_eq!(names(&config), ["H", "shop-f"]);
    let region = crate::invocation::region(|name| std::env::var_os(name));
    let sub = format!("b-dev-${{Raw}}-{region}");
    let expected = [
        ("ACCOUNT", "123456789012"),
        ("BASE64", "YWJj"),
        ("EMPTY", ""),
        ("JOIN", "x+y"),
        (
            "JSON",
            r#"{"b":[1,"1",1.10,"010",true,"no",3,"dev","4"],"a":null,"c\"":{}}"#,
        ),
        ("LENGTH", "3"),
        ("LONG", "dev!"),
        ("MAP", "debug"),
        ("SPLIT", "c"),
        ("SUB", &sub),
        ("_HANDLER", "bootstrap"),
    ];
    let found = env(&config, "shop-f").iter();
    let found: Vec<_> = found
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
    let local = local(&config, "shop-f");
    assert_eq!((local.timeout.as_secs(), local.memory_mib), (7, 128));
    assert!(local.directory.ends_with("shop/code"));
    assert_eq!(
        routes(&config),
        [r#"GET /e {"function":"shop-f","payload":"apigateway-v2"}"#]
    );
    assert_eq!(
        warnings(&config),
        [
            "38: G: the condition IsProd is false; it is left out",
            "39: H: its FunctionName needs Queue.QueueName, which is not known here; it is called H",
        ]
    );
    // Parameters and the stack's name may be given.
    let keys = "import_stack_name: web\nimport_parameters: { Stage: prod, Names: c }";
    let config = read_as("template.yaml", keys, &template, &[]);
    assert_eq!(names(&config), ["G", "H", "web-f"]);
    assert_eq!(env(&config, "web-f")["OTHER"], "x");
}

#[test]
fn what_is_known_only_at_deployment_is_a_warning() {
    let config = read(&format!(
        "
Conditions: {{ A: !Equals [!Ref Absent, x], Loop: !Condition Loop }}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Environment:
        Variables:
          SECRET: '{{{{resolve:secretsmanager:a:SecretString}}}}'
          IF: !If [A, x, y]
          LOOP: !If [Loop, x, y]
          IMPORTED: !ImportValue other
          LIST: [a]
          MAP: {{ a: b }}
          AZ: !Select [0, !GetAZs '']
          NULL: ~
  G: {{ {FUNCTION}, Environment: {{ Variables: !Ref Variables }} }} }}
"
    ));
    let needs = |line: usize, name: &str, needs: &str| {
        format!(
            "{line}: F: the variable {name} needs {needs}, which is not known here; give it in functions.F.local.env"
        )
    };
    assert_eq!(
        warnings(&config),
        [
            needs(10, "SECRET", "{{resolve:secretsmanager:a:SecretString}}"),
            needs(11, "IF", "Absent"),
            needs(12, "LOOP", "the condition Loop"),
            needs(13, "IMPORTED", "Fn::ImportValue"),
            needs(14, "LIST", "a list"),
            needs(15, "MAP", "a mapping"),
            needs(16, "AZ", "Fn::GetAZs"),
            needs(17, "NULL", "a value other than null"),
            "18: G: Environment needs Variables, which is not known here".to_owned(),
        ]
    );
}

/// The shape of what `cdk synth` writes.
#[test]
fn the_code_may_be_anywhere() {
    let config = read(
        "
Resources:
  Here: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023 } }
  Inline: { Type: AWS::Lambda::Function, Properties: { Runtime: nodejs22.x, Code: { ZipFile: x } } }
  Image: { Type: AWS::Lambda::Function, Properties: { Code: { ImageUri: x } } }
  Bucket: { Type: AWS::Serverless::Function, Properties: { Runtime: provided, CodeUri: s3://a/b } }
  Object: { Type: AWS::Serverless::Function, Properties: { Runtime: provided, CodeUri: { Bucket: b, Key: !Ref K } } }
",
    );
    assert_eq!(names(&config), ["Here"]);
    let image = "a function in an image is not run here; run the image, and give its address in functions.Image.rie";
    assert_eq!(
        warnings(&config),
        [
            "4: Inline: code in the template itself is not run here; it is left out",
            &format!("5: Image: {image}; it is left out"),
            "6: Bucket: its code is not a directory on this machine (CodeUri); it is left out",
            "7: Object: its code is not a directory on this machine (CodeUri); it is left out",
        ]
    );
}

#[test]
fn a_warning_that_the_user_has_answered_is_not_given() {
    let template = "
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Runtime: nodejs22.x
      Handler: a.b
      Timeout: !Ref Timeout
      Environment: { Variables: { TABLE: !Ref Table } }
";
    assert_eq!(read(template).warnings.len(), 3);
    for keys in [
        "{ aws: {} }",
        "{ rie: 'http://f:8080' }",
        "{ local: { command: [./bootstrap], timeout: 1s, env: { TABLE: t } } }",
    ] {
        let config = read_as(
            "template.yaml",
            &format!("functions: {{ F: {keys} }}"),
            template,
            &[],
        );
        assert_eq!(config.warnings, [""; 0], "{keys}");
    }
}

#[test]
fn the_stack_has_the_name_of_the_projects_folder() {
    for (folder, name) in [
        ("/home/a/shop", "shop"),
        ("/home/a/my_shop.v2", "my-shop-v2"),
        ("/home/a/shop/.aws-sam/build", "shop"),
        ("/home/a/shop/cdk.out", "shop"),
        ("/home/a/build", "build"),
        ("/", "local"),
    ] {
        assert_eq!(folder_name(Path::new(folder)), name);
    }
}

#[test]
fn a_function_that_the_user_runs_elsewhere_has_its_routes() {
    let template = "
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      PackageType: Image
      Events: { E: { Type: HttpApi, Properties: { Path: /e, Method: GET } } }
  # Another function of this name.
  G: { Type: AWS::Serverless::Function, Properties: { FunctionName: F, Events: { E: { Type: HttpApi, Properties: { Path: /g, Method: GET } } } } }
";
    let config = read(template);
    assert_eq!(routes(&config), [""; 0]);
    let other = "9: F: there is another function of this name; it is left out";
    assert_eq!(
        warnings(&config),
        [
            "3: F: a function in an image is not run here; run the image, and give its address in functions.F.rie; it is left out",
            other
        ]
    );
    let keys = "functions: { F: { rie: 'http://f:8080' } }";
    let config = read_as("template.yaml", keys, template, &[]);
    assert_eq!(
        routes(&config),
        [r#"GET /e {"function":"F","payload":"apigateway-v2"}"#]
    );
    assert_eq!(warnings(&config), [other]);
}

#[test]
fn a_section_with_a_typo_is_a_warning() {
    let config = read(&format!(
        "
AWSTemplateFormatVersion: '2010-09-09'
Description: x
Metadata: {{}}
Global: {{ Function: {{ Timeout: 9 }} }}
Extra: x
x-shared: &shared {{ a: b }}
Resources:
  F: {{ {FUNCTION} }} }}
"
    ));
    assert_eq!(
        warnings(&config),
        [
            "5: Global is no section of a template and has no effect here; did you mean `Globals`?",
            "6: Extra is no section of a template and has no effect here",
            "7: x-shared is no section of a template and has no effect here",
        ]
    );
}

/// As `aws-sam-cli` writes variables (`_stringify_value`), whose parser has the booleans of YAML 1.1.
#[test]
fn booleans_are_true_and_false_however_they_are_written() {
    let variables = "A: True, B: FALSE, C: yes, D: Off, E: 'True', F: \"no\", G: y, H: !Sub Yes";
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION}, Environment: {{ Variables: {{ {variables} }} }} }} }}
"
    ));
    let env = env(&config, "F");
    for (name, value) in [
        ("A", "true"),
        ("B", "false"),
        ("C", "true"),
        ("D", "false"),
        ("E", "True"),
        ("F", "no"),
        ("G", "y"),
        ("H", "Yes"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
}

#[test]
fn a_part_that_depends_on_an_unknown_value_is_a_warning() {
    let config = read(&format!(
        "
Parameters: {{ Stage: {{ Type: String }} }}
Conditions: {{ IsProd: !Equals [!Ref Stage, prod] }}
Resources:
  F: {{ {FUNCTION}, Events: !If [IsProd, {{}}, {{}}] }} }}
  G: {{ {FUNCTION}, FunctionUrlConfig: !If [IsProd, {{}}, {{}}], Events: {{
    Event: !If [IsProd, {{}}, {{}}],
    Properties: {{ Type: HttpApi, Properties: !If [IsProd, {{ Path: /a }}, {{ Path: /b }}] }},
    Auth: {{ Type: HttpApi, Properties: {{ Path: /auth, Method: GET, Auth: !If [IsProd, {{}}, {{}}] }} }} }} }} }}
  H: {{ {FUNCTION}, EphemeralStorage: !If [IsProd, {{}}, {{}}] }} }}
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {{ Auth: !If [IsProd, {{}}, {{}}] }} }}
"
    ));
    assert_eq!(
        routes(&config),
        [r#"GET /auth {"function":"G","payload":"apigateway-v2"}"#]
    );
    let unknown = "needs the parameter Stage, which is not known here";
    let is_open = "has no effect here: the routes are open to every caller";
    assert_eq!(
        warnings(&config),
        [
            format!("5: F: Events {unknown}"),
            format!("6: G: FunctionUrlConfig {unknown}"),
            format!("7: G: Events.Event {unknown}"),
            format!("8: G: Events.Properties {unknown}"),
            format!("9: G: Events.Auth.Auth {is_open} (line 11 too)"),
            "10: H: EphemeralStorage.Size is no number from 512 to 10240 that is known here; the default is taken".to_owned(),
        ]
    );
}
