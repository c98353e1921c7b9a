//! `sidecar-invoker healthcheck`: a container's `HEALTHCHECK`, where the image has no `curl`.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, Uri, client};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::error::CommandError;

/// How long the server may take to answer.
const LIMIT: Duration = Duration::from_secs(2);
/// Of an answer that says what is wrong.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The options of `healthcheck`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// What to ask; the default is the invoker itself. Envoy's is http://127.0.0.1:9901/ready
    #[arg(default_value = "http://127.0.0.1:9091/readyz")]
    url: Uri,
}

/// Asks once.
pub(super) fn run(options: &Options) -> Result<ExitCode, CommandError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CommandError::failed)?;
    let checked = runtime.block_on(check(&options.url));
    checked.map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for `url`, such as `http://127.0.0.1:9091/readyz`, with GET and without TLS.
///
/// # Errors
/// No answer within two seconds, or a status other than 2xx: the error is one sentence with the
/// URL and what the server said.
async fn check(url: &Uri) -> Result<(), String> {
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(format!(
            "{url} is not a URL to check; write one such as http://127.0.0.1:9091/readyz"
        ));
    };
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let answer = timeout(LIMIT, get(address, authority.as_str(), target));
    match answer.await {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(answer))) => Err(format!("{url} says {answer}")),
        Ok(Err(error)) => Err(format!("{url} cannot be asked: {error}")),
        Err(_) => Err(format!(
            "{url} has not answered within {} s",
            LIMIT.as_secs()
        )),
    }
}

/// What is wrong, if the server says so.
async fn get(address: (&str, u16), authority: &str, target: &str) -> Result<Option<String>, Error> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(target).header(HOST, authority);
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new())?)
        .await?;
    let status = response.status();
    if status.is_success() {
        connection.abort();
        return Ok(None);
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await?;
    connection.abort();
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Some(format!("{status}: {}", text.trim())))
}
