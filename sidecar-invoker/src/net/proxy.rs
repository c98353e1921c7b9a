//! The proxy on the way to AWS and to a collector of traces, which `HTTPS_PROXY` and `NO_PROXY` name.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::invoke_api::body::BoxError;

/// Opens connections, to HTTPS endpoints through the proxy of the environment.
#[derive(Clone)]
pub(crate) struct ProxyConnector {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl ProxyConnector {
    /// Wraps a connector. The environment is read now: `HTTPS_PROXY`, else `ALL_PROXY`, and `NO_PROXY`, in capitals
    /// or not.
    pub(crate) fn new(direct: HttpConnector) -> Self {
        Self {
            direct,
            proxies: Arc::new(Matcher::from_env()),
        }
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let is_https = destination.scheme_str() == Some("https");
        let proxy = is_https.then(|| self.proxies.intercept(&destination));
        let Some(proxy) = proxy.flatten() else {
            let connecting = self.direct.call(destination);
            return Box::pin(async { Ok(connecting.await?) });
        };
        let scheme = proxy.uri().scheme_str().unwrap_or_default();
        if scheme != "http" {
            let error = format!(
                "HTTPS_PROXY names a proxy of the kind {scheme}; only http://HOST:PORT is supported"
            );
            return Box::pin(async { Err(io::Error::other(error).into()) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let connecting = tunnel.call(destination);
        Box::pin(async move {
            let proxy = proxy.uri().authority().map(ToString::to_string);
            connecting.await.map_err(|error| {
                let proxy = proxy.unwrap_or_default();
                io::Error::other(format!("the proxy {proxy} of HTTPS_PROXY: {error}")).into()
            })
        })
    }
}
