//! Commands such as `python3 -m awslambdaric app.handler`. The interpreter exists, but it may not have
//! the module.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::config::LocalConfig;

/// The longest time in which an interpreter has to look for a module.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// A program that ends with [`IS_MISSING`] if the module does not exist. A package may fail in its own
/// way when it is imported.
const PROBE: &str = "\
import importlib.util, sys
try:
    found = importlib.util.find_spec(sys.argv[1])
except ModuleNotFoundError:
    found = None
if not found:
    sys.exit(3)
";
const IS_MISSING: i32 = 3;

/// The interpreter of a command does not have the module of the command. The text names the cure.
#[derive(Debug, thiserror::Error)]
#[error("{program} has no module `{module}`; install it: {program} -m pip install {module}")]
pub(crate) struct MissingModule {
    program: String,
    module: String,
}

/// Returns the module that the command has a Python interpreter run.
fn module(config: &LocalConfig) -> Option<&str> {
    let program = Path::new(&config.program).file_name()?.to_str()?;
    if !program.starts_with("python") {
        return None;
    }
    let mut arguments = config.arguments.iter();
    loop {
        match arguments.next()?.as_str() {
            "-m" => return arguments.next().map(String::as_str),
            "-X" | "-W" => _ = arguments.next(),
            option if option.starts_with('-') => {}
            _ => return None,
        }
    }
}

/// Checks that the interpreter `program` has the module of the command, if the command has one.
///
/// An interpreter that cannot be asked passes the check.
pub(crate) async fn check(
    config: &LocalConfig,
    program: &Path,
    variables: impl Iterator<Item = (&OsString, &OsString)>,
) -> Result<(), MissingModule> {
    let Some(module) = module(config) else {
        return Ok(());
    };
    let probe = Command::new(program)
        .args(["-c", PROBE, module])
        .current_dir(&config.directory)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(status)) if status.code() == Some(IS_MISSING) => Err(MissingModule {
            program: config.program.clone(),
            module: module.to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackendConfig, Config};

    #[tokio::test]
    async fn a_module_is_found_after_other_options_and_looked_for() {
        let cases = [
            (
                "python3, -m, json.tool, app.handler",
                Some("json.tool"),
                true,
            ),
            (
                "python3, -u, -X, dev, -m, absent_a",
                Some("absent_a"),
                false,
            ),
            ("python3, -m, absent_a.b", Some("absent_a.b"), false),
            ("python3, app.py, -m, absent_a", None, true),
            ("/usr/bin/env, -m, absent_a", None, true),
        ];
        for (command, expected, is_there) in cases {
            let text = format!("functions: {{ f: {{ local: {{ command: [{command}] }} }} }}");
            let mut config = Config::parse("i.yaml", &text, Path::new("/")).unwrap();
            let BackendConfig::Local(local) = config.functions.pop_first().unwrap().1.backend
            else {
                panic!("not local");
            };
            assert_eq!(module(&local), expected, "{command}");
            let path = std::env::var_os("PATH").unwrap();
            let variables = [(OsString::from("PATH"), path)];
            let variables = variables.iter().map(|(name, value)| (name, value));
            let checked = check(&local, Path::new("python3"), variables).await;
            assert_eq!(checked.is_ok(), is_there, "{command}");
        }
    }
}
