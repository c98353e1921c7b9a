//! `sidecar-invoker up`.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::envoy::EnvoyArgs;
use super::error::CommandError;
use super::log;
use super::setup::{self, ImportArgs};
use super::signals::{Request as Signal, Signals};
use crate::backend::local::raise_open_files;
use crate::config::HostPort;
use crate::envoy_config::{Filter, Gateway, Tls, Tracing};
use crate::up::{
    self, Addresses, ExitReason, Mesh, Project, ProjectFiles, Request, Settings, certificate,
};
use lambda_api::FunctionName;

/// The arguments of `up`.
#[derive(clap::Args)]
pub(super) struct UpArgs {
    /// An invoker.yaml, a template of AWS SAM or CloudFormation, an lrp.yaml, or a folder with one of them
    /// or with the code of one function
    #[arg(value_name = "FILE", default_value = ".")]
    file: PathBuf,
    #[command(flatten)]
    import: ImportArgs,
    /// The port for HTTP requests; 0 is any free one [default: 8080, or that in the lrp.yaml]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The port of the Lambda API; 0 is any free one [default: that of `listen`, 9090]
    #[arg(long, value_name = "PORT")]
    invoker_port: Option<u16>,
    /// The port of /console/, /readyz and /metrics; 0 is any free one [default: that of `admin`, 9091]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Do without the console, the page that shows each request and its invocation
    #[arg(long)]
    no_console: bool,
    /// Let other machines send HTTP requests
    #[arg(long)]
    public: bool,
    /// Serve HTTPS, with a certificate for this machine, which is made and kept in the user's data folder
    #[arg(long)]
    tls: bool,
    /// Serve HTTPS with the certificate in this file, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Leave this function to a debugger: print how to start it under one, and lift its time limits
    #[arg(long, value_name = "FUNCTION")]
    debug: Option<FunctionName>,
    /// The port at which the function that is debugged asks for invocations
    #[arg(long, value_name = "PORT", default_value = "9001", requires = "debug")]
    debug_port: u16,
    #[command(flatten)]
    envoy: EnvoyArgs,
}

/// The error if the port for HTTP requests cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{address} cannot be used: {error}; choose another port with --port, or stop the process that holds it"
)]
struct PortError {
    address: SocketAddr,
    error: std::io::Error,
}

/// The arguments that Envoy gets in front of the user's.
const ENVOY_ARGUMENTS: [&str; 4] = [
    // The default shows a line of the access log after up to 10 s.
    "--file-flush-interval-msec",
    "200",
    // Its warnings are about servers on the internet, about being stopped, and about the sandbox of a module.
    "--component-log-level",
    "main:error,misc:error",
];

