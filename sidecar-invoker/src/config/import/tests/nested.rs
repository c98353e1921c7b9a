//! Stacks inside a stack.

use super::{FUNCTION, env, local, names, read_as, read_problems, routes, warnings};

const PARENT: &str = "
Parameters: { Stage: { Type: String, Default: dev } }
Resources:
  Shared: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer } }
  Front: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023, Environment: { Variables: {
    BACK: !GetAtt Back.Outputs.Name, TEXT: !Sub '${Back.Outputs.Name}-${Stage}', NONE: !GetAtt Back.Outputs.None } } } }
  # Its parameters need the outputs of the stack below.
  Last: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: ./more/../more/last.yaml, TimeoutInMinutes: 5,
    Parameters: { Back: !GetAtt Back.Outputs.Name, Layer: !Ref Shared, Api: !GetAtt Back.Outputs.Api } } }
  Back: { Type: AWS::Serverless::Application, Properties: { Location: more/back.yaml, Tags: { a: b },
    Parameters: { Stage: !Ref Stage, Names: 'a,b', Table: !Ref Table, Typo: x, Gone: !Ref AWS::NoValue } } }
  Off: { Type: AWS::CloudFormation::Stack, Condition: Never, Properties: { TemplateURL: nowhere.yaml } }
  Table: { Type: AWS::DynamoDB::Table }
Conditions: { Never: !Equals [a, b] }
";

const BACK: &str = "
Parameters: { Stage: { Type: String }, Names: { Type: CommaDelimitedList }, Table: { Type: String }, Gone: { Type: String, Default: g } }
Globals: { Function: { Timeout: 9 }, Api: { BinaryMediaTypes: [image/png] } }
Resources:
  Http: { Type: AWS::Serverless::Api, Properties: { StageName: !Ref Stage } }
  Front: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023, CodeUri: code,
    Environment: { Variables: { NAMES: !Join ['+', !Ref Names], TABLE: !Ref Table, STACK: !Ref AWS::StackName, GONE: !Ref Gone } },
    Events: { E: { Type: Api, Properties: { RestApiId: !Ref Http, Path: /back, Method: GET } } } } }
Outputs: { Name: { Value: !Ref Front }, Api: { Value: !Ref Http } }
";

const LAST: &str = "
Parameters: { Back: { Type: String }, Layer: { Type: String }, Api: { Type: String } }
Resources:
  Third: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023, Layers: [!Ref Layer],
    Environment: { Variables: { BACK: !Ref Back } },
    Events: { E: { Type: Api, Properties: { RestApiId: !Ref Api, Path: /last, Method: GET } } } } }
";

#[test]
fn stacks_inside_a_stack_have_functions_routes_and_outputs() {
    let others = [
        ("more/back.yaml", BACK),
        ("more/last.yaml", LAST),
        ("more/code/bootstrap", ""),
        ("more/bootstrap", ""),
        ("layer/a", ""),
    ];
    let config = read_as("template.yaml", "", PARENT, &others);
    assert_eq!(names(&config), ["Back-Front", "Front", "Third"]);
    let front = env(&config, "Front");
    assert_eq!(front["BACK"], "Back-Front");
    assert_eq!(front["TEXT"], "Back-Front-dev");
    let back = local(&config, "Back-Front");
    assert_eq!(back.timeout.as_secs(), 9);
    assert!(back.directory.ends_with("shop/more/code"));
    assert_eq!(back.env["NAMES"], "a+b");
    assert_eq!(back.env["STACK"], "shop-Back");
    assert_eq!(back.env["GONE"], "g");
    let third = local(&config, "Third");
    assert_eq!(
        third.timeout.as_secs(),
        3,
        "globals end with their template"
    );
    assert_eq!(third.env["BACK"], "Back-Front");
    assert!(third.layers[0].ends_with("shop/layer"));
    assert_eq!(
        routes(&config),
        [
            r#"GET /back {"binary_media_types":["image/png"],"function":"Back-Front","payload":"apigateway-v1","stage":"dev"}"#,
            // The API is that of the other stack.
            r#"GET /last {"binary_media_types":["image/png"],"function":"Third","payload":"apigateway-v1","stage":"dev"}"#,
        ]
    );
    assert_eq!(
        config.warnings,
        [
            "template.yaml:6: Front: the variable NONE needs Back.Outputs.None, which is not known here; give it in functions.Front.local.env",
            "template.yaml:10: Back: Parameters.Typo: its template has no parameter of this name",
            "template.yaml:12: Off: the condition Never is false; it is left out",
            "template.yaml:13: Table: resources of the type AWS::DynamoDB::Table are not made here",
            "more/back.yaml:6: Front: there is another function of this name; it is called Back-Front",
            "more/back.yaml:7: Back-Front: the variable TABLE needs Table, which is not known here; give it in functions.Back-Front.local.env",
        ]
    );
}

