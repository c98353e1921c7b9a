//! Which program a function is, and which environment variables it sees.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::{InheritEnv, LocalConfig};
use crate::invocation::region;
use lambda_api::FunctionName;

/// What a function sees of the invoker's own environment: how to find programs and temporary
/// files, its language, and the AWS credentials and region that a developer works with.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_REGION",
];

/// The invoker's own environment, as far as functions may see it.
#[derive(Debug, Clone)]
pub(crate) struct Inherited {
    variables: BTreeMap<OsString, OsString>,
    /// The region of functions that run here.
    pub(crate) region: String,
}

impl Inherited {
    /// Takes the invoker's environment.
    pub(crate) fn from(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let variables: BTreeMap<_, _> = variables.collect();
        Self {
            region: region(|name| variables.get(OsStr::new(name)).cloned()),
            variables,
        }
    }

    /// What a function sees that inherits `more` than all functions do.
    fn visible(&self, more: &InheritEnv) -> BTreeMap<OsString, OsString> {
        let passes = |name: &OsStr| match more {
            InheritEnv::All => true,
            InheritEnv::Names(names) => {
                INHERITED.iter().any(|one| *one == name) || names.iter().any(|one| **one == *name)
            }
        };
        let visible = self.variables.iter().filter(|(name, _)| passes(name));
        visible
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// The variables of every execution environment of a function, `env` of its configuration over
/// Lambda's own over the inherited.
///
/// Source: "Defined runtime environment variables" in the AWS Lambda developer guide. As for
/// OS-only runtimes there is no `AWS_EXECUTION_ENV`; `_HANDLER` is the command's last word, as
/// with the Runtime Interface Emulator, and `bootstrap` without a command. `_X_AMZN_TRACE_ID` is
/// for the runtime to set, invocation by invocation.
pub(crate) fn variables(
    name: &FunctionName,
    config: &LocalConfig,
    inherited: &Inherited,
) -> BTreeMap<OsString, OsString> {
    let mut variables = inherited.visible(&config.inherit_env);
    let mut set = |key: &str, value: &OsStr| variables.insert(key.into(), value.into());
    let directory = config.directory.as_os_str();
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
    set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".as_ref());
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".as_ref());
    set(
        "AWS_LAMBDA_LOG_GROUP_NAME",
        format!("/aws/lambda/{name}").as_ref(),
    );
    set("LAMBDA_TASK_ROOT", directory);
    set("LAMBDA_RUNTIME_DIR", directory);
    set("TZ", ":UTC".as_ref());
    for (key, value) in &config.env {
        set(key, value.as_ref());
    }
    variables
}

const LOG_STREAM_NAME: &str = "AWS_LAMBDA_LOG_STREAM_NAME";

/// The log stream of one environment, by which Lambda tells environments apart:
/// `2026/11/21/[$LATEST]` and 32 random hex digits.
#[derive(Debug)]
pub(crate) struct LogStream(String);

impl LogStream {
    /// That of an environment that starts `now`.
    pub(crate) fn new(now: SystemTime) -> Self {
        let date = OffsetDateTime::from(now).date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let id = Uuid::new_v4().simple();
        Self(format!("{year}/{month:02}/{day:02}/[$LATEST]{id}"))
    }

    /// The environment variable with the whole name, by which the environment's processes are known
    /// wherever they go.
    pub(crate) fn variable(&self) -> (&'static str, &str) {
        (LOG_STREAM_NAME, &self.0)
    }

    /// The same as `NAME=VALUE`.
    pub(crate) fn entry(&self) -> String {
        format!("{LOG_STREAM_NAME}={}", self.0)
    }

    /// The first eight of its random digits: enough to tell environments apart in a log.
    pub(crate) fn short(&self) -> &str {
        let digits = self.0.rsplit(']').next().unwrap_or_default();
        digits.get(..8).unwrap_or(digits)
    }
}

/// A program cannot be run, in the words of the operating system.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("executable file not found in $PATH")]
    NotInPath,
    #[error("no such file or directory")]
    NotFound,
    /// It is a folder, or not executable.
    #[error("permission denied")]
    NotExecutable,
    #[error(transparent)]
    Io(io::Error),
}

/// The executable that `program` means: relative to `directory` if it has a slash, else in the
/// `PATH` of the function.
///
/// # Errors
/// There is none.
pub(crate) fn resolve(
    program: &str,
    directory: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    if program.contains('/') {
        let candidate = directory.join(program);
        return executable(&candidate).map(|()| candidate);
    }
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    folders
        .map(|folder| directory.join(folder).join(program))
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

    #[test]
    fn a_program_is_found_by_path_or_in_the_directory() {
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
    fn the_configuration_wins_over_lambda_s_variables_and_those_over_inherited_ones() {
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
            ("LISTED", "yes"),
            ("LAMBDA_TASK_ROOT", "/outer"),
            ("OTHER", "no"),
        ];
        let inherited = Inherited::from(
            outer
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter(),
        );
        let variables = variables(name, local, &inherited);
        let value = |key: &str| {
            variables
                .get(OsStr::new(key))
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(value("TZ"), Some("Asia/Tokyo"));
        assert_eq!(value("AWS_REGION"), Some("eu-west-1"));
        assert_eq!(value("AWS_PROFILE"), Some("dev"));
        assert_eq!(value("_HANDLER"), Some("app.handler"));
        assert_eq!(value("LAMBDA_TASK_ROOT"), Some("/srv"));
        assert_eq!(value("AWS_LAMBDA_FUNCTION_NAME"), Some("f"));
        assert_eq!(value("LISTED"), Some("yes"));
        assert_eq!(value("OTHER"), None);
        assert_eq!(value("ABSENT"), None);
        assert_eq!(inherited.visible(&InheritEnv::All).len(), outer.len());
    }

    #[test]
    fn a_log_stream_is_named_by_date_and_at_random() {
        let stream = LogStream::new(UNIX_EPOCH + Duration::from_secs(86_400 * 365));
        let (date, digits) = stream.variable().1.split_once("[$LATEST]").unwrap();
        assert_eq!((date, digits.len()), ("1971/01/01/", 32));
        assert!(stream.short().len() == 8 && digits.starts_with(stream.short()));
    }
}
