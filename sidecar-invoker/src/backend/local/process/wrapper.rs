//! `AWS_LAMBDA_EXEC_WRAPPER`: a program that starts the runtime, and may change its environment and
//! its arguments first.
//!
//! Source: "Modifying the runtime environment" in the AWS Lambda developer guide, and the script
//! `bootstrap` of AWS's images.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::command::ProgramError;

/// Makes Python's runtime client read the handler when it starts. On AWS, too, the interpreter has
/// one argument, before which wrappers insert others.
const PYTHON_CLIENT: &str = "-cimport os, runpy, sys; \
    sys.path[0] = os.getcwd(); \
    sys.argv[1:] = [os.environ['_HANDLER']]; \
    runpy.run_module('awslambdaric', run_name='__main__', alter_sys=True)";
/// Makes another runtime client read the handler when it starts.
const OTHER_CLIENT: &str = r#"exec "$0" "$@" "$_HANDLER""#;
/// The other runtime clients of AWS: of Node.js, of Ruby and of Java.
const OTHER_CLIENTS: [&str; 3] = [
    "aws-lambda-ric",
    "aws_lambda_ric",
    "com.amazonaws.services.lambda.runtime.api.client.AWSLambda",
];

/// Returns the command that starts the executable `wrapper` with the runtime's `program` and its
/// `arguments`.
///
/// On AWS, runtimes take their handler from `_HANDLER`, which a wrapper may set. Hence one of AWS's
/// runtime clients does not get the `handler` as its argument.
pub(crate) fn wrapped(
    wrapper: PathBuf,
    (program, arguments): (PathBuf, &[String]),
    handler: &str,
) -> Command {
    let mut command = Command::new(wrapper);
    match arguments {
        [options @ .., module, client, last]
            if last == handler && module == "-m" && client == "awslambdaric" =>
        {
            command.arg(program).args(options).arg(PYTHON_CLIENT);
        }
        [rest @ .., last] if last == handler && is_other_client(rest.last(), &program) => {
            let shell = ["/bin/sh", "-c", OTHER_CLIENT];
            command.args(shell).arg(program).args(rest);
        }
        _ => {
            command.arg(program).args(arguments);
        }
    }
    command
}

/// Returns true if the handler is the argument of a runtime client: of the word before, or of the
/// program.
fn is_other_client(word: Option<&String>, program: &Path) -> bool {
    let client = word.map_or(program, |word| Path::new(word));
    let name = client.file_name();
    name.is_some_and(|name| OTHER_CLIENTS.iter().any(|other| *other == name))
}

/// Returns the line and the exit status by which AWS reports a wrapper that cannot be run.
pub(crate) fn failure(wrapper: &str, reason: &ProgramError) -> (String, u8) {
    match reason {
        ProgramError::NotExecutable => (format!("{wrapper}: is not an executable\n"), 126),
        ProgramError::Interpreter(error) => (format!("{wrapper}: {error}\n"), 126),
        ProgramError::NotInLayers(_) => (format!("{wrapper}: {reason}\n"), 127),
        _ => (format!("{wrapper}: does not exist\n"), 127),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_client_takes_its_handler_from_the_environment() {
        let arguments = |words: &str| {
            let words = words.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let (program, arguments) = words.split_first().unwrap();
            let command = (PathBuf::from(program), arguments);
            let command = wrapped("/bin/sh".into(), command, "app.handler");
            let arguments = command.as_std().get_args();
            arguments
                .map(|word| word.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            arguments("python3 -X dev -m awslambdaric app.handler"),
            ["python3", "-X", "dev", PYTHON_CLIENT]
        );
        let shell = ["/bin/sh", "-c", OTHER_CLIENT];
        assert_eq!(
            arguments("npx aws-lambda-ric app.handler"),
            [&shell[..], &["npx", "aws-lambda-ric"]].concat()
        );
        assert_eq!(
            arguments("/app/aws-lambda-ric app.handler"),
            [&shell[..], &["/app/aws-lambda-ric"]].concat()
        );
        for other in ["python3 app.handler", "php -m awslambdaric other.handler"] {
            assert_eq!(arguments(other).join(" "), other);
        }
    }
}
