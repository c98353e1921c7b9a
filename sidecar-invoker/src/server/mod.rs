//! The invoker as a whole: from its configuration to its end.

mod admin;
mod first_byte;
mod ingress;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::Backends;
use crate::backend::local::{Cgroups, Context, Flushed, OrphanReaper, Output};
use crate::config::{BackendConfig, Config, FunctionConfig, HostPort, Listen};
use admin::Admin;
use first_byte::FirstByte;

use crate::metrics::Metrics;
use crate::net::listener::{BindError, Listener, bind_tcp, tcp_address};
use ingress::Ingress;

/// How long a connection may be silent before a request: as hyper's limit for a head.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Enough for an event of the size that the filter puts into a header (60 KiB), with the headers
/// that a client may send to Envoy (by default as many bytes).
const MAX_HEADER_BYTES: u32 = 256 * 1024;
/// As many headers as the filter takes of a client, with Envoy's own.
const MAX_HEADERS: usize = 1_024;
/// How long it may take to tell callers that the invoker ends.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long ended processes may take to disappear.
const REAP_LIMIT: Duration = Duration::from_secs(4);

/// What a server needs besides its configuration.
pub struct Options {
    /// Tells the time, for deadlines that functions are told and for trace ids.
    pub clock: fn() -> SystemTime,
    /// The program of which `guard` is a subcommand: `sidecar-invoker` itself. With it, no function outlives the invoker even
    /// if that is killed.
    pub orphan_reaper: Option<PathBuf>,
    /// Whether functions get control groups where they can be had.
    pub cgroups: bool,
}

/// The invoker cannot serve. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// One of its addresses cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The process that ends functions if the invoker is killed cannot be started.
    #[error("the guard process cannot be started: {0}")]
    OrphanReaper(std::io::Error),
    /// There is no TLS for calls of AWS.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// An invoker that listens and is about to serve.
pub struct Server {
    listener: Listener,
    admin_listener: TcpListener,
    ingress: Arc<Ingress>,
    admin: Arc<Admin>,
    backends: Arc<Backends>,
    context: Context,
    flushed: Flushed,
    drain_timeout: Duration,
}

impl Server {
    /// Listens on both addresses. Callers can connect from here on; [`run`](Self::run) serves them.
    ///
    /// # Errors
    /// An address is taken or cannot be listened on, or the guard cannot be started.
    pub async fn bind(config: Config, options: Options) -> Result<Self, ServeError> {
        let listener = Listener::bind(&config.listen, config.socket_mode).await?;
        let admin_listener = bind_tcp(&config.admin, "admin").await?;
        let orphan_reaper = options.orphan_reaper.as_deref().map(OrphanReaper::start);
        let orphan_reaper = orphan_reaper
            .transpose()
            .map_err(ServeError::OrphanReaper)?;
        let is_local =
            |function: &FunctionConfig| matches!(function.backend, BackendConfig::Local(_));
        let cgroups = match options.cgroups && config.functions.values().any(is_local) {
            true => Cgroups::make().map(Arc::new),
            false => None,
        };
        if let Some(cgroups) = &cgroups {
            tracing::debug!(
                "functions run in the control group {}",
                cgroups.folder().display()
            );
            if let Some(orphan_reaper) = &orphan_reaper {
                orphan_reaper.watch_cgroup(cgroups.folder()).await;
            }
        }
        let (output, flushed) = Output::to(std::io::stdout(), config.log_format, options.clock);
        let context = Context {
            orphan_reaper: orphan_reaper.map(Arc::new),
            cgroups,
            ..Context::new(options.clock, output)
        };

        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let metrics = Arc::new(Metrics::new(&config));
        let backends = Arc::new(Backends::new(&config, &metrics, context.clone())?);
        for obstacle in backends.missing_commands() {
            tracing::warn!("{obstacle}");
        }
        let ingress = Arc::new(Ingress {
            backends: Arc::clone(&backends),
            metrics: Arc::clone(&metrics),
        });
        let admin = Arc::new(Admin {
            backends: Arc::clone(&backends),
            metrics,
            is_shutting_down: AtomicBool::new(false),
        });
        Ok(Self {
            listener,
            admin_listener,
            ingress,
            admin,
            backends,
            context,
            flushed,
            drain_timeout: config.drain_timeout,
        })
    }

    /// Where the Invoke API is served.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn address(&self) -> std::io::Result<Listen> {
        self.listener.address()
    }

    /// Where the admin endpoints are served.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn admin_address(&self) -> std::io::Result<HostPort> {
        tcp_address(&self.admin_listener)
    }

    /// Serves until `shutdown`, then accepts no more, lets what runs, and events that are queued,
    /// finish for at most `drain_timeout`, ends every process it has started, and removes its Unix
    /// domain socket.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            listener,
            admin_listener,
            ingress,
            admin,
            backends,
            context,
            flushed,
            drain_timeout,
        } = self;
        backends.begin();
        let admin_server =
            tokio::spawn(Arc::clone(&admin).serve(admin_listener, HEADER_READ_TIMEOUT));
        let graceful = GracefulShutdown::new();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The timer lets hyper give up on a peer that never finishes its request's head.
        builder.http1().timer(TokioTimer::new());
        builder.http1().max_headers(MAX_HEADERS);
        // And on one that has gone without a word.
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new());
        http2.keep_alive_interval(Duration::from_secs(30));
        http2.max_header_list_size(MAX_HEADER_BYTES);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream,
                () = &mut shutdown => break,
            };
            let Some(stream) = stream else { continue };
            let stream = FirstByte::new(stream, HEADER_READ_TIMEOUT);
            while connections.try_join_next().is_some() {}
            let ingress = Arc::clone(&ingress);
            let service = service_fn(move |request| {
                let response = Arc::clone(&ingress).handle(request);
                async { Ok::<_, Infallible>(response.await) }
            });
            let connection = builder
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("a connection ended: {error}");
                }
            });
        }
        admin.is_shutting_down.store(true, Ordering::Relaxed);
        drop(listener);
        tracing::info!("ending: running invocations have {drain_timeout:?} to finish");
        let finished = async { tokio::join!(graceful.shutdown(), backends.drain()) };
        if timeout(drain_timeout, finished).await.is_err() {
            tracing::warn!("invocations that still run are given up");
        }
        backends.stop().await;
        let reaped = timeout(REAP_LIMIT, backends.ended());
        let goodbyes = timeout(GOODBYE_TIMEOUT, async {
            while connections.join_next().await.is_some() {}
        });
        let (reaped, (), _) = tokio::join!(reaped, backends.events_written(), goodbyes);
        if reaped.is_err() {
            tracing::warn!("a process that a function started still holds its output open");
        }
        connections.shutdown().await;
        admin_server.abort();
        let _ = admin_server.await;
        drop(admin);
        drop(ingress);
        drop(backends);
        let Context {
            output,
            orphan_reaper,
            ..
        } = context;
        if let Some(orphan_reaper) = orphan_reaper {
            orphan_reaper.end().await;
        }
        drop(output);
        flushed.wait().await;
    }
}
