//! The rules of Application Load Balancers.

use super::{FUNCTION, read, routes, warnings};
use crate::config::Condition;

#[test]
fn the_rules_of_a_load_balancer_are_routes_in_their_order() {
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  G: {{ {FUNCTION} }} }}
  Alb: {{ Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {{ Type: application, Subnets: [a] }} }}
  ToF: {{ Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: {{ TargetType: lambda, HealthCheckEnabled: true, Targets: [{{ Id: !GetAtt F.Arn }}] }} }}
  ToG:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties:
      TargetType: lambda
      Targets: [{{ Id: !GetAtt G.Arn }}]
      TargetGroupAttributes: [{{ Key: lambda.multi_value_headers.enabled, Value: 'true' }}]
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Alb
      Port: 443
      Protocol: HTTPS
      Certificates: [{{ CertificateArn: x }}]
      DefaultActions: [{{ Type: forward, TargetGroupArn: !Ref ToF }}]
  Second:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 20
      Conditions:
        - {{ Field: path-pattern, PathPatternConfig: {{ Values: [/a, '/*'] }} }}
        - {{ Field: http-request-method, HttpRequestMethodConfig: {{ Values: [GET, PUT] }} }}
        - {{ Field: host-header, HostHeaderConfig: {{ Values: [a.example.com] }} }}
      Actions: [{{ Type: forward, Order: 1, ForwardConfig: {{ TargetGroups: [{{ TargetGroupArn: !Ref ToG, Weight: 1 }}] }} }}]
  First:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 3
      Conditions:
        - {{ Field: path-pattern, Values: ['/img/*.png'] }}
        - {{ Field: http-header, HttpHeaderConfig: {{ HttpHeaderName: X-Mode, Values: [beta*, x] }} }}
        - {{ Field: query-string, QueryStringConfig: {{ Values: [{{ Key: v, Value: '2' }}] }} }}
        - {{ Field: source-ip, SourceIpConfig: {{ Values: [10.0.0.0/8] }} }}
      Actions: [{{ Type: forward, TargetGroupArn: !Ref ToG }}]
  Wide:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties: {{ ListenerArn: !Ref Listener, Priority: 10, Conditions: [{{ Field: host-header, Values: ['*.example.com'] }}, {{ Field: path-pattern, Values: [/w] }}],
      Actions: [{{ Type: forward, TargetGroupArn: !Ref ToF }}] }}
