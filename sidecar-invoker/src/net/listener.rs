//! Listening sockets: TCP and Unix domain sockets.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;

use super::Interface;
use crate::config::{HostPort, Listen, SocketMode};
use crate::util::admit_line;

/// A connection over TCP or a Unix domain socket.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// The listening socket of the Invoke API.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix domain socket. Dropping it removes the file, unless another socket has taken its
/// path.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the inode, which identify the file whatever its path.
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
            // Another process may have removed the file already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The error if listening on an address fails. The text is one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens on the address.
    #[error(
        "{address} ({key}) is already in use; choose another with --{key} or stop the process that \
         holds it"
    )]
    InUse {
        /// The address.
        address: Listen,
        /// The key, and the option, that sets the address.
        key: &'static str,
    },
    /// The path of the Unix domain socket belongs to a file of another kind.
    #[error("{0} (listen) is there and is no socket; choose another with --listen or remove it")]
    NotASocket(Listen),
    /// The operating system refuses the address.
    #[error("{address} ({key}) cannot be listened on: {error}; choose another with --{key}")]
    Refused {
        /// The address.
        address: Listen,
        /// The key, and the option, that sets the address.
        key: &'static str,
        /// The operating system's reason.
        error: io::Error,
    },
    /// Setting the permissions of the Unix domain socket's file failed.
    #[error(
        "{address} (listen) cannot have the permissions {mode:o} (socket_mode): {error}; choose others"
    )]
    Permissions {
        /// The address.
        address: Listen,
        /// The permissions that `socket_mode` demands.
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
    /// Listens on `address`. The file of a Unix domain socket gets the permissions `mode`.
    ///
    /// # Errors
    /// Returns an error if the address is taken or refused, or if the permissions cannot be set.
    pub(crate) async fn bind(
        address: &Listen,
        mode: Option<SocketMode>,
    ) -> Result<Self, BindError> {
        match address {
            Listen::Tcp(address) => bind_tcp(address, "listen").await.map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path, mode).await,
        }
    }

    /// Returns the address of the socket, with the port that the operating system chose.
    ///
    /// # Errors
    /// Returns an error if the operating system does not know the address.
    pub(crate) fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => tcp_address(listener).map(Listen::Tcp),
            Self::Unix(_, file) => Ok(Listen::Unix(file.path.clone())),
        }
    }

    /// Returns the next connection and its interface, or an error after a pause.
    pub(crate) async fn accept(&self) -> Result<(Box<dyn Connection>, Interface), AcceptError> {
        match self {
            Self::Tcp(listener) => {
                let stream = accept(listener).await?;
                let interface = Interface::of(&stream);
                Ok((Box::new(stream), interface))
            }
            Self::Unix(listener, _) => match listener.accept().await {
                Ok((stream, _)) => Ok((Box::new(stream), Interface::UnixSocket)),
                Err(error) => Err(pause(error).await),
            },
        }
    }
}

/// The failure to accept a connection.
pub(crate) struct AcceptError(io::Error);

impl AcceptError {
    /// Returns whether too many files are open, in this process or in the system.
    pub(crate) fn is_lack_of_files(&self) -> bool {
        let code = self.0.raw_os_error();
        let lack = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        code.is_some_and(|code| lack.contains(&code))
    }
}

/// Returns the next TCP connection, without Nagle's delay, or an error after a pause.
pub(crate) async fn accept(listener: &TcpListener) -> Result<TcpStream, AcceptError> {
    match listener.accept().await {
        // The connection may have ended already.
        Ok((stream, _)) => match stream.set_nodelay(true) {
            Ok(()) => Ok(stream),
            Err(error) => Err(AcceptError(error)),
        },
        Err(error) => Err(pause(error).await),
    }
}

/// Warns, and pauses. Without the pause, a lasting failure such as too many open files would keep a
/// core busy, because the connection stays in the backlog.
async fn pause(error: io::Error) -> AcceptError {
    if let Some(left_out) = admit_line!() {
        tracing::warn!("a connection could not be accepted: {error}{left_out}");
    }
    sleep(Duration::from_millis(50)).await;
    AcceptError(error)
}

/// Returns the address of a TCP listener.
///
/// # Errors
/// Returns an error if the operating system does not know the address.
pub(crate) fn tcp_address(listener: &TcpListener) -> io::Result<HostPort> {
    let address = listener.local_addr()?;
    Ok(HostPort {
        host: address.ip().to_string(),
        port: address.port(),
    })
}

/// Listens on the TCP address that the key and option `key` sets.
///
/// # Errors
/// Returns an error if the address is taken or refused.
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

/// Returns whether the file is the socket of a process that has ended; a killed process does not remove
/// its file. Connecting to the socket of a running process can fail too, but only with other errors: its
/// queue is full, or the user has no permission.
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

    /// Returns the error of a path that cannot be listened on.
    async fn bind_error(path: &Path) -> String {
        let bound = Listener::bind(&Listen::Unix(path.to_owned()), None).await;
        bound.err().expect("an error").to_string()
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy.sock");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        assert!(bind_error(&path).await.contains("is already in use"));
        // The socket is still in use if its queue is full.
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        assert!(bind_error(&path).await.contains("is already in use"));
        drop(busy);
        let listener = Listener::bind(&Listen::Unix(path), None).await;
        assert!(
            listener.is_ok(),
            "the file that was left behind is replaced"
        );
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(bind_error(file.path()).await.contains("is no socket"));
        assert!(file.path().exists());
    }

    #[tokio::test]
    async fn a_listener_removes_only_its_own_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let address = Listen::Unix(path.clone());
        let first = Listener::bind(&address, None).await.unwrap();
        // The first file stays, so that the second cannot get its inode.
        std::fs::rename(&path, folder.path().join("b.sock")).unwrap();
        let second = Listener::bind(&address, None).await.unwrap();
        drop(first);
        assert!(path.exists(), "the socket of the second listener stays");
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_gets_the_permissions_of_its_mode() {
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
