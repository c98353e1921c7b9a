//! The content of a configuration file, in types that cannot be wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wildmatch::WildMatch;

use super::callers::{CallersConfig, SecretSource};
use super::pattern::Host;
use super::routes::Route;
use super::traces::TracesConfig;
use super::versions::Versions;
use super::yaml::scalar::{Endpoint, HostPort, Listen, SocketMode, StackName};
use lambda_api::{FunctionName, FunctionReference, Qualifier};

/// A configuration that can be served.
#[derive(Debug, Clone)]
pub struct Config {
    /// `listen`: the address of the Invoke API.
    pub listen: Listen,
    /// `socket_mode`: the permissions of the Unix socket in `listen`.
    pub socket_mode: Option<SocketMode>,
    /// `admin`: the address of the admin endpoints.
    pub admin: HostPort,
    /// `console`: the page that shows each invocation. `None` without the key.
    pub console: Option<ConsoleConfig>,
    /// `hosts`: names of the invoker besides `localhost`, by which programs on its machine call it.
    pub hosts: Vec<Host>,
    /// `callers`: the callers who may invoke functions. Without the block, everyone who can connect.
    pub callers: Option<CallersConfig>,
    /// `drain_timeout`: the time for running invocations to finish once the invoker is to end.
    pub drain_timeout: Duration,
    /// `max_concurrency`: most invocations on AWS at once, over all functions.
    pub max_concurrency: usize,
    /// `aws`: functions that are not listed. Without the block they are unknown.
    pub aws: Option<AwsConfig>,
    /// `log_format`: the form of the lines that functions write.
    pub log_format: LogFormat,
    /// `traces`: the export of spans. Without the block, environment variables may ask for it.
    pub traces: Option<TracesConfig>,
    /// The functions by the name that callers use.
    pub functions: BTreeMap<FunctionName, FunctionConfig>,
    /// `routes`, followed by the events of imported functions.
    pub routes: Vec<Route>,
    /// A sentence for each part of a template that `import` did not understand, with file and line.
    pub warnings: Vec<String>,
    /// The file as the user named it, for messages.
    pub file: String,
    /// The templates that `import` has read, and the files with definitions of their APIs.
    pub templates: Vec<PathBuf>,
}

impl Config {
    /// Returns the file with the secret by which the first filter of `callers` proves its calls.
    pub(crate) fn filter_secret_file(&self) -> Option<&Path> {
        let Some(CallersConfig::Known(known)) = &self.callers else {
            return None;
        };
        match known.filters.first()?.secrets.first()? {
            SecretSource::File(path) => Some(path),
            SecretSource::Env(_) => None,
        }
    }

    /// Returns whether the console is served.
    #[must_use]
    pub fn has_console(&self) -> bool {
        self.console.as_ref().is_some_and(|console| console.is_on)
    }

    /// Checks that only this machine can reach an address of the Invoke API, or that `callers` says who
    /// may call.
    ///
    /// # Errors
    /// Returns an error otherwise.
    pub fn check_exposure(&self, address: &Listen) -> Result<(), Exposed> {
        match self.callers.is_some() || is_private(address) {
            true => Ok(()),
            false => Err(Exposed {
                file: self.file.clone(),
                address: address.clone(),
            }),
        }
    }
}

/// The key `console`: the page that shows each invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// The page is served.
    pub is_on: bool,
    /// `token`: the place of the secret that a user of the page gives.
    pub token: Option<SecretSource>,
    /// `mask`: headers whose values are hidden, in lower case, besides those that always are.
    pub mask: Vec<String>,
    /// `invocations`: most invocations that are kept.
    pub invocations: usize,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            is_on: true,
            token: None,
            mask: Vec::new(),
            invocations: 500,
        }
    }
}

/// The values by which a user overrides those of the file for imported templates.
#[derive(Debug, Clone, Default)]
pub struct ImportOverrides {
    /// The name of the stack, `AWS::StackName`.
    pub stack_name: Option<StackName>,
    /// The values of parameters.
    pub parameters: BTreeMap<String, String>,
}

