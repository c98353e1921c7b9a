//! Envoy and the invoker in one command: started, watched and ended together.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::translate::Lrp;
use crate::backend::local::OrphanReaper;
use crate::config::{ConfigError, HostPort, Listen};
use crate::envoy_config::{Envoy, EnvoyConfigError, Filter};
use crate::server::{Options, ServeError, Server};

/// The longest time for which requests may finish at the shutdown. lrp has the same limit.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait for the end of Envoy after SIGTERM.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The error if Envoy or the invoker fails. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Creating a folder for temporary files failed.
    #[error(
        "no folder for sockets and Envoy's configuration: {0}; name a writable one with TMPDIR"
    )]
    Folder(io::Error),
    /// Starting Envoy failed.
    #[error("{envoy} cannot be started: {error}")]
    Start {
        /// The program.
        envoy: String,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The configuration of the invoker has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Creating the configuration of Envoy failed.
    #[error(transparent)]
    EnvoyConfig(#[from] EnvoyConfigError),
    /// The invoker cannot serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The operating system refuses an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The invoker panicked.
    #[error(transparent)]
    Panic(#[from] tokio::task::JoinError),
}

/// The reason why [`run`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// A signal asked for the shutdown.
    Signal,
    /// Envoy ended by itself with this exit code, which is 128 + N if signal N ended it.
    Envoy(u8),
}

/// Serves `lrp` until `signalled` completes, or until Envoy ends.
///
/// `ready` is called with Envoy's address once Envoy serves requests. Envoy gets `arguments` after its
/// own arguments. After the first signal, `signalled` is awaited once more: a second signal cuts off the
/// requests that still run.
///
/// # Errors
/// Returns an error if Envoy or the invoker cannot be started.
pub async fn run(
    lrp: &Lrp,
    (envoy, filter): (&Envoy, Filter),
    arguments: &[OsString],
    options: Options,
    ready: impl FnOnce(SocketAddr),
    mut signalled: impl AsyncFnMut(),
) -> Result<ExitReason, RunError> {
    let folder = tempfile::Builder::new().prefix("lambda-mesh-").tempdir();
    let folder = folder.map_err(RunError::Folder)?;
    let mut config = lrp.invoker()?;
    config.listen = Listen::Unix(folder.path().join("invoker.sock"));
    // Unused, because Envoy itself responds to health checks. The system chooses a free port.
    config.admin = HostPort {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    let admin = folder.path().join("envoy-admin.sock");
    let gateway = lrp.gateway(filter, config.listen.clone(), Listen::Unix(admin.clone()));
    let yaml = folder.path().join("envoy.yaml");
    std::fs::write(&yaml, gateway.render()?)?;

    let orphan_reaper = options.orphan_reaper.as_deref().map(OrphanReaper::start);
    let orphan_reaper = orphan_reaper.transpose()?;
    let server = Server::bind(config, options).await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let invoker = tokio::spawn(server.run(async move { stopped.cancelled().await }));

    // By this variable the orphan reaper knows Envoy, even before Envoy has a process group.
    let mark = folder.path().file_name().unwrap_or_default();
    let mark = ("LAMBDA_MESH_LRP", mark.to_string_lossy());
    let entry = format!("{}={}", mark.0, mark.1);
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, None).await;
    }
    let mut command = Command::new(envoy.path());
    command.env(mark.0, &*mark.1).arg("--config-path").arg(yaml);
    let mut envoy = EnvoyProcess::start(command, arguments, admin)?;
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, envoy.group).await;
    }
    let reason = tokio::select! {
        status = envoy.child.wait() => ExitReason::Envoy(code(status?)),
        never = envoy.admin.announce(ready) => match never {},
        () = signalled() => ExitReason::Signal,
    };
    if reason == ExitReason::Signal {
        tracing::info!("ending: running requests have {DRAIN_TIMEOUT:?} to finish");
        tokio::select! {
            _ = envoy.child.wait() => {}
            _ = timeout(DRAIN_TIMEOUT, envoy.admin.drain()) => {}
            () = signalled() => tracing::warn!("requests that still run are given up"),
        }
        envoy.end().await;
    }
    if let Some(orphan_reaper) = orphan_reaper {
        orphan_reaper.forget(&entry).await;
        orphan_reaper.end().await;
    }
    stop.cancel();
    invoker.await?;
    Ok(reason)
}

