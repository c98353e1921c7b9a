//! Versions and aliases of functions.

use super::super::super::Route;
use super::{FUNCTION, env, read, warnings};

#[test]
fn aliases_and_versions_are_their_function() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION}, Environment: {{ Variables: {{ ALIAS: !Ref Live, ARN: !GetAtt Live.AliasArn, V: !Sub '${{Version.FunctionArn}}', STACK: !Ref AWS::StackId }} }} }} }}
  Version: {{ Type: AWS::Lambda::Version, Properties: {{ FunctionName: !Ref F }} }}
  Live: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !GetAtt F.Arn, FunctionVersion: !GetAtt Version.Version, Name: live, RoutingConfig: {{ AdditionalVersionWeights: [] }} }} }}
  Url: {{ Type: AWS::Lambda::Url, Properties: {{ AuthType: NONE, TargetFunctionArn: !Ref F, Qualifier: live }} }}
  Quick: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP, Target: !Ref Live, RouteKey: GET /a }} }}
  Other: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ ProtocolType: HTTP, Target: !Ref Version, RouteKey: GET /v }} }}
"
    ));
    let region = crate::invocation::region(|name| std::env::var_os(name));
    let arn = format!("arn:aws:lambda:{region}:123456789012:function:F:live");
    assert_eq!(env(&config, "F")["ALIAS"], arn);
    assert_eq!(env(&config, "F")["ARN"], arn);
    assert_eq!(env(&config, "F")["V"], arn.trim_end_matches(":live"));
    let stack = format!("arn:aws:cloudformation:{region}:123456789012:stack/shop/");
    assert!(env(&config, "F")["STACK"].starts_with(&stack));
    let paths: Vec<_> = config.routes.iter().map(Route::name).collect();
    assert_eq!(paths, ["GET /a", "GET /v", "ANY /*"]);
    assert_eq!(
        warnings(&config),
        [
            "5: Live: RoutingConfig is not understood and has no effect here",
            "6: Url: Qualifier is not understood and has no effect here",
        ]
    );
}

/// As AWS SAM's *Referencing generated resources* has it: the alias is that of `AutoPublishAlias`.
#[test]
fn the_alias_and_the_version_that_sam_adds_to_a_function_are_known() {
    let config = read(&format!(
        "
Globals: {{ Function: {{ AutoPublishAlias: live }} }}
Resources:
  F: {{ {FUNCTION} }} }}
  G: {{ {FUNCTION}, AutoPublishAlias: blue, Environment: {{ Variables: {{ F: !Ref F.Alias, G: !Sub '<${{G.Alias}}>', V: !Ref F.Version, A: !GetAtt F.Alias.AliasArn, W: !GetAtt F.Version.FunctionArn }} }} }} }}
"
    ));
    let region = crate::invocation::region(|name| std::env::var_os(name));
    let arn = format!("arn:aws:lambda:{region}:123456789012:function:");
    let env = env(&config, "G");
    assert_eq!(env["F"], format!("{arn}F:live"));
    assert_eq!(env["G"], format!("<{arn}G:blue>"));
    assert_eq!(env["V"], format!("{arn}F"));
    assert_eq!((&env["A"], &env["W"]), (&env["F"], &env["V"]));
}

#[test]
fn an_alias_with_a_wrong_name_is_not_known() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION}, AutoPublishAlias: 'not valid', Environment: {{ Variables: {{ A: !Ref F.Alias, V: !Ref F.Version }} }} }} }}
  G: {{ {FUNCTION}, Environment: {{ Variables: {{ B: !Ref Live, C: !GetAtt Digits.AliasArn }} }} }} }}
  Live: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !Ref F, FunctionVersion: '1', Name: 'not valid' }} }}
  Digits: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !Ref F, FunctionVersion: '1', Name: 12 }} }}
  Latest: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !Ref F, FunctionVersion: '1', Name: $LATEST }} }}
  Nameless: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !Ref F, FunctionVersion: '1' }} }}
  Later: {{ Type: AWS::Lambda::Alias, Properties: {{ FunctionName: !Ref F, FunctionVersion: '1', Name: !Ref Stage }} }}
  Elsewhere: {{ Type: AWS::Lambda::Version, Properties: {{ FunctionName: !ImportValue f }} }}
  Wrong: {{ Type: AWS::Lambda::Version, Properties: {{ FunctionName: a/b }} }}
"
    ));
    assert!(env(&config, "F")["V"].ends_with(":F"));
    assert!(!env(&config, "F").contains_key("A"));
    let left_out = |line, reason| format!("{line}: {reason}; it is left out");
    let needs = |line: usize, function: &str, name: &str, needs: &str| {
        format!(
            "{line}: {function}: the variable {name} needs {needs}, which is not known here; give it in functions.{function}.local.env"
        )
    };
    assert_eq!(
        warnings(&config),
        [
            needs(3, "F", "A", "F.Alias"),
            "3: F: AutoPublishAlias has no effect here: nothing is published here".to_owned(),
            needs(4, "G", "B", "Live"),
            needs(4, "G", "C", "Digits.AliasArn"),
            left_out(5, "Live: \"not valid\" is not a valid alias name"),
            left_out(6, "Digits: \"12\" is not a valid alias name"),
            left_out(7, "Latest: \"$LATEST\" is not a valid alias name"),
            left_out(8, "Nameless: it has no Name"),
            left_out(9, "Later: its Name needs Stage, which is not known here"),
            left_out(
                10,
                "Elsewhere: its FunctionName needs Fn::ImportValue, which is not known here"
            ),
            left_out(11, "Wrong: it does not lead to a function"),
        ]
    );
}