/// Returns whether only this machine can reach an address. A name other than `localhost` may stand for
/// any address.
fn is_private(address: &Listen) -> bool {
    match address {
        Listen::Unix(_) => true,
        Listen::Tcp(address) => match address.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => address.host.eq_ignore_ascii_case("localhost"),
        },
    }
}

/// The error if other machines can reach the Invoke API, and nothing says who may call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}: other machines can reach {address} (listen), and `callers` does not say who may call. Add \
     `callers: {{ filters: [{{ secrets: [\"env:LAMBDA_MESH_SECRET\"] }}] }}`, and set LAMBDA_MESH_SECRET to one \
     secret here and in Envoy (docs/operations.md); or listen on 127.0.0.1 or a Unix socket; or let everyone call with \
     `callers: {{ anyone: true }}`"
)]
pub struct Exposed {
    /// The configuration file, as the user named it.
    pub file: String,
    /// The address.
    pub address: Listen,
}

/// The form of the lines that functions write, on the invoker's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`: `FUNCTION/ENVIRONMENT | LINE`.
    Text,
    /// `json`: an object for each line, with `timestamp`, `function`, `environment` and `message`.
    Json,
}

/// An entry of `functions`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionConfig {
    /// Most callers that wait while the function is busy: `queue`, default 100. One more gets 429.
    /// For functions behind the same emulator it counts all that wait for that emulator.
    pub queue: usize,
    /// `event`: asynchronous invocations.
    pub event: EventConfig,
    /// `versions` and `aliases`; those of a function on AWS are AWS's.
    pub versions: Versions,
    /// The backend that runs the function.
    pub backend: BackendConfig,
}

/// The block `event`: asynchronous invocations. Functions on AWS have none, because AWS has a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The backend of a function: exactly one of the keys `aws`, `rie` and `local`.
#[derive(Debug, Clone, PartialEq)]
pub enum BackendConfig {
    /// AWS Lambda. Its queue is that of [`AwsCall`].
    Aws(AwsFunction),
    /// A Runtime Interface Emulator.
    Rie(RieConfig),
    /// Processes that the invoker starts itself.
    Local(LocalConfig),
}

/// A function inside a Runtime Interface Emulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RieConfig {
    /// `rie`: the emulator's address, written as `http://HOST[:PORT]`.
    pub address: HostPort,
    /// `timeout`: the longest that a caller waits for its answer, queue included; default 15 min.
    pub timeout: Duration,
}

/// A function that the invoker runs as processes of its own.
#[derive(Debug, Clone, PartialEq)]
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
    /// `env_file`: files with variables, over which those of `env` win. They are in `env` already.
    pub env_files: Vec<PathBuf>,
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
    /// `directory`. `None` if the file does not say; then `up` watches the directory.
    pub watch: Option<Vec<PathBuf>>,
    /// `watch_ignore`: patterns of files and folders that are not watched.
    pub watch_ignore: Vec<WildMatch>,
    /// `attach`: the address of a Runtime API for processes that somebody else starts. The invoker starts none.
    pub attach: Option<HostPort>,
    /// `build`: a command that is run in `directory` before environments start; empty for none.
    pub build: Vec<String>,
    /// `ephemeral_storage` in MiB: the size of `/tmp`; default 512, as on AWS.
    pub ephemeral_storage_mib: u32,
    /// `read_only`: makes `directory` read-only for the function, as on AWS; default false.
    pub read_only: bool,
    /// `layers`: directories that the function sees at `/opt`, a later one over an earlier one,
    /// relative to the configuration file's; always read-only. Without layers, `/opt` is the
    /// system's.
    pub layers: Vec<PathBuf>,
    /// `isolation`: the separation of execution environments; default `auto`.
    pub isolation: IsolationMode,
    /// Line of `command`, or of the function, in the file, for messages.
    pub line: usize,
}

/// The separation of the execution environments of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationMode {
    /// `auto`: as far as the system allows it.
    Auto,
    /// `none`: environments share `/tmp`, IPC and process numbers with the system.
    None,
}

/// The variables that pass from the invoker's environment, besides those that every function sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InheritEnv {
    /// `true`: all.
    All,
    /// The ones with these names, as far as the invoker has them; `false` is an empty list.
    Names(Vec<String>),
}

