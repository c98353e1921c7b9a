//! Listening sockets: TCP and Unix domain.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep};

use crate::config::{HostPort, Listen};
use crate::lock::lock;

/// How often the log says at most that connections cannot be accepted.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where the Invoke API is served.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A Unix domain socket's file; removed when dropped.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens; the error is one sentence with the cure.
    pub(crate) async fn bind(address: &Listen) -> Result<Self, String> {
        match address {
            Listen::Tcp(address) => bind_tcp(address, "listen").await.map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path).await,
        }
    }

    /// The address that is listened on, with the port that the operating system chose.
    pub(crate) fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => tcp_address(listener).map(Listen::Tcp),
            Self::Unix(_, SocketFile(path)) => Ok(Listen::Unix(path.clone())),
        }
    }

    /// The next connection; `None` if there was an error, after a pause.
    pub(crate) async fn accept(&self) -> Option<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => Some(Box::new(accept(listener).await?)),
            Self::Unix(listener, _) => match listener.accept().await {
                Ok((stream, _)) => Some(Box::new(stream)),
                Err(error) => pause(&error).await,
            },
        }
    }
}

/// The next TCP connection, without Nagle's delay; `None` if there was an error, after a pause.
pub(crate) async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => stream.set_nodelay(true).ok().map(|()| stream),
        Err(error) => pause(&error).await,
    }
}

/// Too many open files, say: the connection stays in the backlog, and trying again at once would
/// only burn the CPU.
async fn pause<T>(error: &io::Error) -> Option<T> {
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    if is_due(&mut lock(&TOLD), Instant::now()) {
        tracing::warn!("a connection could not be accepted: {error}");
    }
    sleep(Duration::from_millis(50)).await;
    None
}

/// Whether it is to be told again, and remembers that it is.
fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = told.is_none_or(|told| now.duration_since(told) >= TELL_INTERVAL);
    if is_due {
        *told = Some(now);
    }
    is_due
}

/// The address of a TCP listener.
pub(crate) fn tcp_address(listener: &TcpListener) -> io::Result<HostPort> {
    let address = listener.local_addr()?;
    Ok(HostPort {
        host: address.ip().to_string(),
        port: address.port(),
    })
}

/// Listens on TCP for what the key and option `key` names.
pub(crate) async fn bind_tcp(address: &HostPort, key: &str) -> Result<TcpListener, String> {
    TcpListener::bind((address.host.as_str(), address.port)).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{address} ({key}) is already in use; choose another with --{key} or stop the process that holds it"
        ),
        _ => format!("{address} ({key}) cannot be listened on: {error}; choose another with --{key}"),
    })
}

async fn bind_unix(path: &Path) -> Result<Listener, String> {
    let shown = path.display();
    if UnixStream::connect(path).await.is_ok() {
        return Err(format!(
            "unix://{shown} (listen) is already in use; choose another with --listen or stop the process that holds it"
        ));
    }
    let bound = match UnixListener::bind(path) {
        // Nobody answers on it: left behind by a process that was killed. A file that is no socket
        // is not ours to remove.
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_socket(path) => {
            std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
        }
        bound => bound,
    };
    let listener = bound.map_err(|error| {
        format!(
            "unix://{shown} (listen) cannot be listened on: {error}; choose another with --listen"
        )
    })?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_failing_is_told_once_a_second() {
        let start = Instant::now();
        let mut told = None;
        let times = (0..50).map(|index| start + Duration::from_millis(50) * index);
        assert_eq!(times.filter(|now| is_due(&mut told, *now)).count(), 3);
    }
}
