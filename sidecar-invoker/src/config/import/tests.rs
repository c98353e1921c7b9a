mod apis;
mod authorizers;
mod cors;
mod load_balancers;
mod loops;
mod nested;
mod parameters;
mod values;
mod versions;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lambda_api::FunctionName;

use super::super::{BackendConfig, Config, ConfigError, LocalConfig, Route};
use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sam")
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("invoker.yaml", text, &folder()).map_err(|error| error.to_string())
}

fn local<'c>(config: &'c Config, name: &str) -> &'c LocalConfig {
    match &config.functions.get(name).unwrap().backend {
        BackendConfig::Local(local) => local,
        _ => panic!("{name} is not local"),
    }
}

fn words(local: &LocalConfig) -> Vec<&str> {
    let arguments = local.arguments.iter().map(String::as_str);
    std::iter::once(local.program.as_str())
        .chain(arguments)
        .collect()
}

/// Reads a template in a folder called `shop`, in which there is code in `.` and in `code`.
fn read(template: &str) -> Config {
    read_as("template.yaml", "", template, &[])
}

fn read_as(file: &str, keys: &str, template: &str, others: &[(&str, &str)]) -> Config {
    match try_read(file, keys, template, others) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

/// Returns the mistakes by which templates cannot be read.
fn read_problems(file: &str, template: &str, others: &[(&str, &str)]) -> Vec<String> {
    let error = try_read(file, "", template, others)
        .unwrap_err()
        .to_string();
    error.lines().map(str::to_owned).collect()
}

fn try_read(
    file: &str,
    keys: &str,
    template: &str,
    others: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    for (name, text) in [("code/bootstrap", ""), ("bootstrap", ""), (file, template)]
        .iter()
        .chain(others)
    {
        let path = shop.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let text = format!("import: {file}\n{keys}");
    Config::parse("invoker.yaml", &text, &shop)
}

fn env<'c>(config: &'c Config, function: &str) -> &'c BTreeMap<String, String> {
    &local(config, function).env
}

fn names(config: &Config) -> Vec<&str> {
    config.functions.keys().map(FunctionName::as_str).collect()
}

/// Returns the routes, each as `HOST METHOD PATH` and the filter's keys.
fn routes(config: &Config) -> Vec<String> {
    let route = |route: &Route| {
        let host = match route.host.as_str() {
            "*" => String::new(),
            host => format!("{host} "),
        };
        let keys = serde_json::to_string(&route.lambda).unwrap();
        format!("{host}{} {keys}", route.name())
    };
    config.routes.iter().map(route).collect()
}

/// Returns the warnings without the name of the file.
fn warnings(config: &Config) -> Vec<&str> {
    let warnings = config.warnings.iter();
    let warnings = warnings.map(|warning| warning.split_once(':').unwrap().1);
    warnings.collect()
}

const FUNCTION: &str = "Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023";

#[test]
fn functions_have_what_their_template_says() {
    let config = parse("import: template.yaml").unwrap();
    let names: Vec<_> = config.functions.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["Orders", "worker-dev"]);

    let orders = local(&config, "Orders");
    assert_eq!(
        words(orders),
        ["python3", "-m", "awslambdaric", "app.handler"]
    );
    assert_eq!(orders.directory, folder().join("orders/"));
    assert_eq!(orders.timeout, Duration::from_secs(20));
    assert_eq!((orders.memory_mib, orders.concurrency), (256, 4));
    let env: Vec<_> = orders
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let region = crate::invocation::region(|name| std::env::var_os(name));
    let arn = format!("arn:aws:lambda:{region}:123456789012:function:worker-dev");
    let expected = [
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12"),
        ("JOINED", "a/dev"),
        ("LEVEL", "debug"),
        ("NAME", "123456789012-dev-${Stage}-worker-dev"),
        ("OTHER", &arn),
        ("STAGE", "dev"),
        ("_HANDLER", "app.handler"),
    ];
    assert_eq!(env, expected);

    let worker = local(&config, "worker-dev");
    assert_eq!(words(worker), ["./bootstrap"]);
    assert_eq!(worker.env.get("_HANDLER").unwrap(), "worker");
    assert_eq!(
        (worker.timeout, worker.memory_mib),
        (Duration::from_secs(3), 128)
    );
}

