//! The invoker's configuration file, `invoker.yaml`.

mod aws;
pub(crate) mod decode;
mod functions;
mod import;
mod local;
mod pattern;
mod routes;
pub(crate) mod scalar;
mod schema;
mod tree;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use aws::region;
pub use aws::{AwsCall, AwsConfig, AwsFunction, Role};
pub use decode::{ConfigError, Problem};
pub(crate) use pattern::Form;
pub use pattern::{Host, PathPattern};
pub use routes::Route;
pub(crate) use scalar::endpoint;
pub use scalar::{Endpoint, HostPort, Listen, SocketMode};

use crate::invocation::FunctionName;

/// A configuration that can be served.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the Invoke API listens: `listen`, default `127.0.0.1:9090`.
    pub listen: Listen,
    /// Who may connect, if that is a Unix socket: `socket_mode`; by default what the umask leaves.
    pub socket_mode: Option<SocketMode>,
    /// Where the admin endpoints listen: `admin`, default `127.0.0.1:9091`.
    pub admin: HostPort,
    /// How long running invocations may take to finish once the invoker is to end:
    /// `drain_timeout`, default 10 s.
    pub drain_timeout: Duration,
    /// Most invocations on AWS at once, over all functions: `max_concurrency`. The default of 1000
    /// is what AWS gives a new account in each region.
    pub max_concurrency: usize,
    /// Where a function goes that is not listed: `aws`; without it such a one is unknown.
    pub aws: Option<AwsConfig>,
    /// How functions' output is written: `log_format`, default `text`.
    pub log_format: LogFormat,
    /// The functions by the name that callers use.
    pub functions: BTreeMap<FunctionName, FunctionConfig>,
    /// Which requests go to which function: `routes`, and behind them the events of imported
    /// functions. `envoy-config` makes an Envoy configuration of them; the invoker does not route.
    pub routes: Vec<Route>,
    /// What `import` did not understand, one sentence each, with its file and line.
    pub warnings: Vec<String>,
    /// The file it was read from, as the user named it, for messages.
    pub file: String,
}

/// How the lines that functions write appear on the invoker's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`: `FUNCTION/ENVIRONMENT | LINE`.
    Text,
    /// `json`: an object for each line, with `timestamp`, `function`, `environment` and `message`.
    Json,
}

/// One entry of `functions`.
#[derive(Debug, Clone)]
pub struct FunctionConfig {
    /// Most callers that wait while the function is busy: `queue`, default 100. One more gets 429.
    /// For functions behind the same emulator it counts all that wait for that emulator.
    pub queue: usize,
    /// `event`: asynchronous invocations.
    pub event: EventConfig,
    /// What runs the function.
    pub backend: BackendConfig,
}

/// How asynchronous invocations are run: `event`, not for functions on AWS, which has a queue itself.
#[derive(Debug, Clone)]
pub struct EventConfig {
    /// `queue`: most events that run, wait for their turn or wait to be tried again; default 1000.
    pub queue: usize,
    /// `maximum_retry_attempts`: how often a function that fails is called again, 0 to 2; default 2.
    pub maximum_retry_attempts: u32,
    /// `maximum_event_age`: the oldest event that is run, 1 s to 6 h; default 6 h.
    pub maximum_event_age: Duration,
    /// `retry_delay`: the time before the first further call, and half the time before the second;
    /// default 1 min, as on AWS.
    pub retry_delay: Duration,
    /// `on_failure`: a regular file that gets a line of JSON for each event that was given up;
    /// relative to the configuration file's directory.
    pub on_failure: Option<PathBuf>,
}

impl Default for EventConfig {
    fn default() -> Self {
        Self {
            queue: 1_000,
            maximum_retry_attempts: 2,
            maximum_event_age: Duration::from_secs(6 * 3_600),
            retry_delay: Duration::from_secs(60),
            on_failure: None,
        }
    }
}

