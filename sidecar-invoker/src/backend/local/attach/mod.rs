//! A Runtime API at a fixed address, for processes that the invoker does not start: `attach`.
//!
//! Whoever asks for an invocation there is an execution environment. The connection of a process tells which
//! one it is, and the identifier in the path of a response.

mod peer;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::USER_AGENT;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use self::peer::Peer;
use super::api::response::error;
use super::api::route::Route;
use super::api::runtime;
use super::environment::failure::Failure;
use super::pool::Pool;
use super::pool::slots::{Slot, Waiting};
use crate::config::HostPort;
use crate::invocation::RequestId;
use crate::net::connections::serve_each;
use crate::util::{admit_line, lock};

/// The pause before another attempt to listen. A function that is replaced lets go of its address late.
const BIND_PAUSE: Duration = Duration::from_millis(100);
/// The beginnings of the names of clients that end after each request, as in a shell script.
const ONE_SHOT_CLIENTS: [&str; 2] = ["curl/", "Wget/"];
/// The interval at which a process whose connection has closed is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Serves the Runtime API of a function at `address`. Never returns.
pub(super) async fn serve(address: &HostPort, pool: &Arc<Pool>) {
    let listener = listen(address, pool).await;
    tracing::info!(
        function = %pool.spec.name,
        "processes may attach: start them with AWS_LAMBDA_RUNTIME_API={address}"
    );
    let serve = |stream: TcpStream| {
        let pool = Arc::clone(pool);
        async move { Connection::serve(stream, pool).await }
    };
    serve_each(listener, serve).await;
}

async fn listen(address: &HostPort, pool: &Pool) -> TcpListener {
    let mut has_failed = false;
    loop {
        match TcpListener::bind((address.host.as_str(), address.port)).await {
            Ok(listener) => return listener,
            // The second time, because a function that is replaced lets go of its address late.
            Err(error) if has_failed => {
                if let Some(left_out) = admit_line!() {
                    tracing::error!(
                        function = %pool.spec.name,
                        "{address} (attach) cannot be used: {error}; choose another, or stop the process that holds it{left_out}"
                    );
                }
            }
            Err(_) => has_failed = true,
        }
        sleep(BIND_PAUSE).await;
    }
}

/// A connection of an attached process.
struct Connection {
    pool: Arc<Pool>,
    slot: Mutex<Option<Arc<Slot>>>,
    peer: Option<Peer>,
    /// The client ends after each request, as in a shell script. Its end means nothing.
    is_one_shot: AtomicBool,
}

impl Connection {
    async fn serve(stream: TcpStream, pool: Arc<Pool>) {
        let connection = Self {
            pool,
            peer: Peer::of(&stream).await,
            slot: Mutex::default(),
            is_one_shot: AtomicBool::new(false),
        };
        let service = service_fn(|request| connection.handle(request));
        // A connection that fails needs no report. What matters is whether its process still runs.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        connection.closed();
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let agent = request.headers().get(USER_AGENT);
        let agent = agent
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default();
        let is_one_shot = ONE_SHOT_CLIENTS
            .iter()
            .any(|client| agent.starts_with(client));
        self.is_one_shot.store(is_one_shot, Ordering::Relaxed);
        let route = Route::parse(request.uri().path());
        let slot = match route {
            Some(Route::Next) if request.method() == Method::GET => return Ok(self.next().await),
            Some(Route::Response(id) | Route::Error(id)) => match self.slot_of_invocation(id) {
                Some(slot) => Some(slot),
                None => return Ok(invalid_request_id()),
            },
            _ => self.slot_of_extension(),
        };
        let Some(slot) = slot else {
            return Ok(self.refuse());
        };
        if !matches!(route, Some(Route::Register | Route::ExtensionNext)) {
            self.use_slot(&slot);
        }
        tokio::select! {
            response = runtime::handle(request, &slot.environment) => response,
            () = slot.ended.cancelled() => Ok(invalid_request_id()),
        }
    }

