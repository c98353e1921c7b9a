//! The process at the other end of a connection within this machine.

use std::fs;
use std::net::SocketAddr;

use rustix::process::{Pid, test_kill_process};
use tokio::net::TcpStream;

/// The tables of the system's TCP connections.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// A process of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(Pid);

impl Peer {
    /// Finds the process that has the other end of a connection. Returns `None` if it is on another machine
    /// or in another container, or if the system does not tell.
    pub(crate) async fn of(stream: &TcpStream) -> Option<Self> {
        let (own, other) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
        let found = tokio::task::spawn_blocking(move || {
            let inode = inode(other, own)?;
            owner(&inode).map(Self)
        });
        found.await.ok().flatten()
    }

    /// Returns whether the process still runs. A process that waits for its parent has ended.
    pub(crate) fn is_running(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_pid()));
        // The state follows the name, which stands in parentheses and may have any characters.
        let state = stat.ok().and_then(|stat| {
            let (_, rest) = stat.rsplit_once(')')?;
            rest.trim_start().chars().next()
        });
        test_kill_process(self.0).is_ok() && !matches!(state, Some('Z' | 'X'))
    }
}

/// Returns the inode of the socket that is connected from `local` to `remote`.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let ports = (local.port(), remote.port());
    TABLES.iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let port = |field: &&str| {
                let (_, port) = field.rsplit_once(':')?;
                u16::from_str_radix(port, 16).ok()
            };
            let found = (port(fields.get(1)?)?, port(fields.get(2)?)?);
            let inode = (*fields.get(9)?).to_owned();
            (found == ports && inode != "0").then_some(inode)
        })
    })
}

/// Returns the process that has a socket.
fn owner(inode: &str) -> Option<Pid> {
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.find_map(|id| {
        let mut files = fs::read_dir(format!("/proc/{id}/fd")).ok()?.flatten();
        let has_socket = files.any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        });
        has_socket.then(|| Pid::from_raw(id)).flatten()
    })
}
