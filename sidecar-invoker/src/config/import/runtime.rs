//! The command that a managed runtime comes to on this machine.

use std::path::Path;

use super::omission::Omission;

/// Node.js' runtime interface client, as npm installs it.
const NODE_CLIENT: &str = "node_modules/.bin/aws-lambda-ric";

/// The program that runs a function.
pub(crate) struct Found {
    /// The program and its arguments, or the reason why there is none.
    pub(crate) command: Result<(String, Vec<String>), Omission>,
    /// The variables that AWS's image of the runtime sets.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The steps that are needed before the function can run.
    pub(crate) warning: Option<String>,
}

/// Returns the command for a template's `Runtime` in the function's `directory`.
pub(crate) fn command(runtime: &str, handler: &str, directory: &Path) -> Found {
    let with = |program: String, arguments: &[&str]| {
        let arguments = arguments.iter().chain([&handler]);
        Ok((program, arguments.map(|&one| one.to_owned()).collect()))
    };
    let mut env = vec![
        ("_HANDLER", handler.to_owned()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{runtime}")),
    ];
    let mut warning = None;
    let command = if runtime.starts_with("python3") {
        with("python3".to_owned(), &["-m", "awslambdaric"])
    } else if runtime.starts_with("nodejs") {
        let installed = directory
            .ancestors()
            .map(|folder| folder.join(NODE_CLIENT))
            .find(|client| client.exists());
        if installed.is_none() {
            warning = Some(format!(
                "{runtime} needs AWS's runtime interface client: run `npm install --no-save \
                 aws-lambda-ric` in {}; it is compiled, which needs autoconf, automake, libtool, cmake and g++",
                directory.display()
            ));
        }
        let client = installed.unwrap_or_else(|| directory.join(NODE_CLIENT));
        with(client.display().to_string(), &[])
    } else if runtime.starts_with("provided") {
        if !directory.join("bootstrap").is_file() {
            warning = Some(format!(
                "there is no file `bootstrap` in {} yet: build the function, and if `sam build` \
                 does that, import .aws-sam/build/template.yaml instead",
                directory.display()
            ));
        }
        // AWS does not set `AWS_EXECUTION_ENV` in OS-only runtimes.
        env.truncate(1);
        Ok(("./bootstrap".to_owned(), Vec::new()))
    } else {
        Err(Omission::Runtime(runtime.to_owned()))
    };
    Found {
        command,
        env,
        warning,
    }
}
