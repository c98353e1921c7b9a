//! `sidecar-invoker healthcheck`: the `HEALTHCHECK` of a container whose image has no `curl`.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri, client};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::error::CommandError;
use crate::invoke_api::body::BoxError;

/// The longest time for the whole check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum size of a response that explains a problem.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;

/// The arguments of `healthcheck`.
#[derive(clap::Args)]
pub(super) struct HealthcheckArgs {
    /// The URL to request. The default is the invoker itself; Envoy has http://127.0.0.1:9901/ready
    #[arg(default_value = "http://127.0.0.1:9091/readyz")]
    url: Uri,
}

/// The error if the server is not healthy. The text is one sentence.
#[derive(Debug, thiserror::Error)]
enum HealthcheckError {
    /// The URL is not an absolute URL with the scheme `http`.
    #[error("{0} is not a URL to check; write one such as http://127.0.0.1:9091/readyz")]
    Url(Uri),
    /// The server responded with a status other than 2xx.
    #[error("{url} says {status}: {text}")]
    Unhealthy {
        /// The URL of the check.
        url: Uri,
        /// The status of the response.
        status: StatusCode,
        /// The body of the response.
        text: String,
    },
    /// The connection failed.
    #[error("{url} cannot be asked: {error}")]
    Connection {
        /// The URL of the check.
        url: Uri,
        /// The reason.
        error: BoxError,
    },
    /// The server did not respond in time.
    #[error("{url} has not answered within {} s", CHECK_TIMEOUT.as_secs())]
    Timeout {
        /// The URL of the check.
        url: Uri,
    },
}

/// Sends one request.
pub(super) fn run(args: &HealthcheckArgs) -> Result<ExitCode, CommandError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CommandError::failed)?;
    let checked = runtime.block_on(check(&args.url));
    checked.map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Requests `url` with GET and without TLS.
async fn check(url: &Uri) -> Result<(), HealthcheckError> {
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(HealthcheckError::Url(url.clone()));
    };
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let path_and_query = url.path_and_query().map_or("/", |path| path.as_str());
    let response = timeout(
        CHECK_TIMEOUT,
        get(address, authority.as_str(), path_and_query),
    );
    let (status, text) = response
        .await
        .map_err(|_| HealthcheckError::Timeout { url: url.clone() })?
        .map_err(|error| HealthcheckError::Connection {
            url: url.clone(),
            error,
        })?;
    match status.is_success() {
        true => Ok(()),
        false => Err(HealthcheckError::Unhealthy {
            url: url.clone(),
            status,
            text,
        }),
    }
}

/// Returns the status, and the body unless the status is 2xx.
///
/// A single request needs no pool, and hyper's low-level client keeps the operating system's own error.
async fn get(
    address: (&str, u16),
    authority: &str,
    path_and_query: &str,
) -> Result<(StatusCode, String), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path_and_query).header(HOST, authority);
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new())?)
        .await?;
    let status = response.status();
    let mut text = String::new();
    if !status.is_success() {
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES);
        let body = body.collect().await?.to_bytes();
        text = String::from_utf8_lossy(&body).trim().to_owned();
    }
    connection.abort();
    Ok((status, text))
}