    /// Responds to a process that asks for its next invocation. If its environment ends meanwhile, it gets
    /// another one.
    async fn next(&self) -> Response<Full<Bytes>> {
        while let Some((slot, _waiting)) = self.slot_of_next().await {
            self.use_slot(&slot);
            tokio::select! {
                response = runtime::next(&slot.environment) => return response,
                () = slot.ended.cancelled() => {}
            }
        }
        self.refuse()
    }

    fn slot_of_invocation(&self, id: &str) -> Option<Arc<Slot>> {
        let id = RequestId::parse(id).filter(|parsed| parsed.to_string() == id)?;
        self.pool.slots()?.of_invocation(id)
    }

    async fn slot_of_next(&self) -> Option<(Arc<Slot>, Waiting)> {
        if let Some(own) = self.own_slot()
            && let Some(waiting) = own.wait()
        {
            return Some((own, waiting));
        }
        let slots = self.pool.slots()?;
        if let Some(taken) = slots.take() {
            return Some(taken);
        }
        if !self.pool.attach() {
            // A process that was started anew takes the place of the one before.
            let deserted = slots.deserted()?;
            deserted.environment.detach(Failure::Detached);
            deserted.ended.cancelled().await;
            self.pool.attach();
        }
        slots.take()
    }

    fn slot_of_extension(&self) -> Option<Arc<Slot>> {
        let slots = self.pool.slots()?;
        let starting = || self.own_slot().or_else(|| slots.starting());
        starting().or_else(|| {
            self.pool.attach();
            slots.starting()
        })
    }

    fn own_slot(&self) -> Option<Arc<Slot>> {
        let own = lock(&self.slot).clone();
        own.filter(|slot| !slot.ended.is_cancelled())
    }

    /// Notes that the connection uses a slot.
    fn use_slot(&self, slot: &Arc<Slot>) {
        let is_one_shot = self.is_one_shot.load(Ordering::Relaxed);
        slot.is_one_shot.store(is_one_shot, Ordering::Relaxed);
        let mut own = lock(&self.slot);
        if own.as_ref().is_some_and(|own| Arc::ptr_eq(own, slot)) {
            return;
        }
        slot.connect();
        if let Some(previous) = own.replace(Arc::clone(slot)) {
            previous.disconnect();
        }
    }

    fn refuse(&self) -> Response<Full<Bytes>> {
        let concurrency = self.pool.spec.config.concurrency;
        let message = format!(
            "{concurrency} of at most {concurrency} processes are attached; raise `concurrency`, or end one of them"
        );
        if let Some(left_out) = admit_line!() {
            tracing::warn!(
                function = %self.pool.spec.name,
                "a further process was refused: {message}{left_out}"
            );
        }
        error(StatusCode::FORBIDDEN, "TooManyProcesses", &message)
    }

    /// Ends the environment of a process that has ended.
    fn closed(self) {
        let Some(slot) = lock(&self.slot).take() else {
            return;
        };
        slot.disconnect();
        if slot.is_connected() {
            return;
        }
        // A process that waits for an invocation without a connection is gone, or asks again.
        slot.environment.dismiss();
        let Some(peer) = self
            .peer
            .filter(|_| !self.is_one_shot.load(Ordering::Relaxed))
        else {
            return;
        };
        let tasks = self.pool.spec.context.tasks.clone();
        let stop = self.pool.spec.context.stop.clone();
        let watch = async move {
            while !slot.is_connected() && !slot.ended.is_cancelled() {
                if !peer.is_running() {
                    slot.environment.detach(Failure::Detached);
                    return;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        tasks.spawn(stop.run_until_cancelled_owned(watch));
    }
}

fn invalid_request_id() -> Response<Full<Bytes>> {
    error(
        StatusCode::BAD_REQUEST,
        "InvalidRequestID",
        "Invalid request ID",
    )
}
