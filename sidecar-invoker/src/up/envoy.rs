//! Envoy as a child process, and its admin interface.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
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

use super::error::RunError;

/// The longest wait for the end of Envoy after SIGTERM.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The statistics that count the configurations that Envoy has refused.
const REJECTED: [&str; 2] = [
    "listener_manager.lds.update_rejected",
    "cluster_manager.cds.update_rejected",
];
/// The interval at which Envoy is asked for its state.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Envoy as a child process. It has a process group of its own, so that Ctrl-C does not reach it.
pub(super) struct EnvoyProcess {
    pub(super) child: Child,
    pub(super) group: Option<Pid>,
    pub(super) admin: EnvoyAdmin,
}

impl EnvoyProcess {
    /// Starts Envoy with a configuration and further arguments. Its admin interface is on the socket `admin`.
    pub(super) fn start(
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
    pub(super) async fn end(&mut self) {
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
#[derive(Clone)]
pub(super) struct EnvoyAdmin(PathBuf);

impl EnvoyAdmin {
    /// Waits until Envoy serves requests, and calls `ready` with its address. Returns only if Envoy refuses
    /// its configuration.
    pub(super) async fn announce(&self, ready: impl FnOnce(SocketAddr)) -> RunError {
        loop {
            let listener = self.listener().await;
            // Envoy opens the listener also if it has refused the clusters, which it reads before.
            for rejected in REJECTED {
                if self.statistic(rejected).await.is_ok_and(|count| count > 0) {
                    return RunError::Rejected;
                }
            }
            if let Some(address) = listener {
                ready(address);
                return std::future::pending().await;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Closes the listeners, asks clients to close their connections, and waits until all requests have
    /// finished.
    pub(super) async fn drain(&self) {
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
        self.statistic("http.http.downstream_rq_active").await
    }

    /// Returns the value of a counter or gauge.
    pub(super) async fn statistic(&self, name: &str) -> io::Result<u64> {
        let path = format!("/stats?filter=^{name}$");
        let stats = self.request(Method::GET, &path).await?;
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
