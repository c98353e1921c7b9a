//! A Runtime API at a fixed address, for processes that the invoker does not start: `attach`.
//!
//! Whoever asks for an invocation there is an execution environment. The connection of a process tells which
//! one it is, and the identifier in the path of a response.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::api::response::{accepted, error, not_found, plain_text};
use super::api::route::Route;
use super::api::runtime;
use super::environment::failure::Failure;
use super::pool::Pool;
use super::pool::slots::{Slot, Waiting};
use super::process::peer::Peer;
use crate::config::HostPort;
use crate::invocation::RequestId;
use crate::invoke_api::body;
use crate::net::listener::accept;
use crate::util::{Backoff, admit_line, lock};

/// The pause before another attempt to listen. A function that is replaced lets go of its address late.
const BIND_PAUSE: Duration = Duration::from_millis(100);
const MAX_BIND_PAUSE: Duration = Duration::from_secs(60);
/// The beginnings of the names of clients that end after each request, as in a shell script.
const ONE_SHOT_CLIENTS: [&str; 2] = ["curl/", "Wget"];
/// The time after the end of a process that had a connection for one request alone, in which another process may
/// respond in its place.
const ONE_REQUEST_GRACE: Duration = Duration::from_secs(3);
/// The longest time limit that a function can have without a debugger.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);
/// The interval at which a process whose connection has closed is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The addresses at which processes attach, each with the function that serves there. A function that takes the
/// place of another one takes over its processes.
#[derive(Default)]
pub(crate) struct AttachPoints(Mutex<HashMap<HostPort, Arc<Point>>>);

/// An address at which processes attach.
struct Point {
    address: HostPort,
    /// The functions that were replaced and still have callers, and the one that serves, which is the last.
    pools: Mutex<Vec<Arc<Pool>>>,
    /// Cancelled once no function serves there.
    closed: CancellationToken,
}

impl AttachPoints {
    /// Serves the function of `pool` at `address` from now on.
    pub(super) fn serve(&self, address: &HostPort, pool: &Arc<Pool>) {
        let mut points = lock(&self.0);
        if let Some(point) = points.get(address) {
            let mut pools = lock(&point.pools);
            pools.retain(|pool| !pool.has_ended());
            pools.push(Arc::clone(pool));
            return;
        }
        let context = &pool.spec.context;
        let point = Arc::new(Point {
            address: address.clone(),
            pools: Mutex::new(vec![Arc::clone(pool)]),
            closed: context.stop.child_token(),
        });
        points.insert(address.clone(), Arc::clone(&point));
        let stop = context.stop.clone();
        let serve = stop.run_until_cancelled_owned(point.serve());
        context.tasks.spawn(serve);
    }

    /// Stops to listen at `address`, unless another function serves there by now.
    pub(super) fn retire(&self, address: &HostPort, pool: &Arc<Pool>) {
        let mut points = lock(&self.0);
        let is_own = |point: &&Arc<Point>| {
            let pools = lock(&point.pools);
            pools.last().is_some_and(|last| Arc::ptr_eq(last, pool))
        };
        if let Some(point) = points.get(address).filter(is_own) {
            point.closed.cancel();
            points.remove(address);
        }
    }
}

impl Point {
    /// Returns the functions whose invocations a process may take, those that were replaced first.
    fn pools(&self) -> Vec<Arc<Pool>> {
        lock(&self.pools).clone()
    }

    /// Returns the function that serves here.
    fn pool(&self) -> Option<Arc<Pool>> {
        lock(&self.pools).last().cloned()
    }

    fn name(&self) -> String {
        self.pool()
            .map(|pool| pool.spec.name.to_string())
            .unwrap_or_default()
    }

    /// Serves the processes that connect. Once the point is closed, connections go on until their invocations
    /// have ended.
    async fn serve(self: Arc<Self>) {
        let Some(listener) = self.closed.run_until_cancelled(self.listen()).await else {
            return;
        };
        tracing::info!(
            function = %self.name(),
            "processes may attach: start them with AWS_LAMBDA_RUNTIME_API={}",
            self.address
        );
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener) => accepted,
                () = self.closed.cancelled() => break,
            };
            if let Ok(stream) = accepted {
                while connections.try_join_next().is_some() {}
                connections.spawn(Connection::serve(stream, Arc::clone(&self)));
            }
        }
        drop(listener);
        while self.pools().iter().any(|pool| !pool.has_ended()) {
            sleep(LOOK_INTERVAL).await;
        }
    }

    async fn listen(&self) -> TcpListener {
        let mut backoff = Backoff::new(BIND_PAUSE, MAX_BIND_PAUSE);
        let mut has_failed = false;
        loop {
            let address = (self.address.host.as_str(), self.address.port);
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                // The second time, because a function that is replaced lets go of its address late.
                Err(error) if has_failed => tracing::error!(
                    function = %self.name(),
                    "{} (attach) cannot be used: {error}; choose another, or stop the process that holds it",
                    self.address
                ),
                Err(_) => has_failed = true,
            }
            sleep(backoff.pause()).await;
        }
    }
}

