//! The description of a local function, from which its processes are started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
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
use super::process::file_view::FileView;
use super::process::interpreter::{self, InterpreterError};
use super::process::isolation::{Isolation, Level};
use super::process::orphan_reaper::OrphanReaper;
use super::process::procfs::ProcessTable;
use super::process::python_module::{self, MissingModule};
use super::process::wrapper::wrapped;
use crate::config::{IsolationMode, LocalConfig};
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
    /// Keeps environments apart, as far as the system allows it.
    pub(crate) isolation: Option<Arc<Isolation>>,
    /// The processes of the machine.
    pub(crate) process_table: Arc<ProcessTable>,
    /// Ends all environments.
    pub(crate) stop: CancellationToken,
    /// The tasks that the invoker waits for before it exits.
    pub(crate) tasks: TaskTracker,
}

impl LocalContext {
    /// Creates a context without an orphan reaper, control groups and isolation.
    pub(crate) fn new(clock: fn() -> SystemTime, output: Output) -> Self {
        Self {
            clock,
            inherited: Arc::new(Inherited::from(std::env::vars_os())),
            output,
            orphan_reaper: None,
            cgroups: None,
            isolation: None,
            process_table: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Keeps variables of the invoker's own environment from every function, whatever it inherits.
    pub(crate) fn without_variables(mut self, names: &[String]) -> Self {
        let variables = std::env::vars_os();
        let kept = variables.filter(|(name, _)| !names.iter().any(|hidden| **hidden == **name));
        self.inherited = Arc::new(Inherited::from(kept));
        self
    }
}

/// The configuration of a local function, and everything that its processes are started with.
pub(crate) struct FunctionSpec {
    pub(crate) name: FunctionName,
    pub(crate) config: LocalConfig,
    /// The isolation of its environments.
    pub(crate) level: Level,
    pub(crate) context: LocalContext,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    arn: HeaderValue,
}

impl FunctionSpec {
    pub(crate) fn new(name: FunctionName, config: LocalConfig, context: LocalContext) -> Self {
        let level = match (config.isolation, &context.isolation) {
            (IsolationMode::Auto, Some(isolation)) => isolation.level,
            _ => Level::Processes,
        };
        let view = FileView::new(&config, level);
        let variables = command::variables(&name, &config, view, &context.inherited);
        let arn = FunctionArn::outside_aws(&context.inherited.region, &name, None);
        let arn = arn_header(arn);
        Self {
            name,
            config,
            level,
            context,
            variables,
            arn,
        }
    }

    /// Returns the function's files and their paths.
    pub(crate) fn view(&self) -> FileView<'_> {
        FileView::new(&self.config, self.level)
    }

    /// Finds the executable of the command, at the path at which the function sees it.
    pub(crate) fn program(&self) -> Result<PathBuf, ProgramError> {
        let path = self
            .variables
            .get(OsStr::new("PATH"))
            .map(OsString::as_os_str);
        self.resolve(&self.config.program, path)
    }

    /// Returns the path of that executable on this machine.
    pub(crate) fn program_file(&self) -> Option<PathBuf> {
        Some(self.view().on_machine(&self.program().ok()?))
    }

    /// Finds the executable that `AWS_LAMBDA_EXEC_WRAPPER` names, at the path at which the function sees
    /// it. Returns `None` if the variable is not set.
    fn wrapper(&self) -> Option<Result<PathBuf, LaunchError>> {
        let wrapper = self.variables.get(OsStr::new("AWS_LAMBDA_EXEC_WRAPPER"));
        let wrapper = wrapper.filter(|wrapper| !wrapper.is_empty())?;
        let wrapper = wrapper.to_string_lossy();
        // A wrapper without a slash is a file in the function's directory, too.
        let path = Path::new(".").join(&*wrapper);
        let found = self.resolve(&path.to_string_lossy(), None);
        Some(found.map_err(|reason| LaunchError::Wrapper {
            wrapper: wrapper.into_owned(),
            reason,
        }))
    }

    /// Returns the path of that executable on this machine.
    pub(crate) fn wrapper_file(&self) -> Option<PathBuf> {
        Some(self.view().on_machine(&self.wrapper()?.ok()?))
    }

    fn resolve(&self, program: &str, path: Option<&OsStr>) -> Result<PathBuf, ProgramError> {
        let view = self.view();
        let file = |path: &Path| view.on_machine(path);
        let found = command::resolve(program, &self.config.directory, path, file)?;
        self.check_interpreter(&found)?;
        let seen = view.in_environment(&found);
        match view.is_hidden(&seen) {
            true => Err(ProgramError::NotInLayers(seen)),
            false => Ok(seen),
        }
    }

    /// Checks that the interpreter of a program exists.
    pub(crate) fn check_interpreter(&self, program: &Path) -> Result<(), InterpreterError> {
        let path = self.variables.get(OsStr::new("PATH"));
        let path = path.map(OsString::as_os_str);
        let file = |path: &Path| self.view().on_machine(path);
        interpreter::check(program, &self.config.directory, path, file)
    }

    /// Returns the command that starts the runtime, which is `program` with the function's
    /// arguments. A program that `AWS_LAMBDA_EXEC_WRAPPER` names gets both as its arguments.
    ///
    /// # Errors
    /// There is no such wrapper.
    pub(crate) fn runtime_command(&self, program: PathBuf) -> Result<Command, LaunchError> {
        if let Some(found) = self.wrapper() {
            let command = (program, self.config.arguments.as_slice());
            return Ok(wrapped(found?, command, &self.handler()));
        }
        let mut command = Command::new(program);
        command.args(&self.config.arguments);
        Ok(command)
    }

    /// Checks that the program of the command can be run, without running it.
    pub(crate) fn check_command(&self) -> Result<(), UnusableCommand> {
        let checked = self.program().map(drop);
        checked.map_err(|reason| {
            self.unusable(ProgramOrModule::Program {
                program: self.config.program.clone(),
                reason,
            })
        })
    }

    /// Checks that a Python interpreter has the module of the command, by asking the interpreter.
    pub(crate) async fn check_module(&self) -> Result<(), UnusableCommand> {
        let Some(program) = self.program_file() else {
            return Ok(());
        };
        let checked = python_module::check(&self.config, &program, self.variables.iter()).await;
        checked.map_err(|missing| self.unusable(ProgramOrModule::Module(missing)))
    }

    fn unusable(&self, problem: ProgramOrModule) -> UnusableCommand {
        UnusableCommand {
            line: self.config.line,
            function: self.name.clone(),
            problem,
        }
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
        if self.context.isolation.is_some() && !cgroups.limit_memory() {
            // An init already ends all processes. The kernel takes ten milliseconds and more to move a
            // process into a group, and starts no other process meanwhile.
            return None;
        }
        let memory = u64::from(self.config.memory_mib) << 20;
        // The kernel counts the files in an environment's own `/tmp` and `/dev/shm` too.
        let files = match self.level.has_mounts() {
            true => (u64::from(self.config.ephemeral_storage_mib) << 20) + memory,
            false => 0,
        };
        let made = cgroups.environment(memory + files);
        if let Err(error) = &made {
            tracing::debug!(function = %self.name, "no control group: {error}");
        }
        made.ok()
    }
}

/// A function's command cannot be run. The text names the cure.
#[derive(Debug, thiserror::Error)]
#[error("{line}: functions.{function}.local.command: {problem}")]
pub(crate) struct UnusableCommand {
    line: usize,
    function: FunctionName,
    problem: ProgramOrModule,
}

/// The part of a command that is missing.
#[derive(Debug, thiserror::Error)]
enum ProgramOrModule {
    #[error("{program}: {reason}{}", .reason.cure())]
    Program {
        program: String,
        reason: ProgramError,
    },
    #[error(transparent)]
    Module(MissingModule),
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
    use crate::invocation::{Invocation, RequestId, Timeline};
    use crate::util::lock;
    use lambda_api::{FunctionAddress, LogType, Operation, Qualifier};

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
            version: Qualifier::latest(),
            payload: Bytes::from(event.to_string()),
            trace_id: HeaderValue::from_static("Root=1"),
            client_context: None,
            tenant_id: None,
            timeline: Arc::new(Timeline::begin(false)),
        }
    }
}
