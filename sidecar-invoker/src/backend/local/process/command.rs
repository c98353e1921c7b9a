//! The program of a function and its environment variables.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use uuid::Uuid;

use super::file_view::FileView;
use super::interpreter::InterpreterError;
use super::locale;
use super::unreserved::set_unreserved;
use crate::config::{InheritEnv, LocalConfig};
use crate::invocation::region;
use lambda_api::FunctionName;

/// The variables of the invoker's own environment that every function inherits: the locations of
/// programs. Those of the AWS SDKs and the locale are [inherited](is_inherited) too.
const INHERITED: [&str; 2] = ["PATH", "HOME"];
/// The variables of the locale, which a function inherits only if the locale has UTF-8.
const LOCALE: [&str; 2] = ["LANG", "LC_ALL"];
/// The invoker's own environment variables.
#[derive(Debug, Clone)]
pub(crate) struct Inherited {
    variables: BTreeMap<OsString, OsString>,
    /// The region of local functions.
    pub(crate) region: String,
}

impl Inherited {
    /// Takes over the invoker's environment variables.
    pub(crate) fn from(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let variables: BTreeMap<_, _> = variables.collect();
        Self {
            region: region(|name| variables.get(OsStr::new(name)).cloned()),
            variables,
        }
    }

    /// Returns the variables of a function that inherits `more` than every function does.
    fn visible(&self, more: &InheritEnv) -> BTreeMap<OsString, OsString> {
        let passes = |name: &OsStr, value: &OsStr| match more {
            // Each environment has its own.
            InheritEnv::All if name == "TMPDIR" => false,
            InheritEnv::All => is_inherited(name, value) || LOCALE.iter().all(|it| *it != name),
            InheritEnv::Names(names) => {
                is_inherited(name, value) || names.iter().any(|listed| **listed == *name)
            }
        };
        let visible = self.variables.iter();
        let visible = visible.filter(|(name, value)| passes(name, value));
        visible
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// Returns true if every function inherits this variable of the invoker's own environment.
///
/// By those of the AWS SDKs a function finds the credentials, the region and the endpoints of a
/// developer, a container or a pod. Lambda's own variables are set for each function.
fn is_inherited(name: &OsStr, value: &OsStr) -> bool {
    if LOCALE.iter().any(|locale| *locale == name) {
        return locale::is_utf8(value);
    }
    let bytes = name.as_encoded_bytes();
    let is_of_sdk = bytes.starts_with(b"AWS_")
        && !bytes.starts_with(b"AWS_LAMBDA_")
        && bytes != b"AWS_EXECUTION_ENV";
    is_of_sdk || INHERITED.iter().any(|inherited| *inherited == name)
}

/// Returns the variables of every execution environment of a function.
///
/// `env` of the configuration overrides Lambda's own variables, and these override inherited ones.
///
/// Source: "Defined runtime environment variables" in the AWS Lambda developer guide. There is no
/// `AWS_EXECUTION_ENV`, as in OS-only runtimes; a template that names a runtime has it in `env`.
/// `_HANDLER` is the command's last word, as in the Runtime Interface Emulator, and `bootstrap`
/// without a command. The runtime itself sets `_X_AMZN_TRACE_ID` for each invocation. The variables
/// that AWS calls unreserved do not override inherited ones.
pub(crate) fn variables(
    name: &FunctionName,
    config: &LocalConfig,
    view: FileView<'_>,
    inherited: &Inherited,
) -> BTreeMap<OsString, OsString> {
    let mut variables = inherited.visible(&config.inherit_env);
    // Each environment has its own.
    variables.remove(OsStr::new(FUNCTION_VERSION));
    // The trace of another invocation, if the invoker runs in a function.
    variables.remove(OsStr::new("_X_AMZN_TRACE_ID"));
    set_unreserved(&mut variables, &view.directory());
    view.add_layer_folders(&mut variables);
    let mut set = |key: &str, value: &OsStr| variables.insert(key.into(), value.into());
    let directory = view.directory();
    let handler = config.arguments.last().unwrap_or(&config.program);
    let handler = handler.strip_prefix("./").unwrap_or(handler);
    set("_HANDLER", handler.as_ref());
    set("AWS_REGION", inherited.region.as_ref());
    set("AWS_DEFAULT_REGION", inherited.region.as_ref());
    set("AWS_LAMBDA_FUNCTION_NAME", name.to_string().as_ref());
    set(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        config.memory_mib.to_string().as_ref(),
    );
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".as_ref());
    set(
        "AWS_LAMBDA_LOG_GROUP_NAME",
        format!("/aws/lambda/{name}").as_ref(),
    );
    set("LAMBDA_TASK_ROOT", directory.as_os_str());
    set("LAMBDA_RUNTIME_DIR", directory.as_os_str());
    set("TZ", ":UTC".as_ref());
    for (key, value) in &config.env {
        set(key, value.as_ref());
    }
    variables
}

/// The variable with the version that an environment runs.
pub(crate) const FUNCTION_VERSION: &str = "AWS_LAMBDA_FUNCTION_VERSION";

const LOG_STREAM_NAME: &str = "AWS_LAMBDA_LOG_STREAM_NAME";

/// The log stream of one environment: `2026/11/21/[VERSION]` and 32 random hex digits.
///
/// Lambda identifies environments by it.
#[derive(Debug)]
pub(crate) struct LogStream {
    name: String,
    version: String,
}

impl LogStream {
    /// Creates the log stream of an environment that starts `now` and runs `version`.
    pub(crate) fn new(now: SystemTime, version: &str) -> Self {
        let date = OffsetDateTime::from(now).date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let id = Uuid::new_v4().simple();
        Self {
            name: format!("{year}/{month:02}/{day:02}/[{version}]{id}"),
            version: version.to_owned(),
        }
    }

    /// Returns the version that the environment runs.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Returns the environment variable that identifies all processes of the environment.
    pub(crate) fn variable(&self) -> (&'static str, &str) {
        (LOG_STREAM_NAME, &self.name)
    }

    /// Returns that environment variable as `NAME=VALUE`.
    pub(crate) fn entry(&self) -> String {
        format!("{LOG_STREAM_NAME}={}", self.name)
    }

    /// Returns the first eight of the random digits, which identify the environment in a log.
    pub(crate) fn short(&self) -> &str {
        let digits = self.name.rsplit(']').next().unwrap_or_default();
        digits.get(..8).unwrap_or(digits)
    }
}

/// An error in finding a program. The texts are those of the operating system.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("executable file not found in $PATH")]
    NotInPath,
    #[error("no such file or directory")]
    NotFound,
    /// The path is a folder, or the file is not executable.
    #[error("permission denied")]
    NotExecutable,
    /// The function sees its layers in `/opt`, and the program is in none of them.
    #[error("{} is in none of the function's `layers`, which are all that it sees in /opt", .0.display())]
    NotInLayers(PathBuf),
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    #[error(transparent)]
    Io(io::Error),
}

impl ProgramError {
    /// Returns the cure, if the text does not name it.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::Interpreter(_) => "",
            _ => "; build it, install it or correct the command",
        }
    }
}