"
    ));
    let g = r#"{"function":"G","payload":"alb-multi-value"}"#;
    let f = r#"{"function":"F","payload":"alb"}"#;
    let expected = [
        // The conditions of the first rule are below.
        format!("ANY /* {g}"),
        format!("*.example.com ANY /* {g}"),
        format!("a.example.com ANY /* {g}"),
        format!("*.example.com ANY /w {f}"),
        format!("a.example.com ANY /w {f}"),
        format!("a.example.com GET /a {g}"),
        format!("a.example.com PUT /a {g}"),
        format!("a.example.com GET /* {g}"),
        format!("a.example.com PUT /* {g}"),
        format!("ANY /* {f}"),
        format!("*.example.com ANY /* {f}"),
        format!("a.example.com ANY /* {f}"),
    ];
    assert_eq!(routes(&config), expected);
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let conditions = [
        Condition::Path(texts(&["/img/*.png"])),
        Condition::Header("x-mode".to_owned(), texts(&["beta*", "x"])),
        Condition::Query("v".to_owned(), texts(&["2"])),
        Condition::Source(vec!["10.0.0.0/8".parse().unwrap()]),
    ];
    for route in &config.routes[..3] {
        assert_eq!(route.conditions, conditions);
    }
    assert!(
        config.routes[3..]
            .iter()
            .all(|route| route.conditions.is_empty())
    );
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn a_rule_that_cannot_be_kept_is_left_out_with_a_warning() {
    let rule = |id: &str, conditions: &str, actions: &str| {
        format!(
            "  {id}: {{ Type: AWS::ElasticLoadBalancingV2::ListenerRule, Properties: {{ ListenerArn: !Ref L, Priority: 1, Conditions: [{conditions}], Actions: [{actions}] }} }}\n"
        )
    };
    let to_f = "{ Type: forward, TargetGroupArn: !Ref ToF }";
    let rules = [
        rule(
            "A",
            "{ Field: source-ip, SourceIpConfig: { Values: [10.0.0.0/64] } }",
            to_f,
        ),
        rule(
            "B",
            "{ Field: host-header, Values: ['a*b.example.com'] }",
            to_f,
        ),
        rule("C", "{ Field: path-pattern, Values: [!Ref Path] }", to_f),
        rule("D", "", "{ Type: redirect, RedirectConfig: { Host: x } }"),
        rule("E", "", "{ Type: forward, TargetGroupArn: !Ref Instances }"),
        rule("F", "", "{ Type: forward, TargetGroupArn: arn }"),
        rule(
            "G",
            "{ Field: query-string, QueryStringConfig: { Values: [{ Value: a }] } }",
            to_f,
        ),
        rule("H", "{ Field: path-pattern }", to_f),
        rule(
            "I",
            "{ Field: path-pattern, Values: [/i], Colour: red }",
            &format!(
                "{{ Type: authenticate-oidc, AuthenticateOidcConfig: {{ Issuer: x }} }}, {to_f}"
            ),
        ),
        rule("J", "{ Field: cookie, Values: [a] }", to_f),
    ]
    .concat();
    let config = read(&format!(
        "
Resources:
  Fn: {{ {FUNCTION} }} }}
  L: {{ Type: AWS::ElasticLoadBalancingV2::Listener }}
  ToF: {{ Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: {{ TargetType: lambda, Targets: [{{ Id: !GetAtt Fn.Arn }}] }} }}
  Instances: {{ Type: AWS::ElasticLoadBalancingV2::TargetGroup }}
{rules}"
    ));
    assert_eq!(
        routes(&config),
        [r#"ANY /i {"function":"Fn","payload":"alb"}"#]
    );
    assert_eq!(
        warnings(&config),
        [
            "7: A: expected addresses such as 10.1.0.0/16, found \"10.0.0.0/64\"; it is left out",
            "8: B: expected a host name without a port such as orders.example.com, *.example.com or *, found \"a*b.example.com\"; it is left out",
            "9: C: a condition needs Path, which is not known here; it is left out",
            "10: D: actions of the type redirect are not served here; it is left out",
            "11: E: targets of the type instance are not served here; it is left out",
            "12: F: its target group is not known here; it is left out",
            "13: G: a condition on the query has no fixed Key; it is left out",
            "14: H: a condition has no Values that are known here; it is left out",
            "15: I: authenticate-oidc has no effect here: the route is open to every caller",
            "15: I: Conditions.Colour is not understood and has no effect here",
            "16: J: conditions on cookie are not known here; it is left out",
        ]
    );
}

#[test]
fn rules_do_not_make_routes_without_limit() {
    let values = |start: &str| {
        let values = (0..200).map(|index| format!("'{start}{index}'"));
        values.collect::<Vec<_>>().join(",")
    };
    let config = read(&format!(
        "
Resources:
  F: {{ {FUNCTION} }} }}
  L: {{ Type: AWS::ElasticLoadBalancingV2::Listener }}
  To: {{ Type: AWS::ElasticLoadBalancingV2::TargetGroup, Properties: {{ TargetType: lambda, Targets: [{{ Id: !GetAtt F.Arn }}] }} }}
  R: {{ Type: AWS::ElasticLoadBalancingV2::ListenerRule, Properties: {{ ListenerArn: !Ref L, Priority: 1, Actions: [{{ Type: forward, TargetGroupArn: !Ref To }}],
    Conditions: [{{ Field: host-header, Values: [{}] }}, {{ Field: path-pattern, Values: [{}] }}] }} }}
",
        values("h"),
        values("/p")
    ));
    assert_eq!(routes(&config), [""; 0]);
    assert_eq!(
        warnings(&config),
        ["6: the rules of this listener make more than 10000 routes; they are left out"]
    );
}
