//! Listening sockets: TCP and Unix domain.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep};

use crate::config::{HostPort, Listen, SocketMode};
use crate::util::lock;

/// The shortest time between two warnings that a connection cannot be accepted.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where the Invoke API is served.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A Unix domain socket's file; removed when dropped, unless it has become another's.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Which file it is, whatever its path: device and inode.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Somebody else may have removed it already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// An address cannot be listened on. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there; `key` is the key and option of the address.
    #[error(
        "{address} ({key}) is already in use; choose another with --{key} or stop the process that \
         holds it"
    )]
    InUse {
        /// The address.
        address: Listen,
        /// Its key and option.
        key: &'static str,
    },
    /// The path of the Unix domain socket is that of another kind of file.
    #[error("{0} (listen) is there and is no socket; choose another with --listen or remove it")]
    NotASocket(Listen),
    /// The operating system refuses.
    #[error("{address} ({key}) cannot be listened on: {error}; choose another with --{key}")]
    Refused {
        /// The address.
        address: Listen,
        /// Its key and option.
        key: &'static str,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The Unix domain socket's file cannot have the permissions of `socket_mode`.
    #[error(
        "{address} (listen) cannot have the permissions {mode:o} (socket_mode): {error}; choose others"
    )]
    Permissions {
        /// The address.
        address: Listen,
        /// The permissions.
        mode: u32,
        /// The operating system's reason.
        error: io::Error,
    },
}

impl BindError {
    fn new(address: Listen, key: &'static str, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::AddrInUse => Self::InUse { address, key },
            _ => Self::Refused {
                address,
                key,
                error,
            },
        }
    }
}

impl Listener {
    /// Listens; a Unix socket's file gets the permissions `mode`, if there are any.
    pub(crate) async fn bind(
        address: &Listen,
        mode: Option<SocketMode>,
    ) -> Result<Self, BindError> {
        match address {
            Listen::Tcp(address) => bind_tcp(address, "listen").await.map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path, mode).await,
        }
    }

    /// The address that is listened on, with the port that the operating system chose.
    pub(crate) fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => tcp_address(listener).map(Listen::Tcp),
            Self::Unix(_, file) => Ok(Listen::Unix(file.path.clone())),
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
    static LAST_WARNING: Mutex<Option<Instant>> = Mutex::new(None);
    if is_due(&mut lock(&LAST_WARNING), Instant::now()) {
        tracing::warn!("a connection could not be accepted: {error}");
    }
    sleep(Duration::from_millis(50)).await;
    None
}

/// Returns whether the warning is due (at most one per second) and records it.
fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = last.is_none_or(|last| now.duration_since(last) >= WARNING_INTERVAL);
    if is_due {
        *last = Some(now);
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

/// Listens on TCP for the address of the key and option `key`.
pub(crate) async fn bind_tcp(
    address: &HostPort,
    key: &'static str,
) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind((address.host.as_str(), address.port)).await;
    bound.map_err(|error| BindError::new(Listen::Tcp(address.clone()), key, error))
}

async fn bind_unix(path: &Path, mode: Option<SocketMode>) -> Result<Listener, BindError> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(path).await => {
            std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
        }
        bound => bound,
    };
    let address = Listen::Unix(path.to_owned());
    let listener = match bound {
        Ok(listener) => Listener::Unix(listener, SocketFile::at(path)),
        Err(error) if error.kind() == ErrorKind::AddrInUse && !is_socket(path) => {
            return Err(BindError::NotASocket(address));
        }
        Err(error) => return Err(BindError::new(address, "listen", error)),
    };
    if let Some(SocketMode(mode)) = mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).map_err(|error| BindError::Permissions {
            address,
            mode,
            error,
        })?;
    }
    Ok(listener)
}

/// Whether it is the socket of a process that is gone, which removes no file if it is killed. One that
/// is alive may also refuse a connection, if its queue is full or the user is another, but not as
/// nobody's; and a file that is no socket is not ours to remove.
async fn is_left_behind(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    is_socket(path) && UnixStream::connect(path).await.is_err_and(refused)
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};

    use super::*;

    #[test]
    fn what_goes_on_failing_is_told_once_a_second() {
        let start = Instant::now();
        let mut last = None;
        let times = (0..50).map(|index| start + Duration::from_millis(50) * index);
        assert_eq!(times.filter(|now| is_due(&mut last, *now)).count(), 3);
    }

    /// What is said about a path that cannot be listened on.
    async fn refusal(path: &Path) -> String {
        let bound = Listener::bind(&Listen::Unix(path.to_owned()), None).await;
        bound.err().expect("an error").to_string()
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy.sock");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        assert!(refusal(&path).await.contains("is already in use"));
        // So it is while nobody accepts, and no further connection has room.
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        assert!(refusal(&path).await.contains("is already in use"));
        drop(busy);
        let listener = Listener::bind(&Listen::Unix(path), None).await;
        assert!(listener.is_ok(), "left behind");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(refusal(file.path()).await.contains("is no socket"));
        assert!(file.path().exists());
    }

    #[tokio::test]
    async fn only_one_s_own_socket_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let address = Listen::Unix(path.clone());
        let first = Listener::bind(&address, None).await.unwrap();
        // Another file in the meantime, so that the second cannot have the same inode.
        std::fs::rename(&path, folder.path().join("b.sock")).unwrap();
        let second = Listener::bind(&address, None).await.unwrap();
        drop(first);
        assert!(path.exists(), "the second's");
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_has_the_permissions_that_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        for text in ["600", "666"] {
            let mode = Some(text.parse().unwrap());
            let _listener = Listener::bind(&Listen::Unix(path.clone()), mode).await;
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(format!("{:o}", found & 0o777), text);
        }
    }
}
