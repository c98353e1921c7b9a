//! The server as a whole: from the configuration to the shutdown.

mod activity;
mod admin;
mod error;
mod first_byte_timeout;
mod ingress;
mod options;
mod processes;
mod reload;
mod stream_task;
mod web_pages;
mod write_timeout;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::Backends;
use crate::backend::local::{Flushed, LocalContext, Output};
use crate::callers::{Callers, read_secret};
use crate::config::{CallersConfig, Config, HostPort, Listen, SecretSource};
use crate::console::Console;
use crate::metrics::Metrics;
use crate::net::listener::{Listener, bind_tcp, tcp_address};
use crate::observation::Observer;
use crate::recorder::Recorder;
use crate::traces::{Exporter, Sampler, Settings, Tracer};
pub use error::ServeError;
pub use options::{FunctionOutput, Options};
pub(crate) use reload::Reloader;

use activity::Activity;
use admin::Admin;
use first_byte_timeout::FirstByteTimeout;
use ingress::Ingress;
use processes::Means;
use stream_task::{SentBody, StreamExecutor};
use web_pages::WebPages;
use write_timeout::WriteTimeout;

/// The longest silence on a connection before a request. hyper has the same limit for a request head.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum size of headers: room for the event that the filter puts into a header (60 KiB), and for
/// the headers that Envoy accepts from a client (another 60 KiB by default).
const MAX_HEADER_BYTES: u32 = 256 * 1024;
/// The maximum number of headers: those that the filter accepts from a client, and Envoy's own.
const MAX_HEADERS: usize = 1_024;
/// The longest time for which a client takes nothing of what it gets. nginx and others have the same limit.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time to announce the shutdown on open connections.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest wait for the end of processes that were told to end.
const REAP_TIMEOUT: Duration = Duration::from_secs(4);

/// A server that listens and does not serve yet.
pub struct Server {
    listener: Listener,
    admin_listener: TcpListener,
    ingress: Arc<Ingress>,
    admin: Arc<Admin>,
    backends: Arc<Backends>,
    reloader: Arc<Reloader>,
    flushed: Flushed,
    exporter: Option<Exporter>,
    drain_timeout: Duration,
}

impl Server {
    /// Listens on both addresses. Callers can connect from now on, and wait until
    /// [`run`](Self::run) serves them.
    ///
    /// # Errors
    /// Returns an error if listening on an address fails, if the orphan reaper does not start, or if
    /// TLS cannot be set up.
    pub async fn bind(config: Config, options: Options) -> Result<Self, ServeError> {
        config.check_exposure(&config.listen)?;
        let listener = Listener::bind(&config.listen, config.socket_mode).await?;
        // A name such as `localhost` may stand for any address.
        config.check_exposure(&listener.address().map_err(ServeError::Address)?)?;
        let (callers, mut hidden) = match &config.callers {
            Some(CallersConfig::Known(known)) => {
                let callers = Callers::new(known.clone(), options.clock)?;
                let hidden: Vec<_> = known.variables().map(str::to_owned).collect();
                (Some(Arc::new(callers)), hidden)
            }
            Some(CallersConfig::Anyone) | None => (None, Vec::new()),
        };
        let console = config.console.as_ref().filter(|console| console.is_on);
        if let Some(SecretSource::Env(name)) = console.and_then(|console| console.token.as_ref()) {
            hidden.push(name.clone());
        }
        let admin_listener = bind_tcp(&config.admin, "admin").await?;
        let means = Means::of(&options);
        let sink = options.output.open();
        let (output, flushed) = Output::to(sink, config.log_format, options.clock);
        let output = output.coloured(options.output.has_colours());
        let context = LocalContext::new(options.clock, output).without_variables(&hidden);
        let context = means.add_to(context, &config).await?;

        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let metrics = Arc::new(Metrics::new(&config));
        let exporter = export(&config, &metrics)?;
        let tracer = match &exporter {
            Some((sampler, exporter)) => Tracer::new(options.clock, *sampler, exporter),
            None => Tracer::without_spans(options.clock),
        };
        let recorder = console.map(|console| Recorder::new(console.invocations, options.clock));
        let observer = Observer::new(Arc::clone(&metrics), tracer, recorder.clone());
        let backends = Arc::new(Backends::new(&config, &observer, context)?);
        for problem in backends.missing_commands() {
            tracing::warn!("{problem}");
        }
        let web_pages = WebPages::new(config.hosts.clone());
        let ingress = Arc::new(Ingress {
            backends: Arc::clone(&backends),
            observer,
            callers,
            web_pages: web_pages.clone(),
        });
        let console = match (console, recorder) {
            (Some(config), Some(recorder)) => {
                let token = config.token.as_ref().map(read_secret).transpose();
                let token = token.map_err(ServeError::ConsoleToken)?;
                let replayer = Arc::clone(&ingress);
                let backends = Arc::clone(&backends);
                Some(Console::new(
                    recorder,
                    (backends, Arc::clone(&metrics)),
                    (token, &config.mask),
                    Box::new(move |record, replay| replayer.replay(&record, replay)),
                    options.clock,
                ))
            }
            _ => None,
        };
        let admin = Arc::new(Admin {
            backends: Arc::clone(&backends),
            metrics,
            web_pages,
            console,
            dropped_log_lines: options.dropped_log_lines,
            is_shutting_down: AtomicBool::new(false),
        });
        Ok(Self {
            listener,
            admin_listener,
            ingress,
            admin,
            reloader: Arc::new(Reloader::new(Arc::clone(&backends), means, &config)),
            backends,
            flushed,
            exporter: exporter.map(|(_, exporter)| exporter),
            drain_timeout: config.drain_timeout,
        })
    }

