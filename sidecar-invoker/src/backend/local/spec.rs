//! The description of a local function, from which its processes are started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::HeaderValue;
use rustix::process::Pid;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::log::writer::Output;
use super::process::cgroup::{Cgroup, Cgroups};
use super::process::command::{self, Inherited, LaunchError, LogStream, ProgramError};
use super::process::orphan_reaper::OrphanReaper;
use super::process::procfs::ProcessTable;
use super::process::wrapper::wrapped;
use crate::config::LocalConfig;
use lambda_api::{FunctionAddress, FunctionArn, FunctionName};

/// The resources that all local functions of an invoker share.
#[derive(Clone)]
pub(crate) struct LocalContext {
    pub(crate) clock: fn() -> SystemTime,
    /// The invoker's own environment variables.
    pub(crate) inherited: Arc<Inherited>,
    /// The destination of the functions' output.
    pub(crate) output: Output,
    /// Ends the processes of functions if the invoker cannot.
    pub(crate) orphan_reaper: Option<Arc<OrphanReaper>>,
    /// The control groups of environments, where the system allows them.
    pub(crate) cgroups: Option<Arc<Cgroups>>,
    /// The processes of the machine.
    pub(crate) process_table: Arc<ProcessTable>,
    /// Ends all environments.
    pub(crate) stop: CancellationToken,
    /// The tasks that the invoker waits for before it exits.
    pub(crate) tasks: TaskTracker,
}

impl LocalContext {
    /// Creates a context without an orphan reaper and without control groups.
    pub(crate) fn new(clock: fn() -> SystemTime, output: Output) -> Self {
        Self {
            clock,
            inherited: Arc::new(Inherited::from(std::env::vars_os())),
            output,
            orphan_reaper: None,
            cgroups: None,
            process_table: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }
}

/// The configuration of a local function, and everything that its processes are started with.
pub(crate) struct FunctionSpec {
    pub(crate) name: FunctionName,
    pub(crate) config: LocalConfig,
    pub(crate) context: LocalContext,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    arn: HeaderValue,
}

impl FunctionSpec {
    pub(crate) fn new(name: FunctionName, config: LocalConfig, context: LocalContext) -> Self {
        let variables = command::variables(&name, &config, &context.inherited);
        let arn = FunctionArn::outside_aws(&context.inherited.region, &name, None);
        let arn = arn_header(arn);
        Self {
            name,
            config,
            context,
            variables,
            arn,
        }
    }

    /// Finds the executable of the command.
    pub(crate) fn program(&self) -> Result<PathBuf, ProgramError> {
        let path = self
            .variables
            .get(OsStr::new("PATH"))
            .map(OsString::as_os_str);
        command::resolve(&self.config.program, &self.config.directory, path)
    }

    /// Returns the command that starts the runtime, which is `program` with the function's
    /// arguments. A program that `AWS_LAMBDA_EXEC_WRAPPER` names gets both as its arguments.
    ///
    /// # Errors
    /// There is no such wrapper.
    pub(crate) fn runtime_command(&self, program: PathBuf) -> Result<Command, LaunchError> {
        let arguments = &self.config.arguments;
        let wrapper = self.variables.get(OsStr::new("AWS_LAMBDA_EXEC_WRAPPER"));
        if let Some(wrapper) = wrapper.filter(|wrapper| !wrapper.is_empty()) {
            let command = (program, arguments.as_slice());
            return wrapped(wrapper, &self.config.directory, command, &self.handler());
        }
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(command)
    }

    /// Checks that the program of the command can be run, without running it.
    pub(crate) fn check_command(&self) -> Result<(), MissingProgram> {
        self.program().map(drop).map_err(|reason| MissingProgram {
            line: self.config.line,
            function: self.name.clone(),
            program: self.config.program.clone(),
            reason,
        })
    }

    /// Returns the value of `_HANDLER`.
    pub(crate) fn handler(&self) -> String {
        let handler = self.variables.get(OsStr::new("_HANDLER"));
        handler.map_or_else(String::new, |handler| {
            handler.to_string_lossy().into_owned()
        })
    }

