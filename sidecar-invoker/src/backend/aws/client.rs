//! The HTTP client for AWS: pooled connections over TLS, by HTTP/2 or HTTP/1.1.
//!
//! hyper-util's client opens one HTTP/2 connection per host, on which requests beyond the server's limit
//! of streams wait. Several such clients, each with a limit of its own, save that wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::proxy::ProxyConnector;
use crate::net::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest time for which an idle connection is kept. AWS closes idle connections after a while.
/// Closing them first avoids that a request goes out on a connection that is about to close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The maximum number of invocations on one HTTP/2 connection. RFC 9113, section 6.5.2, recommends that
/// servers allow at least 100 streams. Streams beyond the limit of a server would wait for others to end.
const MAX_STREAMS: usize = 100;

type Http = legacy::Client<HttpsConnector<ProxyConnector>, Full<Bytes>>;

/// An HTTP client that sends requests concurrently, without one waiting for another.
pub(crate) struct Client {
    pools: Vec<Http2Pool>,
}

/// A pool of connections. It has only one connection to an endpoint that supports HTTP/2.
struct Http2Pool {
    http: Http,
    free: Arc<Semaphore>,
}

impl Client {
    /// Creates a client for up to `max` concurrent requests.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub(crate) fn new(max: usize) -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(Duration::from_secs(5)));
        tcp.set_keepalive_retries(Some(3));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::trusting_system()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(ProxyConnector::new(tcp));
        let pool = || Http2Pool {
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .http2_adaptive_window(true)
                .http2_keep_alive_interval(KEEPALIVE)
                .build(connector.clone()),
            free: Arc::new(Semaphore::new(MAX_STREAMS)),
        };
        Ok(Self {
            pools: std::iter::repeat_with(pool)
                .take(max.div_ceil(MAX_STREAMS))
                .collect(),
        })
    }

    /// Returns a slot for one invocation, or `None` if all slots are taken.
    pub(crate) fn slot(&self) -> Option<ConnectionSlot<'_>> {
        self.pools.iter().find_map(|Http2Pool { http, free }| {
            let permit = Arc::clone(free).try_acquire_owned().ok()?;
            Some(ConnectionSlot { http, permit })
        })
    }
}

/// A slot for one invocation on a connection, freed on drop.
pub(crate) struct ConnectionSlot<'c> {
    http: &'c Http,
    permit: OwnedSemaphorePermit,
}

impl ConnectionSlot<'_> {
    /// Sends a request. If the connection turns out to be closed before any byte of the request is
    /// written, the request is sent on another connection.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        self.http.request(request).await
    }

    /// Returns the permit of the slot, to hold it until the response body ends.
    pub(crate) fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}

/// Returns whether no byte of the request was written, so that the function cannot have been invoked.
pub(crate) fn is_unsent(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let inner = source.and_then(|source| source.downcast_ref::<hyper::Error>());
    // hyper cancels only requests that it has not begun to write.
    error.is_connect() || inner.is_some_and(hyper::Error::is_canceled)
}