#[test]
fn events_are_routes() {
    let config = parse("import: template.yaml").unwrap();
    let route = |route: &Route| {
        let method = route
            .method
            .as_ref()
            .map_or("ANY", |method| method.as_str());
        format!("{method} {} {}", route.path, route.lambda["payload"])
    };
    let routes: Vec<_> = config.routes.iter().map(route).collect();
    let expected = [
        r#"ANY /old "apigateway-v1""#,
        r#"GET /orders/{id} "apigateway-v2""#,
        r#"POST /files/{path+} "apigateway-v1""#,
        r#"ANY /* "apigateway-v2""#,
    ];
    assert_eq!(routes, expected, "the one that says more first");
    assert!(
        config
            .routes
            .iter()
            .all(|route| route.lambda["function"] == "Orders")
    );

    let own = "import: template.yaml\nroutes: [{ path: /orders/*, function: worker-dev }]";
    let config = parse(own).unwrap();
    let paths: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["/orders/*", "/old", "/files/{path+}", "/*"],
        "the file's own before all"
    );
}

#[test]
fn what_is_not_understood_is_a_warning_with_its_line() {
    let config = parse("import: template.yaml").unwrap();
    let folder = folder();
    let folder = folder.display();
    let unknown = |line, name, needs| {
        format!(
            "{line}: Orders: the variable {name} needs {needs}, which is not known here; give it in functions.Orders.local.env"
        )
    };
    let reason =
        "has no effect here: a function on this machine has the credentials that it finds there";
    let expected = [
        format!("28: Orders: Policies {reason}"),
        "30: Orders: a layer is left out, because it is no layer of this template; give all folders in functions.Orders.local.layers".to_owned(),
        unknown(35, "TABLE", "Table"),
        unknown(39, "PASSWORD", "the parameter Secret"),
        unknown(40, "IMAGE", "the parameter Image"),
        "45: Orders: Events.Rest.Auth has no effect here: the routes are open to every caller".to_owned(),
        "46: Orders: Events.Odd: its Path needs the parameter Secret, which is not known here".to_owned(),
        "47: Orders: Events.Queue: events of the type SQS are not delivered here; HttpApi and Api are".to_owned(),
        format!("48: worker-dev: there is no file `bootstrap` in {folder}/orders yet: build the function, and if `sam build` does that, import .aws-sam/build/template.yaml instead"),
        "56: worker-dev: Timeout is no number from 1 to 900 that is known here; the default is taken".to_owned(),
        "57: Java: the runtime java21 is not known here; it is left out, unless functions.Java.local.command says how to run it".to_owned(),
        format!("60: Missing: there is no directory {folder}/nowhere; it is left out"),
        "63: Packed: a function in an image is not run here; run the image, and give its address in functions.Packed.rie; it is left out".to_owned(),
        "66: Uploaded: its code is not a directory on this machine (Code); it is left out".to_owned(),
        "69: Table: resources of the type AWS::DynamoDB::Table are not made here".to_owned(),
    ];
    for (found, expected) in config.warnings.iter().zip(&expected) {
        assert_eq!(found, &format!("template.yaml:{expected}"));
    }
    assert_eq!(
        config.warnings.len(),
        expected.len(),
        "{:#?}",
        config.warnings
    );
}

