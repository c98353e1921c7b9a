//! The admin endpoints: `/ping`, `/healthz`, `/readyz`, `/metrics`, and `/console/`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::web_pages::{WebPageError, WebPages};
use crate::backend::Backends;
use crate::console::{self, Console};
use crate::invoke_api::body::{ResponseBody, whole};
use crate::metrics::{Format, Metrics, Scrape};
use crate::net::Interface;
use crate::net::connections::serve_each;
use crate::util::left_out;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Serves the admin endpoints.
pub(crate) struct Admin {
    /// The backends that `/readyz` checks.
    pub(crate) backends: Arc<Backends>,
    /// The metrics that `/metrics` returns.
    pub(crate) metrics: Arc<Metrics>,
    /// Refuses the requests of web pages.
    pub(super) web_pages: WebPages,
    /// The console, if it is on.
    pub(super) console: Option<Arc<Console>>,
    /// Returns the number of lines of the invoker's own log that were dropped.
    pub(super) dropped_log_lines: fn() -> u64,
    /// Set once the invoker shuts down.
    pub(crate) is_shutting_down: AtomicBool,
}

impl Admin {
    /// Serves until the task is aborted. A connection without a request ends after `limit`.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, limit: Duration) {
        let serve = |stream| {
            let admin = Arc::clone(&self);
            let interface = Interface::of(&stream);
            async move {
                let service = service_fn(|request| {
                    let admin = Arc::clone(&admin);
                    async move { Ok::<_, Infallible>(admin.serve_request(request, interface).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limit)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!("an admin connection ended: {error}");
                }
            }
        };
        serve_each(listener, serve).await;
    }

    async fn serve_request(
        &self,
        request: Request<Incoming>,
        interface: Interface,
    ) -> Response<ResponseBody> {
        match &self.console {
            Some(console) if console::is_path(request.uri().path()) => {
                let is_own =
                    self.web_pages
                        .check_own_page(interface, request.uri(), request.headers());
                match is_own {
                    Ok(()) => console.respond(request, interface).await,
                    Err(error) => forbidden(&error).map(whole),
                }
            }
            _ => self.respond(&request, interface).map(whole),
        }
    }

    fn respond<B>(&self, request: &Request<B>, interface: Interface) -> Response<String> {
        let is_page = self
            .web_pages
            .check(interface, request.uri(), request.headers());
        if let Err(error) = is_page {
            return forbidden(&error);
        }
        let (status, content) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/ping") => (StatusCode::OK, "pong".to_owned()),
            (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok".to_owned()),
            (&Method::GET | &Method::HEAD, "/readyz") => match self.problems().as_slice() {
                [] => (StatusCode::OK, "ready".to_owned()),
                problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n")),
            },
            (&Method::GET | &Method::HEAD, "/metrics") => return self.metrics(request.headers()),
            (_, "/ping" | "/healthz" | "/readyz" | "/metrics") => {
                (StatusCode::METHOD_NOT_ALLOWED, "use GET".to_owned())
            }
            _ => (
                StatusCode::NOT_FOUND,
                match self.console {
                    Some(_) => "there are /ping, /healthz, /readyz, /metrics and /console/",
                    None => {
                        "there are /ping, /healthz, /readyz and /metrics; `console: true` in the configuration adds /console/"
                    }
                }
                .to_owned(),
            ),
        };
        let mut response = text(PLAIN, content);
        *response.status_mut() = status;
        response
    }

    /// Returns the reasons why requests would fail, one sentence each.
    fn problems(&self) -> Vec<String> {
        if self.is_shutting_down.load(Ordering::Relaxed) {
            return vec!["the invoker is about to end".to_owned()];
        }
        self.backends.problems()
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<String> {
        let format = Format::accepted(headers);
        let scrape = Scrape {
            credentials: self.backends.credential_times(),
            states: self.backends.states(),
            dropped_lines: [
                ("functions", self.backends.context().output.dropped_lines()),
                ("invoker", (self.dropped_log_lines)() + left_out()),
            ],
        };
        text(format.content_type(), self.metrics.encode(format, &scrape))
    }
}

fn forbidden(error: &WebPageError) -> Response<String> {
    let mut response = text(PLAIN, error.to_string());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

fn text(content_type: HeaderValue, content: String) -> Response<String> {
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::backend::local::{LocalContext, Output};
    use crate::config::Config;
    use crate::observation::Observer;
    use crate::traces::Tracer;

    #[tokio::test]
    async fn a_connection_without_a_request_ends() {
        let config = "functions: { f: { rie: 'http://localhost:1' } }";
        let config = Config::parse("invoker.yaml", config, Path::new("/")).unwrap();
        let (output, _) = Output::to(std::io::sink(), config.log_format, SystemTime::now);
        let context = LocalContext::new(SystemTime::now, output);
        let metrics = Arc::new(Metrics::new(&config));
        let tracer = Tracer::without_spans(SystemTime::now);
        let observer = Observer::new(Arc::clone(&metrics), tracer, None);
        let admin = Arc::new(Admin {
            backends: Arc::new(Backends::new(&config, &observer, context).unwrap()),
            metrics,
            web_pages: WebPages::default(),
            console: None,
            dropped_log_lines: || 0,
            is_shutting_down: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(admin.serve(listener, Duration::from_millis(20)));
        for begun in ["", "GET /pi"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            let end = stream.read_to_end(&mut response);
            // A reset is an end too.
            let _ = timeout(Duration::from_secs(10), end).await.unwrap();
        }
        server.abort();
    }
}
