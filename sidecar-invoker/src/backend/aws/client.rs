//! The HTTP client: pooled connections to AWS, over TLS, by HTTP/2 or HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// AWS closes idle connections by and by; to give them up first avoids that a request goes out on
/// one that is about to close.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Invocations that share one connection if it is of HTTP/2. A server has to allow 100 (RFC 9113,
/// section 6.5.2); what is beyond its limit would wait for others to end.
const STREAMS: usize = 100;

type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests, whatever their number, each without waiting for another.
pub(crate) struct Client {
    pools: Vec<Http2Pool>,
}

/// A pool; for an endpoint that speaks HTTP/2 it has one connection.
struct Http2Pool {
    http: Http,
    free: Arc<Semaphore>,
}

impl Client {
    /// A client for this many requests at once.
    pub(crate) fn new(most: usize) -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(Duration::from_secs(5)));
        tcp.set_keepalive_retries(Some(3));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let pool = || Http2Pool {
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_LIMIT)
                .http2_adaptive_window(true)
                .http2_keep_alive_interval(KEEPALIVE)
                .build(connector.clone()),
            free: Arc::new(Semaphore::new(STREAMS)),
        };
        Ok(Self {
            pools: std::iter::repeat_with(pool)
                .take(most.div_ceil(STREAMS))
                .collect(),
        })
    }

    /// A slot for one invocation.
    pub(crate) fn slot(&self) -> Option<ConnectionSlot<'_>> {
        self.pools.iter().find_map(|Http2Pool { http, free }| {
            let permit = Arc::clone(free).try_acquire_owned().ok()?;
            Some(ConnectionSlot { http, permit })
        })
    }
}

/// A slot for one invocation on a connection, until it is dropped.
pub(crate) struct ConnectionSlot<'c> {
    http: &'c Http,
    permit: OwnedSemaphorePermit,
}

impl ConnectionSlot<'_> {
    /// Sends a request. One that turns out, before anything of it was written, to have been put on
    /// a connection that had just been closed is sent on another.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        self.http.request(request).await
    }

    /// The slot alone, for an answer that is still to be read.
    pub(crate) fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}

/// Whether nothing of the request was written, so that the function cannot have been invoked.
pub(crate) fn is_unsent(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let inner = source.and_then(|source| source.downcast_ref::<hyper::Error>());
    // hyper cancels only requests that it gives back.
    error.is_connect() || inner.is_some_and(hyper::Error::is_canceled)
}

/// Trusts what the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
    };
    let trusting = match builder()?.with_native_roots() {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(
                "no HTTPS endpoint can be trusted: {error}; install ca-certificates, or name a file of them in SSL_CERT_FILE"
            );
            builder()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(trusting.with_no_client_auth())
}
