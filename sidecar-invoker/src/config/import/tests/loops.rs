//! `Fn::ForEach`, and the limits of what functions may make.

use super::super::super::Route;
use super::{FUNCTION, env, names, read, warnings};

#[test]
fn loops_are_expanded() {
    let config = read(
        r#"
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31, Mine]
Parameters: { Names: { Type: CommaDelimitedList, Default: "Cart,Stock" } }
Resources:
  Fn::ForEach::Services:
    - Name
    - !Ref Names
    - ${Name}Function:
        Type: AWS::Serverless::Function
        Properties:
          FunctionName: !Sub "api-${Name}"
          Runtime: provided.al2023
          Environment: { Variables: { NAME: !Ref Name } }
          Events:
            Fn::ForEach::Methods:
              - Method
              - [GET, POST]
              - "On${Method}": { Type: Api, Properties: { Path: !Sub "/${Name}", Method: !Ref Method } }
  Fn::ForEach::Unknown: [N, !Ref Absent, { "${N}": {} }]
  Fn::ForEach::Wrong: x
  Fn::ForEach::Addresses:
    - Ip
    - ["10.0.0.1"]
    - F&{Ip}: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023 } }
"#,
    );
    assert_eq!(names(&config), ["F10001", "api-Cart", "api-Stock"]);
    assert_eq!(env(&config, "api-Cart")["NAME"], "Cart");
    let paths: Vec<_> = config.routes.iter().map(Route::name).collect();
    assert_eq!(
        paths,
        ["GET /Cart", "POST /Cart", "GET /Stock", "POST /Stock"]
    );
    assert_eq!(
        warnings(&config),
        [
            "2: Transform: the macro Mine is not run here",
            "19: Fn::ForEach::Unknown: its list needs Absent, which is not known here; it is left out",
            "20: Fn::ForEach::Wrong: expected a name, a list and what is to be repeated; it is left out",
        ]
    );
}

/// As the AWS SAM CLI's tests of its language extensions have it.
#[test]
fn a_loop_may_have_several_names() {
    let config = read(
        r#"
Parameters:
  Row: { Type: CommaDelimitedList, Default: "Cart,1" }
  Name: { Type: String, Default: Service }
Mappings: { Rows: { All: { Stock: [Stock, "2"], Level: null } } }
Resources:
  Fn::ForEach::Services:
    - [!Ref Name, Number]
    - [!Ref Row, !FindInMap [Rows, All, Stock], [Order, 3]]
    - ${Service}:
        Type: AWS::Serverless::Function
        Properties:
          Runtime: provided.al2023
          Environment:
            Variables:
              NUMBER: !Ref Number
              LEVEL: !FindInMap [Rows, All, Level, { DefaultValue: info }]
              JSON: !ToJsonString
                - 3
                - "${Number}"
                - ${Number}
  Fn::ForEach::Empty: [N, [], { "${N}": {} }]
  Fn::ForEach::Short: [[A, B], [[1, 2], [3]], { "${A}": {} }]
  Fn::ForEach::Nameless: ["", [1], { "F": {} }]
  Fn::ForEach::Pairs: [[A, B], { P: 700, Q: 800 }, { "${A}": { Type: AWS::Serverless::Function, Properties: { Runtime: provided, MemorySize: !Ref B, FunctionName: !Sub "${A}${B}" } } }]
"#,
    );
    assert_eq!(names(&config), ["Cart", "Order", "P700", "Q800", "Stock"]);
    assert_eq!(env(&config, "Stock")["NUMBER"], "2");
    assert_eq!(env(&config, "Stock")["LEVEL"], "info");
    assert_eq!(env(&config, "Order")["JSON"], r#"[3,"3","3"]"#);
    assert_eq!(
        warnings(&config),
        [
            "23: Fn::ForEach::Short: its list must have one value for each name; it is left out",
            "24: Fn::ForEach::Nameless: expected a name, a list and what is to be repeated; it is left out",
        ]
    );
}

#[test]
fn an_item_with_another_name_in_it_stays_as_it_is() {
    let config = read(
        r#"
Transform: AWS::LanguageExtensions
Resources:
  Fn::ForEach::Pairs:
    - [A, B]
    - [["$&{B}", "Shop"]]
    - ${B}:
        Type: AWS::Serverless::Function
        Properties:
          Runtime: provided
          Environment: { Variables: { ITEM: "${A} &{A} ${C} $" } }
"#,
    );
    assert_eq!(env(&config, "Shop")["ITEM"], "$&{B} B ${C} $");
}

#[test]
fn no_loop_and_no_text_grows_without_limit() {
    let items = vec!["aaaaaaaaaa"; 1_000].join(",");
    let mut body = "{ 'F${A}${B}${C}': { Type: x } }".to_owned();
    for name in ["A", "B", "C"] {
        body = format!("{{ 'Fn::ForEach::{name}': [{name}, [{items}], {body}] }}");
    }
    let config = read(&format!("Resources: {body}"));
    assert!(
        warnings(&config)
            .iter()
            .any(|warning| warning.contains("it makes too much"))
    );

    let mut text = "x".repeat(1_000);
    for _ in 0..12 {
        text = format!("!Sub ['${{A}}${{A}}${{A}}${{A}}${{A}}', {{ A: {text} }}]");
    }
    let config = read(&format!(
        "Resources: {{ F: {{ {FUNCTION}, Environment: {{ Variables: {{ A: {text} }} }} }} }} }}"
    ));
    assert!(
        warnings(&config)[0].contains("bytes of text"),
        "{:?}",
        config.warnings
    );

    let mut conditions = String::from("  C0: !Equals [a, a]\n");
    for index in 1..2_000 {
        let other = index - 1;
        conditions.push_str(&format!(
            "  C{index}: !And [!Condition C{other}, !Condition C{other}]\n"
        ));
    }
    let config = read(&format!(
        "Conditions:\n{conditions}Resources: {{ F: {{ {FUNCTION} }}, Condition: C1999 }} }}"
    ));
    assert_eq!(names(&config), ["F"]);
}
