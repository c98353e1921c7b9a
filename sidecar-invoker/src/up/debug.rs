//! A function under a debugger: the invoker does not start it, and its time limits are lifted.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::{BackendConfig, Config, FunctionConfig, HostPort, LocalConfig};
use lambda_api::FunctionName;

/// The time limits of a function under a debugger. No one sits before a breakpoint for longer.
const LIFTED: Duration = Duration::from_secs(24 * 3_600);

/// The error if a function cannot be debugged. The text has the cure.
#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    /// There is no function of this name.
    #[error("--debug {name}: there is no such function; there are {}", .known.join(", "))]
    Unknown {
        /// The name.
        name: FunctionName,
        /// The names of all functions.
        known: Vec<String>,
    },
    /// The function runs on AWS or in an emulator.
    #[error("--debug {0}: the function runs elsewhere, so nothing here can be debugged")]
    Elsewhere(FunctionName),
}

/// Prepares a function for a debugger, and returns instructions for its user. The function's Runtime API is at
/// `port` of this machine.
///
/// # Errors
/// Returns an error if there is no such function that the invoker starts.
pub fn prepare(config: &mut Config, name: &FunctionName, port: u16) -> Result<String, DebugError> {
    let known = config.functions.keys().map(ToString::to_string).collect();
    let Some(FunctionConfig { backend, .. }) = config.functions.get_mut(name) else {
        return Err(DebugError::Unknown {
            name: name.clone(),
            known,
        });
    };
    let BackendConfig::Local(local) = backend else {
        return Err(DebugError::Elsewhere(name.clone()));
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let text = instructions(name, local, address);
    local.attach = Some(HostPort {
        host: address.ip().to_string(),
        port,
    });
    local.timeout = LIFTED;
    local.init_timeout = LIFTED;
    local.concurrency = 1;
    local.min_environments = 0;
    local.build = Vec::new();
    local.watch = None;
    for route in &mut config.routes {
        if route.function == *name && route.timeout.is_some() {
            route.timeout = Some(LIFTED);
        }
    }
    Ok(text)
}

fn instructions(name: &FunctionName, local: &LocalConfig, address: SocketAddr) -> String {
    let variables = variables(name, local, address);
    let directory = local.directory.display();
    let configuration = vs_code(name, local, &variables);
    let configuration = serde_json::to_string_pretty(&configuration).unwrap_or_default();
    let pairs: Vec<_> = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let assignments = variables.iter();
    let assignments = assignments.map(|(name, value)| format!("{name}={}", quoted(value)));
    let command = std::iter::once(&local.program).chain(&local.arguments);
    let words: Vec<_> = assignments
        .chain(command.map(|word| quoted(word)))
        .collect();
    format!(
        "{name} is not started: start it under a debugger, in {directory}. It has no time limits.\n\n\
         VS Code, in the `configurations` of .vscode/launch.json:\n\n{configuration}\n\n\
         IntelliJ and its kin, as the `Environment variables` of a run configuration for `{}`:\n\n{}\n\n\
         A shell:\n\n{}\n",
        local.program,
        pairs.join(";"),
        words.join(" ")
    )
}

/// Returns the variables that a runtime needs, and the function's own.
fn variables(
    name: &FunctionName,
    local: &LocalConfig,
    address: SocketAddr,
) -> BTreeMap<String, String> {
    let handler = local.arguments.last().unwrap_or(&local.program);
    let handler = handler.strip_prefix("./").unwrap_or(handler);
    let own = [
        ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            local.memory_mib.to_string(),
        ),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "debugger".to_owned()),
        ("LAMBDA_TASK_ROOT", local.directory.display().to_string()),
        ("_HANDLER", handler.to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    own.into_iter().chain(local.env.clone()).collect()
}

/// Returns a launch configuration of VS Code.
fn vs_code(
    name: &FunctionName,
    local: &LocalConfig,
    variables: &BTreeMap<String, String>,
) -> Value {
    let directory = local.directory.display().to_string();
    let mut launch = Map::from_iter([
        ("name".to_owned(), json!(format!("{name} (lambda-mesh)"))),
        ("request".to_owned(), json!("launch")),
        ("cwd".to_owned(), json!(directory)),
        ("env".to_owned(), json!(variables)),
    ]);
    let arguments = &local.arguments;
    launch.extend(match Language::of(local) {
        Language::Python => fields(match arguments.as_slice() {
            [module, client, rest @ ..] if module == "-m" => {
                json!({ "type": "debugpy", "module": client, "args": rest, "justMyCode": false })
            }
            [program, rest @ ..] => json!({ "type": "debugpy", "program": program, "args": rest }),
            [] => json!({ "type": "debugpy", "program": local.program }),
        }),
        Language::Node => {
            let (program, rest) = match (is_node(&local.program), arguments.as_slice()) {
                (true, [program, rest @ ..]) => (program, rest),
                (_, rest) => (&local.program, rest),
            };
            fields(json!({ "type": "node", "program": program, "args": rest }))
        }
        Language::Java => fields(json!({
            "type": "java",
            "mainClass": "com.amazonaws.services.lambda.runtime.api.client.AWSLambda",
            "args": arguments.last(),
        })),
        Language::Go => fields(json!({ "type": "go", "mode": "auto", "program": directory })),
        Language::Other => {
            fields(json!({ "type": "lldb", "program": program(local), "args": arguments }))
        }
    });
    Value::Object(launch)
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The languages with a launch configuration of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    Node,
    Java,
    Go,
    /// A program, as of Rust or C++.
    Other,
}

impl Language {
    fn of(local: &LocalConfig) -> Self {
        let program = file_name(&local.program);
        if program.starts_with("python") {
            Self::Python
        } else if is_node(&local.program) || program == "aws-lambda-ric" {
            Self::Node
        } else if program == "java" {
            Self::Java
        } else if local.directory.join("go.mod").is_file() {
            Self::Go
        } else {
            Self::Other
        }
    }
}

fn is_node(program: &str) -> bool {
    matches!(file_name(program), "node" | "nodejs")
}

fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Returns the path of a program that is relative to the function's directory.
fn program(local: &LocalConfig) -> String {
    let inside = local.program.strip_prefix("./");
    let inside = inside.unwrap_or(&local.program);
    match Path::new(inside).is_relative() && local.program.contains('/') {
        true => local.directory.join(inside).display().to_string(),
        false => local.program.clone(),
    }
}

/// Returns a word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(local: &str) -> (Config, String) {
        let text = format!("functions: {{ f: {{ local: {{ {local} }} }} }}");
        let mut config = Config::parse("invoker.yaml", &text, Path::new("/")).unwrap();
        let text = prepare(&mut config, &"f".parse().unwrap(), 9001).unwrap();
        (config, text)
    }

    #[test]
    fn the_function_attaches_and_has_no_time_limit() {
        let (config, _) =
            prepared("command: [python3, -m, awslambdaric, app.handler], timeout: 3s");
        let BackendConfig::Local(local) = &config.functions.values().next().unwrap().backend else {
            panic!("not local");
        };
        assert_eq!(local.attach.as_ref().unwrap().to_string(), "127.0.0.1:9001");
        assert_eq!((local.timeout, local.concurrency), (LIFTED, 1));
    }

    #[test]
    fn each_language_has_its_own_launch_configuration() {
        for (command, expected) in [
            (
                "[python3, -m, awslambdaric, app.handler]",
                r#""module": "awslambdaric""#,
            ),
            ("[python3, runtime.py]", r#""program": "runtime.py""#),
            ("[node, app.mjs]", r#""program": "app.mjs""#),
            (
                "[/x/node_modules/.bin/aws-lambda-ric, index.handler]",
                r#""type": "node""#,
            ),
            (
                "[java, -cp, a.jar, Main, example.Handler]",
                r#""args": "example.Handler""#,
            ),
            ("[./bootstrap]", r#""program": "/bootstrap""#),
        ] {
            let (_, text) = prepared(&format!("command: {command}, env: {{ A: \"it's\" }}"));
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(r"A='it'\''s'"), "{text}");
            assert!(
                text.contains("AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"),
                "{text}"
            );
        }
    }

    #[test]
    fn another_function_is_refused_with_the_names_that_there_are() {
        let text = "functions: { f: { rie: 'http://f' } }";
        let mut config = Config::parse("invoker.yaml", text, Path::new("/")).unwrap();
        let mut error = |name: &str| {
            let name = name.parse().unwrap();
            prepare(&mut config, &name, 1).unwrap_err().to_string()
        };
        assert_eq!(
            error("g"),
            "--debug g: there is no such function; there are f"
        );
        assert!(error("f").contains("runs elsewhere"));
    }
}