/// What runs a function: exactly one of the keys `aws`, `rie`, `local`.
#[derive(Debug, Clone)]
pub enum BackendConfig {
    /// AWS Lambda. Its queue is that of [`AwsCall`].
    Aws(AwsFunction),
    /// A Runtime Interface Emulator.
    Rie(RieConfig),
    /// Processes that the invoker starts itself.
    Local(LocalConfig),
}

/// A function inside a Runtime Interface Emulator.
#[derive(Debug, Clone)]
pub struct RieConfig {
    /// `rie`: the emulator's address, written as `http://HOST[:PORT]`.
    pub address: HostPort,
    /// `timeout`: the longest that a caller waits for its answer, queue included; default 15 min.
    pub timeout: Duration,
}

/// A function that the invoker runs as processes of its own.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// `command`: the program and its arguments. A program with a slash is relative to
    /// `directory`; one without is looked up in `PATH`. Default `./bootstrap`, as on AWS.
    pub program: String,
    /// The rest of `command`.
    pub arguments: Vec<String>,
    /// `directory`: the working directory, relative to the configuration file's; default that.
    pub directory: PathBuf,
    /// `env`: variables of the function, over those that the invoker sets.
    pub env: BTreeMap<String, String>,
    /// `inherit_env`: what the function sees of the invoker's own environment besides what every
    /// function does; default nothing.
    pub inherit_env: InheritEnv,
    /// `timeout`: the time limit of one invocation; default 3 s, as on AWS.
    pub timeout: Duration,
    /// `init_timeout`: the time limit until the process asks for its first invocation; default
    /// 10 s, as on AWS.
    pub init_timeout: Duration,
    /// `memory` in MiB, default 128: what all processes of an environment may use together. It is
    /// told to the function too (`AWS_LAMBDA_FUNCTION_MEMORY_SIZE`).
    pub memory_mib: u32,
    /// `concurrency`: most execution environments, each a process, at once; default 10.
    pub concurrency: usize,
    /// `min_environments`: execution environments that are kept running, called or not; default 0.
    pub min_environments: usize,
    /// `idle_timeout`: how long an environment stays that nobody calls; default 10 min.
    pub idle_timeout: Duration,
    /// `watch`: files and folders whose changes have the function start anew; `true` is its
    /// `directory`, and the default is none.
    pub watch: Vec<PathBuf>,
    /// Line of `command`, or of the function, in the file, for messages.
    pub line: usize,
}

/// Which variables of the invoker's environment a function sees besides those that all do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InheritEnv {
    /// `true`: all.
    All,
    /// The ones with these names, as far as the invoker has them; `false` is an empty list.
    Names(Vec<String>),
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Every mistake in it, each with its line and key; or why the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path, "with --config")?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::parse(&path.display().to_string(), &text, directory)
    }

    /// Reads and checks the text of a file called `file` whose relative paths start at `directory`.
    ///
    /// # Errors
    /// Every mistake in it, each with its line and key.
    pub fn parse(file: &str, text: &str, directory: &Path) -> Result<Self, ConfigError> {
        decode_text(file, text, |value| schema::config(value, file, directory))
    }
}

/// The text of a configuration file. `how` the user names one: `with --config`.
pub(crate) fn read_text(path: &Path, how: &str) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let whole = |message: String| ConfigError::file(&file, None, message);
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => whole(format!("there is no such file; name one {how}")),
        ErrorKind::IsADirectory => whole(format!("this is a directory; name the file in it {how}")),
        _ => whole(format!("cannot be read: {error}")),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(valid);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        ConfigError::file(&file, Some(line), "not UTF-8; save the file as UTF-8")
    })
}

/// Reads the text of a file called `file`.
pub(crate) fn decode_text<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&decode::Value<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let root = tree::parse(text).map_err(|error| {
        ConfigError::file(
            file,
            Some(error.line),
            format!("not valid YAML: {}", error.message),
        )
    })?;
    decode::document(file, &root, read)
}