#[test]
fn the_keys_of_a_listed_function_go_before_those_of_its_template() {
    let text = "\
import: [template.yaml]
functions:
  Orders: { queue: 3, local: { timeout: 5s, env: { TABLE: orders, LEVEL: warn } } }
  worker-dev: { rie: http://worker:8080 }
  Java: { local: { command: [./run] } }
";
    let config = parse(text).unwrap();
    let orders = local(&config, "Orders");
    assert_eq!(orders.timeout, Duration::from_secs(5));
    assert_eq!(orders.memory_mib, 256);
    assert_eq!(words(orders).last(), Some(&"app.handler"));
    assert_eq!(orders.env.get("TABLE").unwrap(), "orders");
    assert_eq!(orders.env.get("LEVEL").unwrap(), "warn");
    assert_eq!(orders.env.get("STAGE").unwrap(), "dev");
    assert_eq!(config.functions.get("Orders").unwrap().queue, 3);
    let worker = config.functions.get("worker-dev").unwrap();
    assert!(matches!(worker.backend, BackendConfig::Rie(_)));
    let java = local(&config, "Java");
    assert_eq!((words(java), java.line), (vec!["./run"], 5));
    assert_eq!(java.directory, folder().join("orders"));
    let left_out = |warning: &String| warning.contains("Java");
    assert!(!config.warnings.iter().any(left_out));
}

#[test]
fn a_template_that_cannot_be_read_is_one_sentence() {
    let error = parse("import: absent.yaml").unwrap_err();
    let expected = "invoker.yaml:1: import: absent.yaml cannot be read: No such file or directory (os error 2); the path is relative to this file's own";
    assert_eq!(error, expected);
    let error = parse("import: [orders/app.py]").unwrap_err();
    assert!(
        error.starts_with("invoker.yaml:1: import[0]: orders/app.py"),
        "{error}"
    );
    let error = parse("import: { a: b }").unwrap_err();
    assert!(error.contains("expected the path of a template"), "{error}");
}

#[test]
fn node_js_runs_by_the_client_that_npm_installed() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("src");
    fs::create_dir_all(&code).unwrap();
    let found = runtime::command("nodejs22.x", "index.handler", &code);
    assert!(
        found
            .warning
            .unwrap()
            .contains("npm install --no-save aws-lambda-ric")
    );
    let client = folder.path().join("node_modules/.bin/aws-lambda-ric");
    fs::create_dir_all(client.parent().unwrap()).unwrap();
    fs::write(&client, "").unwrap();
    let found = runtime::command("nodejs22.x", "index.handler", &code);
    assert_eq!(found.warning, None);
    let expected = (
        client.display().to_string(),
        vec!["index.handler".to_owned()],
    );
    assert_eq!(found.command, Ok(expected));
}

#[test]
fn what_cannot_be_as_the_template_says_is_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let template = r#"Resources:
  A:
    Type: AWS::Serverless::Function
    Condition: IsProduction
    Properties:
      CodeUri: .
      Runtime: provided.al2023
      Environment:
        Variables:
          "K=V": x
          "N\0": x
          "\e[31m=": x
          TEXT: "a\0b"
          AWS_LAMBDA_RUNTIME_API: x
          GOOD: first
          GOOD: second
  A:
    Type: AWS::Serverless::Function
"#;
    fs::write(folder.path().join("t.yaml"), template).unwrap();
    fs::write(folder.path().join("bootstrap"), "").unwrap();
    let config = Config::parse("invoker.yaml", "import: t.yaml", folder.path()).unwrap();
    let env = &local(&config, "A").env;
    assert_eq!(env.get("GOOD").unwrap(), "first");
    let named = |name: &String| name.contains(['=', '\0']) || name == "TEXT";
    assert!(!env.keys().any(named), "{env:?}");
    assert!(!env.contains_key("AWS_LAMBDA_RUNTIME_API"));
    let name = "the name of a variable is not empty and has neither = nor NUL; it is left out";
    let expected = [
        "4: A: Condition: the condition IsProduction is not known here; the resource is there in any case".to_owned(),
        format!(r#"10: A: the variable "K=V": {name}"#),
        format!(r#"11: A: the variable "N\0": {name}"#),
        format!(r#"12: A: the variable "\u{{1b}}[31m=": {name}"#),
        "13: A: the variable TEXT: text has no NUL; it is left out".to_owned(),
        "14: A: the variable \"AWS_LAMBDA_RUNTIME_API\": is set by the invoker, for each execution environment; remove it; it is left out".to_owned(),
        "16: GOOD stands on line 15 too, which counts; this one is left out".to_owned(),
        "17: A stands on line 2 too, which counts; this one is left out".to_owned(),
    ]
    .map(|warning| format!("t.yaml:{warning}"));
    assert_eq!(config.warnings, expected);
}

/// Templates come from anywhere.
#[test]
fn no_template_ends_the_invoker() {
    let whole = fs::read_to_string(folder().join("template.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    let odd = [
        "!Sub \"${\"",
        "!Sub [a]",
        "!Join []",
        "!GetAtt []",
        "!Ref [a]",
        "[]",
        "{}",
        "~",
        "!If [a, b, c]",
    ];
    let mut templates = vec![
        String::new(),
        "Resources: []".to_owned(),
        "Resources: { A: [] }".to_owned(),
    ];
    templates.extend(odd.map(|odd| whole.replace("!Ref Stage", odd).replace("orders/", odd)));
    let lines: Vec<_> = whole.lines().collect();
    templates.extend((0..lines.len()).map(|end| lines[..end].join("\n")));
    for template in templates {
        fs::write(&path, &template).unwrap();
        // Whatever comes of it.
        let _ = Config::parse("invoker.yaml", "import: t.yaml", folder.path());
    }
}
