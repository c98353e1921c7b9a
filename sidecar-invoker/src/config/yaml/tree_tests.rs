//! Tests of the tree.

use super::*;

#[test]
fn indentation_does_not_matter_within_brackets_and_quotes() {
    let document = parse_template(
        "
Policy:
  Action: [
    \"a:b\", # ]
    'it''s ]',
  ]
  Allow: !Sub {
    x: \"\\\"}\"
  }
  Nested:
      Schema: {\"title\": \"T\",
  \"items\": [
'a'
]
  }
  Quoted:
      double: \"lo\\
 ng \\\"
te]xt\" # \"
      single: 'it''s
short'
Last: [{
  b: c d 'e
}]
More: x
",
    );
    let text = format!("{:?}", document.unwrap());
    for part in [
        "a:b",
        "it's ]",
        "\\\"}",
        "title",
        "items",
        "c d 'e",
        "long \\\"",
        "it's short",
        "More",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("line: 25"), "{text}");
    for wrong in [
        "a:\n  b: [1\nc: 2",
        "a: [\n}\n",
        "a:\n    b: 1\n  c: 2\n d: 3\n",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_carriage_return_alone_ends_a_line() {
    let document = parse_template("a: 1\rb:\n  c: \"x\ny\"\n  d: x]\r\n  e: [\r]\rf: 2");
    let text = format!("{:?}", document.unwrap());
    for part in ["Text(\"x y\")", "Text(\"x]\")", "line: 8"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn only_templates_are_repaired() {
    for text in ["a:\n  b: [\n]\n", r#"{ "a": "\ud83d\ude00" }"#] {
        assert!(parse_template(text).is_ok(), "{text}");
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_large_template_is_not_repaired_without_end() {
    let lists = |count| (0..count).map(|key| format!("k{key}: [\n]\n"));
    assert!(parse_template(&lists(200).collect::<String>()).is_ok());
    let comment = format!("# {}\n", "x".repeat(1_000_000));
    let large: String = lists(30).chain([comment]).collect();
    let error = parse_template(&large).unwrap_err();
    assert!(flow::is_about_indentation(&error.message), "{error:?}");
    assert!(error.line > 30, "{error:?}");
}

#[test]
fn json_may_have_characters_in_two_escapes() {
    let json = r#"{ "a": "\ud83d\ude00", "b": [
]}"#;
    let document = parse_template(json).unwrap();
    assert!(format!("{document:?}").contains('\u{1f600}'));
    let half = parse_template(r#"{ "a": "\ud83d" }"#);
    assert!(half.unwrap_err().message.contains("Unicode"));
}

#[test]
fn escapes_are_joined_only_where_they_are_escapes() {
    let template = r"
é: { single: '\ud83d\ude00', double: !Sub 'x', é: PAIR }
block: |
  \ud83d\ude00
plain: \ud83d\ude00
last: PAIR
";
    let template = template.replace("PAIR", r#""\ud83d\ude00""#);
    let text = format!("{:?}", parse_template(&template).unwrap());
    assert_eq!(text.matches('\u{1f600}').count(), 2, "{text}");
    assert_eq!(text.matches(r"\\ud83d\\ude00").count(), 3, "{text}");
}

#[test]
fn values_keep_their_text_and_line() {
    let Kind::Mapping(entries) = parse("a: 1.10\nb:\n  - ~\n  - '~'\n").unwrap().kind else {
        panic!("not a mapping");
    };
    assert!(matches!(&entries[0].1.kind, Kind::Text(text) if text == "1.10"));
    assert_eq!(entries[1].0.line, 2);
    let Kind::List(items) = &entries[1].1.kind else {
        panic!("not a list");
    };
    assert!(matches!(items[0].kind, Kind::Null));
    assert!(matches!(&items[1].kind, Kind::Text(text) if text == "~"));
    assert_eq!(items[1].line, 4);
}

#[test]
fn an_alias_is_the_anchored_value() {
    let Kind::Mapping(entries) = parse("a: &x {k: v}\nb: *x\n").unwrap().kind else {
        panic!("not a mapping");
    };
    assert!(matches!(&entries[1].1.kind, Kind::Mapping(inner) if inner[0].0.text == "k"));
}

#[test]
fn a_merge_key_adds_the_entries_that_a_mapping_does_not_have() {
    let text = "a: &a { x: 1, y: 2 }\nb: &b { y: 3, z: 4 }\nc:\n  <<: [*a, *b]\n  x: 5\n";
    let Kind::Mapping(entries) = parse(text).unwrap().kind else {
        panic!("not a mapping");
    };
    let Kind::Mapping(merged) = &entries[2].1.kind else {
        panic!("not a mapping");
    };
    let texts = merged.iter().map(|(key, value)| match &value.kind {
        Kind::Text(text) => format!("{}={text}", key.text),
        _ => panic!("not a text"),
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["x=5", "y=2", "z=4"]);
    let error = parse("a:\n  <<: x\n").unwrap_err();
    assert_eq!(
        (error.line, error.message.contains("`<<` takes a mapping")),
        (2, true)
    );
    assert!(
        parse("'<<': x\n").is_ok(),
        "a quoted key is a key like others"
    );
}

#[test]
fn aliases_cannot_explode() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(parse(&bomb).unwrap_err().message.contains("more than"));
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    assert_eq!(parse("a: 1\nb: [1\n").unwrap_err().line, 3);
    assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap_err().line, 2);
    assert_eq!(parse("a: !Ref b\n").unwrap_err().line, 1);
    assert_eq!(parse("? [a]\n: 1\n").unwrap_err().line, 1);
    assert!(parse(&"[".repeat(200)).is_err());
    assert!(parse(&"- ".repeat(10_000)).is_err());
}

#[test]
fn tags_of_a_template_are_functions() {
    let node = parse_template("!Sub [a, { b: !Ref c }]").unwrap();
    let Kind::Mapping(entries) = node.kind else {
        panic!("not a mapping");
    };
    assert_eq!(entries[0].0.text, "Fn::Sub");
    assert!(matches!(&entries[0].1.kind, Kind::List(items) if items.len() == 2));
    for text in ["! yes", "! \"yes\"", "!!str yes"] {
        let node = parse_template(text).unwrap();
        assert!(
            matches!(&node.kind, Kind::Text(text) if text == "yes"),
            "{text}"
        );
        assert!(!node.is_plain, "{text}");
    }
}

#[test]
fn an_empty_file_is_null() {
    assert!(matches!(parse("# nothing\n").unwrap().kind, Kind::Null));
}