/// Serves until a signal, or until Envoy ends.
pub(super) fn run(args: UpArgs) -> Result<ExitCode, CommandError> {
    let started = Instant::now();
    let _log = log::to_stderr();
    raise_open_files();
    let project = Project::find(Some(&args.file))?;
    let (envoy, filter) = args.envoy.find()?;
    let up = Up {
        instructions: OnceCell::new(),
        tls: args.tls()?,
        filter,
        project,
        args,
    };
    let mesh = up.load()?;
    log::use_format(mesh.config.log_format);
    check_port(mesh.gateway.listen)?;
    let mut files = ProjectFiles::default();
    files.watch(up.project.files(&mesh.config));
    let arguments: Vec<OsString> = ENVOY_ARGUMENTS
        .iter()
        .map(Into::into)
        .chain(up.args.envoy.arguments.iter().cloned())
        .collect();
    let settings = Settings {
        envoy: &envoy,
        arguments: &arguments,
        is_private: false,
    };
    let printed = RefCell::new(String::new());
    let served = |gateway: &Gateway, addresses: &Addresses| {
        let name = up.project.path().display();
        let urls = up::urls(gateway, addresses.gateway);
        let before = printed.replace(urls.clone());
        if before == urls {
            return;
        }
        if !before.is_empty() {
            return say(&format!("\n{name} is served with other routes\n\n{urls}\n"));
        }
        say(&format!(
            "\n{name} is served (ready in {:.1} s); Ctrl-C ends it\n\n{urls}\n{}",
            started.elapsed().as_secs_f32(),
            up::other_addresses(addresses)
        ));
        if let Some(command) = up::example(gateway, addresses.gateway) {
            say(&format!("try it: {command}\n"));
        }
        if let Some(instructions) = up.instructions.get() {
            say(&format!("\n{instructions}"));
        }
    };
    let reason = setup::server_runtime()?.block_on(async {
        let mut signals = Signals::new().map_err(CommandError::failed)?;
        let next = async || {
            loop {
                tokio::select! {
                    signal = signals.recv() => if signal == Signal::Shutdown {
                        return Request::Shutdown;
                    },
                    () = files.changed() => {}
                }
                match up.load_again() {
                    Some(mesh) => {
                        files.watch(up.project.files(&mesh.config));
                        return Request::Replace(Box::new(mesh));
                    }
                    // The mistake may be in a file that was not read before.
                    None => files.watch_too(up.project.candidates()),
                }
            }
        };
        let reason = up::run(mesh, &settings, setup::server_options()?, served, next).await;
        reason.map_err(CommandError::failed)
    })?;
    match reason {
        ExitReason::Signal => Ok(ExitCode::SUCCESS),
        ExitReason::Envoy(code) => Err(CommandError::EnvoyEnded(code)),
    }
}

/// A project with the options of the command.
struct Up {
    /// The instructions to start the function that is debugged.
    instructions: OnceCell<String>,
    project: Project,
    filter: Filter,
    tls: Option<Tls>,
    args: UpArgs,
}

impl Up {
    /// Reads the project, and applies the options.
    fn load(&self) -> Result<Mesh, CommandError> {
        let Mesh {
            mut config,
            mut gateway,
        } = self
            .project
            .load(&self.filter, &self.args.import.overrides(), |config| {
                if let Some(name) = &self.args.debug {
                    let text = up::debug::prepare(config, name, self.args.debug_port)?;
                    self.instructions.get_or_init(|| text);
                }
                Ok(())
            })?;
        if let Some(port) = self.args.invoker_port {
            config.listen = up::with_port(&config.listen, port);
        }
        if let Some(port) = self.args.admin_port {
            config.admin = HostPort {
                port,
                ..config.admin
            };
        }
        config.console = match self.args.no_console {
            true => None,
            false => Some(config.console.unwrap_or_default()),
        };
        gateway.report_requests(config.has_console());
        config.check_exposure(&config.listen)?;
        gateway.listen = up::address(gateway.listen, self.args.port, self.args.public);
        gateway.tls = self.tls.clone();
        gateway.tracing = Tracing::of_file_and_environment(config.traces.as_ref());
        gateway.is_exclusive = true;
        Ok(Mesh { config, gateway })
    }

    /// Reads the project again. A file with mistakes changes nothing.
    fn load_again(&self) -> Option<Mesh> {
        match self.load() {
            Ok(mesh) => Some(mesh),
            Err(error) => {
                setup::log_mistakes(&error);
                None
            }
        }
    }
}

impl UpArgs {
    fn tls(&self) -> Result<Option<Tls>, CommandError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            _ if self.tls => {
                let tls = certificate::of_this_machine().map_err(CommandError::failed)?;
                say(&format!(
                    "HTTPS with the certificate {0}; clients have to trust it: curl --cacert {0}\n",
                    tls.certificate.display()
                ));
                Ok(Some(tls))
            }
            _ => Ok(None),
        }
    }
}

/// Checks that Envoy will be able to listen on an address.
fn check_port(address: SocketAddr) -> Result<(), CommandError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(CommandError::failed(PortError { address, error })),
    }
}

/// Prints to standard output. A closed output does not end the program.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