/// An error in starting a runtime process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program that `AWS_LAMBDA_EXEC_WRAPPER` names cannot be run.
    #[error("AWS_LAMBDA_EXEC_WRAPPER: {wrapper}: {reason}")]
    Wrapper {
        wrapper: String,
        reason: ProgramError,
    },
    /// The Runtime API has no address.
    #[error("no port for its Runtime API: {0}")]
    RuntimeApi(io::Error),
    #[error(transparent)]
    Spawn(#[from] io::Error),
}

/// Finds the executable of `program`, relative to `directory` if it contains a slash, otherwise in
/// the folders of `path`. `file` returns the file on this machine that the function sees at a path.
///
/// # Errors
/// There is no such executable.
pub(crate) fn resolve(
    program: &str,
    directory: &Path,
    path: Option<&OsStr>,
    file: impl Fn(&Path) -> PathBuf,
) -> Result<PathBuf, ProgramError> {
    if program.contains('/') {
        let candidate = file(&directory.join(program));
        return executable(&candidate).map(|()| candidate);
    }
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    folders
        .map(|folder| file(&directory.join(folder).join(program)))
        .find(|candidate| executable(candidate).is_ok())
        .ok_or(ProgramError::NotInPath)
}

fn executable(path: &Path) -> Result<(), ProgramError> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ProgramError::NotFound,
        _ => ProgramError::Io(error),
    })?;
    match metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err(ProgramError::NotExecutable),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::backend::local::process::isolation::Level;

    #[test]
    fn a_program_is_found_in_the_path_or_relative_to_the_directory() {
        let resolve = |program, directory, path| resolve(program, directory, path, Path::to_owned);
        let path = Some(OsStr::new("/nowhere:/bin"));
        assert_eq!(
            resolve("sh", Path::new("/"), path).unwrap(),
            Path::new("/bin/sh")
        );
        assert_eq!(
            resolve("./sh", Path::new("/bin"), None).unwrap(),
            Path::new("/bin/./sh")
        );
        assert_eq!(
            resolve("/bin/sh", Path::new("/tmp"), None).unwrap(),
            Path::new("/bin/sh")
        );
        assert!(
            resolve("sh", Path::new("/bin"), None)
                .unwrap_err()
                .to_string()
                .contains("not found in $PATH")
        );
        assert_eq!(
            resolve("./absent", Path::new("/bin"), path)
                .unwrap_err()
                .to_string(),
            "no such file or directory"
        );
        assert_eq!(
            resolve("/etc/passwd", Path::new("/"), path)
                .unwrap_err()
                .to_string(),
            "permission denied"
        );
    }

    #[test]
    fn env_overrides_lambda_s_variables_and_these_override_inherited_ones() {
        let yaml = "functions: { f: { local: { command: [p, app.handler], env: { TZ: Asia/Tokyo },
            inherit_env: [LISTED, ABSENT] } } }";
        let config = crate::config::Config::parse("i.yaml", yaml, Path::new("/srv")).unwrap();
        let (name, function) = config.functions.first_key_value().unwrap();
        let crate::config::BackendConfig::Local(local) = &function.backend else {
            panic!("not local");
        };
        let outer = [
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_PROFILE", "dev"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ENDPOINT_URL_S3", "http://localhost"),
            ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE"),
            ("AWS_LAMBDA_EXEC_WRAPPER", "/outer"),
            ("_X_AMZN_TRACE_ID", "Root=1"),
            ("LANG", "C"),
            ("LC_ALL", "C.UTF-8"),
            ("LISTED", "yes"),
            ("LAMBDA_TASK_ROOT", "/outer"),
            ("OTHER", "no"),
            ("TMPDIR", "/outer"),
        ];
        let inherited = Inherited::from(
            outer
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter(),
        );
        let view = FileView::new(local, Level::Processes);
        let variables = variables(name, local, view, &inherited);
        let value = |key: &str| {
            variables
                .get(OsStr::new(key))
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(value("TZ"), Some("Asia/Tokyo"));
        assert_eq!(value("AWS_REGION"), Some("eu-west-1"));
        assert_eq!(value("AWS_PROFILE"), Some("dev"));
        assert_eq!(value("AWS_WEB_IDENTITY_TOKEN_FILE"), Some("/token"));
        assert_eq!(value("AWS_ENDPOINT_URL_S3"), Some("http://localhost"));
        assert_eq!(value("AWS_EXECUTION_ENV"), None);
        assert_eq!(value("AWS_LAMBDA_EXEC_WRAPPER"), None);
        assert_eq!(value("_X_AMZN_TRACE_ID"), None);
        assert_eq!(value("LANG"), Some(locale::default()), "C is not UTF-8");
        assert_eq!(value("LC_ALL"), Some("C.UTF-8"));
        assert_eq!(value("PATH"), Some("/usr/local/bin:/usr/bin:/bin:/opt/bin"));
        assert_eq!(value("LD_LIBRARY_PATH"), Some("/srv:/srv/lib:/opt/lib"));
        assert_eq!(value("AWS_XRAY_CONTEXT_MISSING"), Some("LOG_ERROR"));
        assert_eq!(value("AWS_XRAY_DAEMON_ADDRESS"), Some("127.0.0.1:2000"));
        assert_eq!(value("_AWS_XRAY_DAEMON_ADDRESS"), Some("127.0.0.1"));
        assert_eq!(value("_AWS_XRAY_DAEMON_PORT"), Some("2000"));
        assert_eq!(value("_HANDLER"), Some("app.handler"));
        assert_eq!(value("LAMBDA_TASK_ROOT"), Some("/srv"));
        assert_eq!(value("AWS_LAMBDA_FUNCTION_NAME"), Some("f"));
        assert_eq!(value("LISTED"), Some("yes"));
        assert_eq!(value("OTHER"), None);
        assert_eq!(value("ABSENT"), None);
        let all = inherited.visible(&InheritEnv::All);
        assert_eq!(value("TMPDIR"), None);
        assert_eq!(all.len(), outer.len() - 2, "all but LANG=C and TMPDIR");
        let of_extension = super::super::unreserved::extension_variables(&variables);
        assert!(of_extension.contains_key(OsStr::new("AWS_LAMBDA_FUNCTION_NAME")));
        assert!(!of_extension.contains_key(OsStr::new("_HANDLER")));
    }

    #[test]
    fn inherited_variables_win_over_those_that_aws_calls_unreserved() {
        let yaml =
            "functions: { f: { local: { command: [p], inherit_env: [LANG, LD_LIBRARY_PATH] } } }";
        let config = crate::config::Config::parse("i.yaml", yaml, Path::new("/srv")).unwrap();
        let (name, function) = config.functions.first_key_value().unwrap();
        let crate::config::BackendConfig::Local(local) = &function.backend else {
            panic!("not local");
        };
        let outer = [
            ("LANG", "C"),
            ("LD_LIBRARY_PATH", "/own"),
            ("PATH", "/opt/bin:/bin"),
            (
                "AWS_XRAY_DAEMON_ADDRESS",
                "tcp:127.0.0.1:2000 udp:127.0.0.1:2001",
            ),
        ];
        let outer = outer.map(|(name, value)| (name.into(), value.into()));
        let inherited = Inherited::from(outer.clone().into_iter());
        let view = FileView::new(local, Level::Processes);
        let variables = variables(name, local, view, &inherited);
        for (name, value) in &outer {
            assert_eq!(variables.get(name), Some(value), "{}", name.display());
        }
        assert!(!variables.contains_key(OsStr::new("_AWS_XRAY_DAEMON_PORT")));
    }

    #[test]
    fn a_log_stream_has_a_date_and_random_digits() {
        let stream = LogStream::new(UNIX_EPOCH + Duration::from_secs(86_400 * 365), "$LATEST");
        let (date, digits) = stream.variable().1.split_once("[$LATEST]").unwrap();
        assert_eq!((date, digits.len()), ("1971/01/01/", 32));
        assert!(stream.short().len() == 8 && digits.starts_with(stream.short()));
    }
}