    /// Returns the ARN under which a caller invoked the function.
    pub(crate) fn arn(&self, address: &FunctionAddress) -> HeaderValue {
        match address {
            // The usual case: a bare name.
            FunctionAddress {
                function,
                qualifier: None,
            } if function.as_str() == self.name.as_str() => self.arn.clone(),
            FunctionAddress {
                function,
                qualifier,
            } => {
                let region = &self.context.inherited.region;
                arn_header(FunctionArn::invoked(function, qualifier.as_ref(), region))
            }
        }
    }

    /// Waits until all environments have to end.
    pub(crate) async fn stopped(&self) {
        self.context.stop.cancelled().await;
    }

    /// Returns the time after `ahead`, in milliseconds since 1970.
    pub(crate) fn epoch_ms(&self, ahead: Duration) -> u128 {
        let now = (self.context.clock)().duration_since(UNIX_EPOCH);
        (now.unwrap_or_default() + ahead).as_millis()
    }

    /// Has the orphan reaper end the processes of an environment if the invoker cannot.
    pub(crate) async fn track_orphans(&self, environment: &LogStream, group: Option<Pid>) {
        if let Some(orphan_reaper) = &self.context.orphan_reaper {
            orphan_reaper.watch(&environment.entry(), group).await;
        }
    }

    /// Tells the orphan reaper that all processes of an environment have ended.
    pub(crate) async fn forget_orphans(&self, environment: &LogStream) {
        if let Some(orphan_reaper) = &self.context.orphan_reaper {
            orphan_reaper.forget(&environment.entry()).await;
        }
    }

    /// Creates a control group for an environment, where the system allows it.
    pub(crate) fn cgroup(&self) -> Option<Cgroup> {
        let cgroups = self.context.cgroups.as_ref()?;
        let made = cgroups.environment(u64::from(self.config.memory_mib) << 20);
        if let Err(error) = &made {
            tracing::debug!(function = %self.name, "no control group: {error}");
        }
        made.ok()
    }
}

/// The program of a function's command cannot be run. The text names the cure.
#[derive(Debug, thiserror::Error)]
#[error(
    "{line}: functions.{function}.local.command: {program}: {reason}; build it, install it or correct the command"
)]
pub(crate) struct MissingProgram {
    line: usize,
    function: FunctionName,
    program: String,
    reason: ProgramError,
}

fn arn_header(arn: FunctionArn<'_>) -> HeaderValue {
    HeaderValue::try_from(arn.to_string()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;
    use crate::config::{BackendConfig, Config, LogFormat};
    use crate::invocation::{Invocation, RequestId};
    use crate::util::lock;
    use lambda_api::{FunctionAddress, LogType, Operation};

    /// The output of functions, for a test.
    #[derive(Clone, Default)]
    pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&lock(&self.0)).into_owned()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the description of a function in Python with these keys.
    pub(crate) fn spec(keys: &str) -> FunctionSpec {
        spec_writing_to(io::sink(), keys)
    }

    /// Returns the description of a function in Python with these keys and this output.
    pub(crate) fn spec_writing_to(output: impl Write + Send + 'static, keys: &str) -> FunctionSpec {
        let command = format!(
            "[python3, {}/tests/fixtures/runtime.py]",
            env!("CARGO_MANIFEST_DIR")
        );
        let yaml = format!("functions: {{ f: {{ local: {{ command: {command}, {keys} }} }} }}");
        let config = Config::parse("invoker.yaml", &yaml, Path::new("/")).unwrap();
        let (name, config) = config.functions.into_iter().next().unwrap();
        let BackendConfig::Local(local) = config.backend else {
            panic!("not local");
        };
        let (output, _) = Output::to(output, LogFormat::Text, SystemTime::now);
        let context = LocalContext::new(SystemTime::now, output);
        FunctionSpec::new(name, local, context)
    }

    pub(crate) fn invocation(event: &serde_json::Value) -> Invocation {
        Invocation {
            request_id: RequestId::random(),
            operation: Operation::Invoke,
            log_type: LogType::None,
            address: FunctionAddress::parse("f", None).unwrap(),
            payload: Bytes::from(event.to_string()),
            trace_id: HeaderValue::from_static("Root=1"),
            client_context: None,
            tenant_id: None,
        }
    }
}