    /// Returns the handle by which the configuration of the running server is replaced.
    pub(crate) fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Returns the address of the Invoke API.
    ///
    /// # Errors
    /// Returns an error if the operating system does not know the address.
    pub fn address(&self) -> std::io::Result<Listen> {
        self.listener.address()
    }

    /// Returns the address of the admin endpoints.
    ///
    /// # Errors
    /// Returns an error if the operating system does not know the address.
    pub fn admin_address(&self) -> std::io::Result<HostPort> {
        tcp_address(&self.admin_listener)
    }

    /// Serves until `shutdown` completes, then shuts down.
    ///
    /// A shutdown accepts no new connections. Invocations in progress and queued events have
    /// `drain_timeout` to finish. Then all processes of functions end, and the file of the Unix
    /// domain socket is removed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            listener,
            admin_listener,
            ingress,
            admin,
            backends,
            reloader,
            flushed,
            exporter,
            drain_timeout,
        } = self;
        backends.begin();
        if let Some(callers) = &ingress.callers {
            let LocalContext { stop, tasks, .. } = backends.context();
            tasks.spawn(Arc::clone(callers).refresh(stop));
        }
        let admin_server =
            tokio::spawn(Arc::clone(&admin).serve(admin_listener, HEADER_READ_TIMEOUT));
        let graceful = GracefulShutdown::new();
        let mut builder = auto::Builder::new(StreamExecutor {
            limit: WRITE_TIMEOUT,
        });
        // With a timer, hyper gives up on a peer that does not finish its request head.
        builder.http1().timer(TokioTimer::new());
        builder.http1().max_headers(MAX_HEADERS);
        // The pings detect a peer that has vanished.
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new());
        http2.keep_alive_interval(Duration::from_secs(30));
        http2.max_header_list_size(MAX_HEADER_BYTES);
        let mut connections = JoinSet::new();
        let no_room = Arc::new(Notify::new());
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let (stream, interface) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if error.is_lack_of_files() {
                        no_room.notify_waiters();
                    }
                    continue;
                }
            };
            let activity = Activity::new();
            let stream = WriteTimeout::new(stream, WRITE_TIMEOUT, Arc::clone(&activity));
            let stream = FirstByteTimeout::new(stream, HEADER_READ_TIMEOUT);
            while connections.try_join_next().is_some() {}
            let ingress = Arc::clone(&ingress);
            let requests = Arc::clone(&activity);
            let service = service_fn(move |request| {
                let exchange = requests.begin();
                let response = Arc::clone(&ingress).handle(request, interface);
                async {
                    let (response, observation) = response.await;
                    let sent = |body| SentBody::new(body, exchange, observation);
                    Ok::<_, Infallible>(response.map(sent))
                }
            });
            let connection = builder
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            let connection = graceful.watch(connection);
            let no_room = Arc::clone(&no_room);
            connections.spawn(async move {
                let closed = async {
                    loop {
                        no_room.notified().await;
                        if activity.is_idle() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!("a connection ended: {error}");
                    },
                    () = closed => tracing::debug!("an idle connection made room for another"),
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
        let reaped = timeout(REAP_TIMEOUT, backends.ended());
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
        reloader.close().await;
        let context = backends.context();
        drop(admin);
        drop(ingress);
        if let Some(exporter) = exporter {
            exporter.end().await;
        }
        drop(reloader);
        drop(backends);
        let LocalContext {
            output,
            orphan_reaper,
            isolation,
            ..
        } = context;
        if let Some(isolation) = isolation {
            isolation.server.end().await;
        }
        if let Some(orphan_reaper) = orphan_reaper {
            orphan_reaper.end().await;
        }
        drop(output);
        flushed.wait().await;
    }
}

/// Starts the export of spans if the configuration or the environment asks for it.
fn export(config: &Config, metrics: &Metrics) -> Result<Option<(Sampler, Exporter)>, ServeError> {
    let (settings, warnings) = Settings::of_environment(config.traces.as_ref());
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let Some(settings) = settings else {
        return Ok(None);
    };
    tracing::info!("spans go to {}", settings.endpoint.0);
    let sampler = settings.sampler;
    Ok(Some((sampler, Exporter::start(settings, metrics.spans())?)))
}
