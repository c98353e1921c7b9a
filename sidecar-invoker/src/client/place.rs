//! The place of an invocation: a running invoker, AWS, or an invoker that runs for one call.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hyper::Response;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{Call, CallError};
use crate::backend::aws::{Aws, CredentialsProblem};
use crate::config::yaml::decode::nearest;
use crate::config::yaml::scalar::{self, printable};
use crate::config::{
    BackendConfig, CallersConfig, Config, ConfigError, HostPort, InheritEnv, Listen,
};
use crate::invoke_api::body::{BoxError, ResponseBody};
use crate::metrics::Metrics;
use crate::server::{Options, ServeError, Server};
use lambda_api::FunctionReference;

/// The time for which an invoker has to accept a connection to count as running.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The place of an invocation.
pub(crate) enum Place {
    /// An invoker that runs already.
    Running(Listen),
    /// AWS, or another endpoint that takes signed requests.
    Remote(Box<Config>),
    /// An invoker in this process, for one call.
    OneCall(Box<Config>),
}

/// The error if there is no place for an invocation. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The URL is not that of an invoker.
    #[error(
        "--url {0}: expected http://HOST:PORT or unix:///PATH; for a signed call over TLS, add --remote"
    )]
    Url(String),
    /// The region, the endpoint or the role is not valid.
    #[error(transparent)]
    Remote(#[from] ConfigError),
    /// Nothing listens at the default address.
    #[error(
        "no invoker runs at http://{0}; start one with `sidecar-invoker serve --config FILE`, give --config \
         FILE to start the function for this call, --url URL for an invoker elsewhere, or --remote for AWS"
    )]
    NotRunning(HostPort),
    /// The configuration file has no such function.
    #[error(
        "{file}: there is no function `{function}`; {}",
        known_functions(.known, .nearest)
    )]
    UnknownFunction {
        /// The configuration file.
        file: String,
        /// The name of the function.
        function: String,
        /// The functions in the file.
        known: Vec<String>,
        /// The function that was probably meant.
        nearest: Option<String>,
    },
    /// Neither the options nor the AWS SDK know a region.
    #[error("no AWS region is known; give --region, or set AWS_REGION or the profile's region")]
    NoRegion,
    /// There are no credentials for AWS.
    #[error(transparent)]
    Credentials(#[from] CredentialsProblem),
    /// The invoker for one call cannot serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The folder of the Unix socket cannot be created.
    #[error("no temporary folder can be created: {0}; set TMPDIR to a folder that can be written")]
    Folder(io::Error),
    /// TLS for connections to AWS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

fn known_functions(known: &[String], nearest: &Option<String>) -> String {
    match (nearest, known) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, []) => "the file has no functions".to_owned(),
        (None, known) => format!("the file has {}", known.join(", ")),
    }
}

impl Place {
    /// Returns the invoker at `url`.
    ///
    /// # Errors
    /// [`PlaceError::Url`].
    pub(crate) fn at(url: &str) -> Result<Self, PlaceError> {
        let address = match scalar::emulator_url(url) {
            Some(address) => Some(Listen::Tcp(address)),
            None => url.parse().ok().filter(|_| url.starts_with("unix:")),
        };
        let address = address.ok_or_else(|| PlaceError::Url(url.to_owned()));
        address.map(Self::Running)
    }

    /// Returns the invoker at the default address.
    ///
    /// # Errors
    /// [`PlaceError::NotRunning`].
    pub(crate) async fn default_invoker() -> Result<Self, PlaceError> {
        let address = HostPort {
            host: "127.0.0.1".to_owned(),
            port: 9090,
        };
        let listen = Listen::Tcp(address.clone());
        match is_listening(&listen).await {
            true => Ok(Self::Running(listen)),
            false => Err(PlaceError::NotRunning(address)),
        }
    }

    /// Returns the invoker of a configuration file if it runs, and otherwise or with `start` an invoker for one
    /// call.
    ///
    /// # Errors
    /// [`PlaceError::UnknownFunction`].
    pub(crate) async fn of_config(
        config: Config,
        function: &FunctionReference,
        start: bool,
    ) -> Result<Self, PlaceError> {
        let name = function.name();
        if !config.functions.contains_key(name.as_str()) && config.aws.is_none() {
            let known: Vec<String> = config.functions.keys().map(ToString::to_string).collect();
            let texts: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(PlaceError::UnknownFunction {
                nearest: nearest(name.as_str(), &texts).map(str::to_owned),
                function: name.to_string(),
                file: config.file,
                known,
            });
        }
        if !start && is_listening(&config.listen).await {
            return Ok(Self::Running(config.listen));
        }
        Ok(Self::OneCall(Box::new(only(config, function))))
    }