/// A connection of an attached process.
struct Connection {
    point: Arc<Point>,
    slot: Mutex<Option<Arc<Slot>>>,
    peer: Option<Peer>,
    requests: AtomicUsize,
    /// The client ends after each request, as in a shell script. Its end means nothing.
    is_one_shot: AtomicBool,
}

impl Connection {
    async fn serve(stream: TcpStream, point: Arc<Point>) {
        let connection = Self {
            point,
            peer: Peer::of(&stream).await,
            slot: Mutex::default(),
            requests: AtomicUsize::new(0),
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
        self.requests.fetch_add(1, Ordering::Relaxed);
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
            None => return Ok(not_found()),
            Some(Route::Ping) => return Ok(plain_text(StatusCode::OK, "pong")),
            Some(Route::Next) if request.method() == Method::GET => return Ok(self.next().await),
            Some(Route::Response(id) | Route::Error(id)) => {
                let id = RequestId::parse(id).filter(|parsed| parsed.to_string() == id);
                let slot = id.and_then(|id| self.slot_of_invocation(id));
                match slot {
                    Some(slot) => Some(slot),
                    None => return Ok(self.late_response(id, request).await),
                }
            }
            Some(_) => self.slot_of_extension(),
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
                response = runtime::next(&slot.environment) => {
                    // The environment has just ended, as that of a function that was replaced.
                    if response.status() != StatusCode::OK && slot.environment.is_ended() {
                        slot.ended.cancelled().await;
                        continue;
                    }
                    let pool = self.point.pool();
                    let slots = pool.as_ref().and_then(|pool| pool.slots());
                    if let Some((slots, id)) = slots.zip(slot.environment.invocation()) {
                        slots.give(id);
                    }
                    return response;
                }
                () = slot.ended.cancelled() => {}
            }
        }
        self.refuse()
    }

    /// Returns the slot with this invocation, whichever function serves here by now.
    fn slot_of_invocation(&self, id: RequestId) -> Option<Arc<Slot>> {
        let own = self.own_slot();
        let own = own.filter(|slot| slot.environment.invocation() == Some(id));
        let find = |pool: &Arc<Pool>| pool.slots()?.of_invocation(id);
        own.or_else(|| self.point.pools().iter().find_map(find))
    }

    /// Responds to a process whose invocation has ended without it, as by its time limit. The process is not at
    /// fault, and goes on.
    async fn late_response(
        &self,
        id: Option<RequestId>,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        // The process reads the response only after it has sent its whole request.
        body::drain(&mut request.into_body()).await;
        let pools = self.point.pools();
        let was_given = id.is_some_and(|id| {
            let mut slots = pools.iter().filter_map(|pool| pool.slots());
            slots.any(|slots| slots.was_given(id))
        });
        match was_given {
            true => accepted(),
            false => invalid_request_id(),
        }
    }

    async fn slot_of_next(&self) -> Option<(Arc<Slot>, Waiting)> {
        if let Some(own) = self.own_slot()
            && let Some(waiting) = own.wait()
        {
            return Some((own, waiting));
        }
        let take = |pool: &Arc<Pool>| pool.slots()?.take();
        if let Some(taken) = self.point.pools().iter().find_map(take) {
            return Some(taken);
        }
        let pool = self.point.pool()?;
        let slots = pool.slots()?;
        if !pool.attach() {
            // A process that was started anew takes the place of the one before. Nobody waits for the time limit
            // of a function under a debugger.
            let deserted = slots.deserted(pool.spec.config.timeout > MAX_TIMEOUT)?;
            deserted.environment.detach(Failure::Detached);
            deserted.ended.cancelled().await;
            pool.attach();
        }
        slots.take()
    }

    fn slot_of_extension(&self) -> Option<Arc<Slot>> {
        let pool = self.point.pool()?;
        let slots = pool.slots()?;
        let starting = || self.own_slot().or_else(|| slots.starting());
        starting().or_else(|| {
            pool.attach();
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
        *lock(&slot.peer) = self.peer;
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
        let pool = self.point.pool();
        let concurrency = pool.map_or(0, |pool| pool.spec.config.concurrency);
        let message = format!(
            "{concurrency} of at most {concurrency} processes are attached; raise `concurrency`, or end one of them"
        );
        if let Some(left_out) = admit_line!() {
            tracing::warn!(
                function = %self.point.name(),
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
        let context = &slot.environment.spec.context;
        let (tasks, stop) = (context.tasks.clone(), context.stop.clone());
        // A client with a process for each request ends, too. Only the next request shows that it goes on.
        let grace = match self.requests.load(Ordering::Relaxed) {
            0 | 1 => ONE_REQUEST_GRACE,
            _ => Duration::ZERO,
        };
        let watch = async move {
            sleep(grace).await;
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
