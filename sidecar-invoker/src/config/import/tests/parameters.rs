//! Parameters, and the values that they may have.

use std::fs;

use super::super::super::Config;
use super::{FUNCTION, env, read, read_as, warnings};

#[test]
fn a_parameter_that_no_template_has_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("t.yaml"),
        "Parameters: { A: { Type: String } }\nResources: {}",
    )
    .unwrap();
    let problems = |keys: &str| {
        let text = format!("import: t.yaml\n{keys}");
        Config::parse("i.yaml", &text, folder.path()).map_err(|error| error.to_string())
    };
    assert!(problems("import_parameters: { A: 1 }").is_ok());
    let expected = "i.yaml:2: import_parameters.B: no template has a parameter of this name";
    assert_eq!(
        problems("import_parameters: { A: 1, B: 2 }").unwrap_err(),
        expected
    );
    let error = problems("import_stack_name: 1a").unwrap_err();
    assert!(
        error.contains("import_stack_name: expected a letter, then up to"),
        "{error}"
    );
}

#[test]
fn a_value_that_a_parameter_may_not_have_is_a_warning() {
    let template = format!(
        "
Parameters:
  Stage: {{ Type: String, Default: dev, AllowedValues: [dev, prod] }}
  Any: {{ Type: String, Default: dev }}
Resources: {{ F: {{ {FUNCTION} }} }} }}
"
    );
    assert_eq!(read(&template).warnings, [""; 0]);
    let keys = "import_parameters: { Stage: prd, Any: x }";
    let config = read_as("template.yaml", keys, &template, &[]);
    assert_eq!(
        warnings(&config),
        ["3: Stage: AWS does not take \"prd\" for this parameter: AllowedValues are dev, prod"]
    );
}

/// As the page on parameters has it: of a list, each item is one of the allowed values.
#[test]
fn each_item_of_a_list_is_one_of_the_values_that_its_parameter_may_have() {
    let template = format!(
        "
Parameters: {{ Zones: {{ Type: CommaDelimitedList, AllowedValues: [a, b, c] }} }}
Resources: {{ F: {{ {FUNCTION}, Environment: {{ Variables: {{ LAST: !Select [1, !Ref Zones] }} }} }} }} }}
"
    );
    let read = |zones| {
        let keys = format!("import_parameters: {{ Zones: '{zones}' }}");
        read_as("template.yaml", &keys, &template, &[])
    };
    let config = read("a, c");
    assert_eq!(env(&config, "F")["LAST"], "c");
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(
        warnings(&read("a,x,b")),
        ["2: Zones: AWS does not take \"x\" for this parameter: AllowedValues are a, b, c"]
    );
}

/// Only a parameter of the type `AWS::SSM::Parameter::Value<…>` is the value in the Parameter Store.
#[test]
fn a_parameter_may_be_the_name_of_one_in_the_parameter_store() {
    let config = read(&format!(
        "
Parameters:
  Name: {{ Type: 'AWS::SSM::Parameter::Name', Default: /shop/table }}
  Value: {{ Type: 'AWS::SSM::Parameter::Value<String>', Default: /shop/table }}
Resources: {{ F: {{ {FUNCTION}, Environment: {{ Variables: {{ NAME: !Ref Name, VALUE: !Ref Value }} }} }} }} }}
"
    ));
    assert_eq!(env(&config, "F")["NAME"], "/shop/table");
    assert_eq!(
        warnings(&config),
        [
            "5: F: the variable VALUE needs the parameter Value, which is not known here; give it in functions.F.local.env"
        ]
    );
}
