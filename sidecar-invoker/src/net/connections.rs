//! The connections of a TCP listener.

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::listener::accept;

/// Accepts connections, and runs `serve` on each. Dropping the future ends all connections.
pub(crate) async fn serve_each<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok(stream) = accept(&listener).await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream));
    }
}