/// Envoy as a child process. It has a process group of its own, so that Ctrl-C does not reach it.
struct EnvoyProcess {
    child: Child,
    group: Option<Pid>,
    admin: EnvoyAdmin,
}

impl EnvoyProcess {
    fn start(
        mut command: Command,
        arguments: &[OsString],
        admin: PathBuf,
    ) -> Result<Self, RunError> {
        let child = command
            .args(["--disable-hot-restart", "--log-level", "warning"])
            .args(arguments)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| {
            let envoy = command.as_std().get_program().display().to_string();
            RunError::Start { envoy, error }
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            child,
            group: id.and_then(Pid::from_raw),
            admin: EnvoyAdmin(admin),
        })
    }

    /// Ends Envoy, and waits for its end.
    async fn end(&mut self) {
        // A child that has ended has no id.
        if let Some(pid) = self.group.filter(|_| self.child.id().is_some()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(EXIT_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Envoy's admin interface on a Unix socket. hyper-util's client supports only TCP, so each request has a
/// connection by hyper's low-level client.
struct EnvoyAdmin(PathBuf);

impl EnvoyAdmin {
    /// Waits until Envoy serves requests, and calls `ready` with its address. Never returns.
    async fn announce(&self, ready: impl FnOnce(SocketAddr)) -> Infallible {
        loop {
            if let Some(address) = self.listener().await {
                ready(address);
                return std::future::pending().await;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Closes the listeners, asks clients to close their connections, and waits until all requests have
    /// finished.
    async fn drain(&self) {
        let _ = self.request(Method::POST, "/healthcheck/fail").await;
        let _ = self.request(Method::POST, "/drain_listeners").await;
        while self.active_requests().await.is_ok_and(|count| count > 0) {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the address of the listener once Envoy serves requests.
    async fn listener(&self) -> Option<SocketAddr> {
        self.request(Method::GET, "/ready").await.ok()?;
        let listeners = "/listeners?format=json";
        let listeners = self.request(Method::GET, listeners).await.ok()?;
        let listeners: Value = serde_json::from_slice(&listeners).ok()?;
        let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
        let ip = address.get("address")?.as_str()?.parse().ok()?;
        let port = address.get("port_value")?.as_u64()?;
        Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
    }

    async fn active_requests(&self) -> io::Result<u64> {
        let path = "/stats?filter=^http.http.downstream_rq_active$";
        let stats = self.request(Method::GET, path).await?;
        let stats = String::from_utf8_lossy(&stats);
        let number = stats.trim().rsplit(' ').next().map(str::parse);
        number
            .and_then(Result::ok)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Sends a request, and returns the body of a response with status 200.
    async fn request(&self, method: Method, path: &str) -> io::Result<Bytes> {
        let exchange = async {
            let stream = TokioIo::new(UnixStream::connect(&self.0).await?);
            let (mut sender, connection) =
                http1::handshake(stream).await.map_err(io::Error::other)?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "envoy")
                .body(Empty::<Bytes>::new())
                .map_err(io::Error::other)?;
            let response = async move {
                let response = sender.send_request(request).await?;
                let is_ok = response.status() == 200;
                let body = response.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(is_ok.then_some(body))
            };
            // The connection ends once the sender is dropped, which is with the response.
            let (body, _) = tokio::join!(response, connection);
            body.map_err(io::Error::other)?
                .ok_or_else(|| io::ErrorKind::NotConnected.into())
        };
        timeout(ADMIN_TIMEOUT, exchange).await?
    }
}

/// Returns the exit code that a shell gives for this exit status.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
