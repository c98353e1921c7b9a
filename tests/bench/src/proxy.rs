//! A bare reverse proxy, which is hyper's server in front of hyper-util's pooling client. It shows the limit
//! of the invoker.

use std::net::SocketAddr;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Uri, server};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Forwards everything from `listen` to `upstream` until the process ends.
///
/// # Errors
/// The address cannot be used.
pub async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let builder = Client::builder(TokioExecutor::new());
    let client = builder.build_http::<Incoming>();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let client = client.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            let uri = format!("http://{upstream}{path}").parse::<Uri>();
            let client = client.clone();
            async move {
                *request.uri_mut() = uri?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(client.request(request).await?)
            }
        });
        // A broken connection does not affect the others.
        tokio::spawn(
            server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}