    /// Returns AWS, or the endpoint at `url`.
    ///
    /// # Errors
    /// [`PlaceError::Remote`].
    pub(crate) fn remote(
        region: Option<&str>,
        url: Option<&str>,
        role_arn: Option<&str>,
    ) -> Result<Self, PlaceError> {
        let keys = [
            ("region", region),
            ("endpoint", url),
            ("role_arn", role_arn),
        ];
        let keys = keys
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let aws: BTreeMap<_, _> = keys.collect();
        // JSON is YAML.
        let text = serde_json::json!({ "aws": aws }).to_string();
        let config = Config::parse("--remote", &text, Path::new("."))?;
        Ok(Self::Remote(Box::new(config)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(address) => write!(out, "the running invoker at {}", shown(address)),
            Self::Remote(config) => {
                let call = config.aws.as_ref().map(|aws| &aws.call);
                match call.and_then(|call| call.endpoint.as_ref()) {
                    Some(endpoint) => write!(out, "{} with a signed call", endpoint.authority),
                    None => out.write_str("AWS Lambda"),
                }
            }
            Self::OneCall(config) => write!(
                out,
                "an invoker for this call only ({})",
                printable(&config.file)
            ),
        }
    }
}

/// Returns an address as a URL.
fn shown(address: &Listen) -> String {
    match address {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(_) => printable(&address.to_string()),
    }
}

async fn is_listening(address: &Listen) -> bool {
    let connected = async {
        match address {
            Listen::Tcp(address) => connect_tcp(address).await.is_ok(),
            Listen::Unix(path) => UnixStream::connect(path).await.is_ok(),
        }
    };
    timeout(PROBE_TIMEOUT, connected).await.unwrap_or(false)
}

async fn connect_tcp(address: &HostPort) -> io::Result<TcpStream> {
    TcpStream::connect((address.host.as_str(), address.port)).await
}

/// Returns the configuration without other functions. Only this process can reach its invoker, so nothing
/// says who may call.
fn only(mut config: Config, function: &FunctionReference) -> Config {
    config.functions.retain(|name, _| name == function.name());
    if let Some(CallersConfig::Known(known)) = config.callers.take() {
        let secrets: Vec<&str> = known.variables().collect();
        for function in config.functions.values_mut() {
            if let BackendConfig::Local(local) = &mut function.backend {
                hide(&secrets, &mut local.inherit_env);
            }
        }
    }
    config.socket_mode = None;
    config.admin = HostPort {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    config
}

/// Removes variables from those that a function inherits.
fn hide(secrets: &[&str], inherited: &mut InheritEnv) {
    let names = match inherited {
        InheritEnv::All => std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect(),
        InheritEnv::Names(names) => std::mem::take(names),
    };
    let names = names.into_iter();
    let kept = names.filter(|name| !secrets.contains(&name.as_str()));
    *inherited = InheritEnv::Names(kept.collect());
}

/// An open place.
pub(crate) enum Connection {
    /// An invoker.
    Invoker {
        address: Listen,
        /// The invoker in this process, if there is one.
        server: Option<RunningServer>,
    },
    /// AWS.
    Aws(Box<Aws>),
}

/// An invoker in this process. Its socket is in a temporary folder.
pub(crate) struct RunningServer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Place {
    /// Opens the place. `options` are those of an invoker in this process.
    ///
    /// # Errors
    /// Returns an error if the invoker cannot serve, or if there are no credentials.
    pub(crate) async fn open(self, options: Options) -> Result<Connection, PlaceError> {
        match self {
            Self::Running(address) => Ok(Connection::Invoker {
                address,
                server: None,
            }),
            Self::Remote(config) => load(&config, options.clock)
                .await
                .map(|aws| Connection::Aws(Box::new(aws))),
            Self::OneCall(config) => {
                let folder = tempfile::tempdir().map_err(PlaceError::Folder)?;
                serve(*config, folder, options).await
            }
        }
    }
}

async fn serve(
    mut config: Config,
    folder: tempfile::TempDir,
    options: Options,
) -> Result<Connection, PlaceError> {
    let socket: PathBuf = folder.path().join("invoker.sock");
    config.listen = Listen::Unix(socket.clone());
    let server = Server::bind(config, options).await?;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Ok(Connection::Invoker {
        address: Listen::Unix(socket),
        server: Some(RunningServer {
            stop,
            task,
            _folder: folder,
        }),
    })
}

/// Loads the credentials for functions on AWS.
async fn load(config: &Config, clock: fn() -> SystemTime) -> Result<Aws, PlaceError> {
    let metrics = Metrics::new(config);
    // The configuration has the block `aws`, so there is a value.
    let aws = Aws::new(config, &metrics, clock)?.ok_or(CredentialsProblem::Loading)?;
    aws.start(&TaskTracker::new(), &CancellationToken::new());
    match aws.check_unlisted().await {
        Some(Err(CredentialsProblem::NoRegion)) => Err(PlaceError::NoRegion),
        Some(Err(problem)) => Err(problem.into()),
        Some(Ok(())) | None => Ok(aws),
    }
}

impl Connection {
    /// Invokes a function.
    ///
    /// # Errors
    /// Returns an error if nobody responded.
    pub(crate) async fn invoke(&self, call: Call) -> Result<Response<ResponseBody>, CallError> {
        match self {
            Self::Invoker { address, .. } => {
                let failed = |error: BoxError| CallError::Invoker {
                    place: shown(address),
                    error,
                };
                match address {
                    Listen::Tcp(tcp) => match connect_tcp(tcp).await {
                        Ok(stream) => call.send(stream, &tcp.to_string()).await,
                        Err(error) => Err(error.into()),
                    },
                    Listen::Unix(path) => match UnixStream::connect(path).await {
                        Ok(stream) => call.send(stream, "localhost").await,
                        Err(error) => Err(error.into()),
                    },
                }
                .map_err(failed)
            }
            Self::Aws(aws) => call.send_to_aws(aws).await,
        }
    }

    /// Ends the invoker in this process, if there is one. Its queued events still run.
    pub(crate) async fn close(self) {
        if let Self::Invoker {
            server: Some(server),
            ..
        } = self
        {
            let _ = server.stop.send(());
            let _ = server.task.await;
        }
    }
}