/// The keys of calls to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCall {
    /// `region`; without it that of a function's full ARN, else what the SDK finds.
    pub region: Option<String>,
    /// `endpoint`: whom to call instead of the region's own endpoint.
    pub endpoint: Option<Endpoint>,
    /// `role_arn`, `external_id` and `session_name`: the role to assume; none by default.
    pub role: Option<Role>,
    /// `max_concurrency`: most invocations of one function at once; without it only the limit over
    /// all functions holds, as on AWS for a function without reserved concurrency.
    pub max_concurrency: Option<usize>,
    /// `queue`: most callers of one function that wait for their turn; default 100.
    pub queue: usize,
    /// `queue_timeout`: the longest that a caller waits for its turn; default 10 s.
    pub queue_timeout: Duration,
    /// `timeout`: the time limit of a call, queue included; default 15 min.
    pub timeout: Duration,
    /// `retries`: how often an invocation that cannot have started is tried again; default 2.
    pub retries: u32,
}

impl Default for AwsCall {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            role: None,
            max_concurrency: None,
            queue: 100,
            queue_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(900),
            retries: 2,
        }
    }
}

/// A role that is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// `role_arn`.
    pub arn: String,
    /// `external_id`: what the role's owner may ask for.
    pub external_id: Option<String>,
    /// `session_name`: the name in the role owner's logs; default `lambda-mesh`.
    pub session_name: String,
}

/// The block `aws`: functions that are not listed.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsConfig {
    /// The keys of their calls, and the defaults of listed functions.
    pub call: AwsCall,
    /// `allow`: patterns of their bare names; default all.
    pub allow: Vec<WildMatch>,
    /// `deny`: patterns that win over `allow`.
    pub deny: Vec<WildMatch>,
}

impl AwsConfig {
    /// Returns whether callers may name a function that is not listed.
    pub fn allows(&self, name: &FunctionName) -> bool {
        let matches = |patterns: &[WildMatch]| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.matches(name.as_str()))
        };
        matches(&self.allow) && !matches(&self.deny)
    }
}

/// `functions.NAME.aws`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsFunction {
    /// `function`: the name on AWS, in any of its forms; default `NAME`.
    pub function: FunctionReference,
    /// `qualifier`, for callers who do not name one.
    pub qualifier: Option<Qualifier>,
    /// The keys of its calls.
    pub call: AwsCall,
}

/// The limits of `memory`, as Lambda has them.
pub(crate) const MEMORY_MIB: RangeInclusive<u32> = 128..=10_240;
/// The limits of `ephemeral_storage`, as Lambda has them.
pub(crate) const EPHEMERAL_STORAGE_MIB: RangeInclusive<u32> = 512..=10_240;
/// The maximum number of layers, as Lambda has it.
pub(crate) const MAX_LAYERS: usize = 5;
/// The limits of `concurrency`.
pub(crate) const CONCURRENCY: RangeInclusive<u32> = 1..=1_000;

/// The defaults of the keys of a local function.
#[derive(Debug)]
pub(crate) struct LocalDefaults {
    /// `None` is the file's own.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) memory_mib: u32,
    pub(crate) concurrency: u32,
    pub(crate) ephemeral_storage_mib: u32,
    pub(crate) layers: Vec<PathBuf>,
}

impl Default for LocalDefaults {
    fn default() -> Self {
        Self {
            directory: None,
            env: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory_mib: 128,
            concurrency: 10,
            ephemeral_storage_mib: *EPHEMERAL_STORAGE_MIB.start(),
            layers: Vec::new(),
        }
    }
}

/// Returns why a function can have no variable of this name.
pub(crate) fn check_variable_name(name: &str) -> Result<(), &'static str> {
    match name {
        "AWS_LAMBDA_RUNTIME_API" | "AWS_LAMBDA_LOG_STREAM_NAME" => {
            Err("is set by the invoker, for each execution environment; remove it")
        }
        name if name.is_empty() || name.contains(['=', '\0']) => {
            Err("the name of a variable is not empty and has neither = nor NUL")
        }
        _ => Ok(()),
    }
}