#[test]
fn a_template_that_is_not_on_this_machine_is_a_warning() {
    let template = format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  Url: {{ Type: AWS::CloudFormation::Stack, Properties: {{ TemplateURL: 'https://s3.amazonaws.com/b/t.yaml' }} }}
  App: {{ Type: AWS::Serverless::Application, Properties: {{ Location: {{ ApplicationId: 'arn:aws:serverlessrepo:x', SemanticVersion: 1.0.0 }} }} }}
  None: {{ Type: AWS::CloudFormation::Stack }}
  Asset: {{ Type: AWS::CloudFormation::Stack, Metadata: {{ 'aws:asset:path': asset.json, 'aws:asset:property': TemplateURL }},
           Properties: {{ TemplateURL: !Join ['', ['https://s3.', !Ref AWS::URLSuffix, /b/x.json]] }} }}
"
    );
    let asset = r#"{ "Resources": { "G": { "Type": "AWS::Lambda::Function", "Properties": { "Runtime": "provided.al2023" } } } }"#;
    let config = read_as("template.yaml", "", &template, &[("asset.json", asset)]);
    assert_eq!(names(&config), ["F", "G"]);
    let left_out = |line, id: &str, property: &str| {
        format!(
            "{line}: {id}: its template is not a file on this machine ({property}); it is left out"
        )
    };
    assert_eq!(
        warnings(&config),
        [
            left_out(4, "Url", "TemplateURL"),
            left_out(5, "App", "Location"),
            left_out(6, "None", "TemplateURL"),
        ]
    );
}

#[test]
fn a_nested_template_that_cannot_be_read_is_a_mistake_with_its_place() {
    let parent = |resources: &str| format!("\nResources:\n{resources}");
    let stack = |id: &str, file: &str| {
        format!(
            "  {id}: {{ Type: AWS::CloudFormation::Stack, Properties: {{ TemplateURL: {file} }} }}\n"
        )
    };
    let template = parent(
        &(stack("A", "in/absent.yaml")
            + &stack("B", "in/typo.yaml")
            + &stack("C", "in/circle.yaml")
            + &stack("D", "in/empty.yaml")),
    );
    let circle = parent(&stack("Back", "../template.yaml"));
    let others = [
        ("in/typo.yaml", "Resources:\n  A: [1\n"),
        ("in/circle.yaml", circle.as_str()),
        ("in/empty.yaml", "Description: x"),
    ];
    assert_eq!(
        read_problems("template.yaml", &template, &others),
        [
            "template.yaml:3: A: in/absent.yaml cannot be read: No such file or directory (os error 2); the path is relative to this file's own",
            "template.yaml:4: B: in/typo.yaml:3: not valid YAML: while parsing a flow sequence, expected ',' or ']'",
            "in/circle.yaml:3: Back: template.yaml contains this stack, so that it would contain itself; name another template",
            "template.yaml:6: D: in/empty.yaml is no template of AWS SAM or CloudFormation: it has no `Resources`",
        ]
        .map(|problem| format!("invoker.yaml:1: import: {problem}"))
    );
}

#[test]
fn stacks_do_not_grow_without_limit() {
    let level = |next: usize| {
        let stack = |id: &str| {
            format!(
                "{id}: {{ Type: AWS::CloudFormation::Stack, Properties: {{ TemplateURL: t{next}.yaml }} }}"
            )
        };
        format!("Resources: {{ {}, {} }}", stack("A"), stack("B"))
    };
    let files: Vec<_> = (1..30)
        .map(|index| (format!("t{index}.yaml"), level(index + 1)))
        .collect();
    let others: Vec<_> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let others = [others, vec![("t30.yaml", "Resources: {}")]].concat();
    let problems = read_problems("t0.yaml", &level(1), &others);
    assert!(
        problems[0].contains("there are more than 200 stacks; import fewer"),
        "{problems:?}"
    );
}

#[test]
fn the_values_of_all_stacks_are_limited() {
    let tens = (1..5).map(|level| {
        format!(
            "  a{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 10].join(",")
        )
    });
    let bomb = format!(
        "Metadata:\n  a0: &a0 [x,x,x,x,x]\n{}Resources: {{}}\n",
        tens.collect::<String>()
    );
    let stack = |index: usize| {
        format!(
            "S{index}: {{ Type: AWS::CloudFormation::Stack, Properties: {{ TemplateURL: bomb.yaml }} }}"
        )
    };
    let stacks: Vec<_> = (0..40).map(stack).collect();
    let template = format!("Resources: {{ {} }}", stacks.join(", "));
    let problems = read_problems("template.yaml", &template, &[("bomb.yaml", &bomb)]);
    let expected = "bomb.yaml is too much, together with the templates before it; import fewer";
    assert!(
        problems.len() < 40 && problems[0].ends_with(expected),
        "{problems:?}"
    );
}
