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
use crate::envoy_config::{Envoy, EnvoyConfigError};
use crate::server::{Options, ServeError, Server};

/// How long running requests may take to finish once it is to end; lrp's own limit.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long Envoy may take to end after that.
const END_LIMIT: Duration = Duration::from_secs(5);
const ADMIN_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// Envoy or the invoker could not go on. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no folder for temporary files.
    #[error(
        "no folder for sockets and Envoy's configuration: {0}; name a writable one with TMPDIR"
    )]
    Folder(io::Error),
    /// Envoy cannot be started.
    #[error("{envoy} cannot be started: {error}")]
    Start {
        /// The program.
        envoy: String,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The invoker's own configuration has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Envoy's configuration cannot be made.
    #[error(transparent)]
    EnvoyConfig(#[from] EnvoyConfigError),
    /// The invoker cannot serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The operating system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The invoker has panicked.
    #[error(transparent)]
    Panic(#[from] tokio::task::JoinError),
}

/// How it came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Asked,
    /// Envoy ended by itself, with this exit code: 128 + N if signal N ended it.
    Envoy(u8),
}

/// Serves `lrp` until `end` says so: `end` is awaited a second time while running requests finish,
/// to cut that short. Envoy gets `arguments` besides its own; `ready` is called with Envoy's
/// address once requests are answered.
///
/// # Errors
/// Something cannot be started, or has ended before it served.
pub async fn run(
    lrp: &Lrp,
    (envoy, filter): (&Envoy, String),
    arguments: &[OsString],
    options: Options,
    ready: impl FnOnce(SocketAddr),
    mut end: impl AsyncFnMut(),
) -> Result<Ended, RunError> {
    let folder = tempfile::Builder::new().prefix("lambda-mesh-").tempdir();
    let folder = folder.map_err(RunError::Folder)?;
    let mut config = lrp.invoker()?;
    config.listen = Listen::Unix(folder.path().join("invoker.sock"));
    // Nobody asks it: Envoy answers the health checks. The system chooses a free port.
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

    // By this the guard knows Envoy, even before it has a process group.
    let mark = folder.path().file_name().unwrap_or_default();
    let mark = ("LAMBDA_MESH_LRP", mark.to_string_lossy());
    let entry = format!("{}={}", mark.0, mark.1);
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, None).await;
    }
    let mut command = Command::new(envoy.path());
    command.env(mark.0, &*mark.1).arg("--config-path").arg(yaml);
    let mut envoy = Running::start(command, arguments, admin)?;
    if let Some(orphan_reaper) = &orphan_reaper {
        orphan_reaper.watch(&entry, envoy.group).await;
    }
    let ended = tokio::select! {
        status = envoy.child.wait() => Ended::Envoy(code(status?)),
        never = envoy.admin.serve(ready) => match never {},
        () = end() => Ended::Asked,
    };
    if ended == Ended::Asked {
        tracing::info!("ending: running requests have {DRAIN_LIMIT:?} to finish");
        tokio::select! {
            _ = envoy.child.wait() => {}
            _ = timeout(DRAIN_LIMIT, envoy.admin.drain()) => {}
            () = end() => tracing::warn!("requests that still run are given up"),
        }
        envoy.end().await;
    }
    if let Some(orphan_reaper) = orphan_reaper {
        orphan_reaper.forget(&entry).await;
        orphan_reaper.end().await;
    }
    stop.cancel();
    invoker.await?;
    Ok(ended)
}

/// Envoy as a child process, in a process group of its own: a Ctrl-C does not reach it.
struct Running {
    child: Child,
    group: Option<Pid>,
    admin: Admin,
}

impl Running {
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
            admin: Admin(admin),
        })
    }

    /// Ends it, and waits for that.
    async fn end(&mut self) {
        // One that has ended has no id any more.
        if let Some(pid) = self.group.filter(|_| self.child.id().is_some()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(END_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Envoy's admin interface on a Unix socket.
struct Admin(PathBuf);

impl Admin {
    /// Waits until requests are answered, tells where, and stays so.
    async fn serve(&self, ready: impl FnOnce(SocketAddr)) -> Infallible {
        loop {
            if let Some(address) = self.listener().await {
                ready(address);
                return std::future::pending().await;
            }
            sleep(POLL).await;
        }
    }

    /// Accepts no more connections, asks clients to close theirs, and waits until no request runs.
    async fn drain(&self) {
        let _ = self.ask(Method::POST, "/healthcheck/fail").await;
        let _ = self.ask(Method::POST, "/drain_listeners").await;
        while self.running().await.is_ok_and(|running| running > 0) {
            sleep(POLL).await;
        }
    }

    async fn listener(&self) -> Option<SocketAddr> {
        self.ask(Method::GET, "/ready").await.ok()?;
        let listeners = self.ask(Method::GET, "/listeners?format=json").await.ok()?;
        let listeners: Value = serde_json::from_slice(&listeners).ok()?;
        let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
        let ip = address.get("address")?.as_str()?.parse().ok()?;
        let port = address.get("port_value")?.as_u64()?;
        Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
    }

    async fn running(&self) -> io::Result<u64> {
        let path = "/stats?filter=^http.http.downstream_rq_active$";
        let stats = self.ask(Method::GET, path).await?;
        let stats = String::from_utf8_lossy(&stats);
        let number = stats.trim().rsplit(' ').next().map(str::parse);
        number
            .and_then(Result::ok)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The body of an answer with status 200.
    async fn ask(&self, method: Method, path: &str) -> io::Result<Bytes> {
        let asked = async {
            let stream = TokioIo::new(UnixStream::connect(&self.0).await?);
            let (mut sender, connection) =
                http1::handshake(stream).await.map_err(io::Error::other)?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "envoy")
                .body(Empty::<Bytes>::new())
                .map_err(io::Error::other)?;
            let answer = async move {
                let answer = sender.send_request(request).await?;
                let is_ok = answer.status() == 200;
                let body = answer.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(is_ok.then_some(body))
            };
            // The connection ends when the sender does, with the answer.
            let (answer, _) = tokio::join!(answer, connection);
            answer
                .map_err(io::Error::other)?
                .ok_or_else(|| io::ErrorKind::NotConnected.into())
        };
        timeout(ADMIN_LIMIT, asked).await?
    }
}

/// An exit status as a shell gives it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
