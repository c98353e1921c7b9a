//! Free TCP ports, and the owners of taken ones.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};

/// Returns a loopback port on which nothing listens.
///
/// Another process may take the port before the caller does. That is rare, because the kernel assigns
/// such ports in turn.
///
/// # Errors
/// The kernel has no port left.
pub fn free() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Checks that a server can listen on `address`.
///
/// # Errors
/// The address is taken or not usable. The error names the process that listens there, if it can be
/// found, and the `option` that chooses another port.
pub fn check(address: SocketAddr, option: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let port = address.port();
            let owner = owner(port).unwrap_or_else(|| "another process".to_owned());
            bail!("port {port} is taken by {owner}; choose another with {option}")
        }
        Err(error) => bail!("cannot listen on {address}: {error}; choose another with {option}"),
    }
}

/// Returns the process that listens on `port`, such as `nginx (pid 123)`. This needs Linux's `/proc`, and
/// permission to read the process's entries.
fn owner(port: u16) -> Option<String> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = fs::read_to_string(table).unwrap_or_default();
        let inodes = listening_inodes(&table, port).into_iter();
        sockets.extend(inodes.map(|inode| format!("socket:[{inode}]")));
    }
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        // Entries such as `/proc/self` are links to a process.
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let folder = process.path();
        let Ok(descriptors) = fs::read_dir(folder.join("fd")) else {
            continue;
        };
        let holds_it = descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket));
        if holds_it {
            let name = fs::read_to_string(folder.join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// Returns the inodes of the sockets that listen on `port`, from a table in the format of
/// `/proc/net/tcp` (proc(5)).
fn listening_inodes(table: &str, port: u16) -> Vec<&str> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (_, local_port) = fields.next()?.rsplit_once(':')?;
            let state = fields.nth(1)?;
            let inode = fields.nth(5)?;
            (state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port)).then_some(inode)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_are_found() {
        // Port 8080 is 1F90; the second line is a connection to it, the third another port.
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98765 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 11111 1 0 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22222 1 0 100 0 0 10 0
";
        assert_eq!(listening_inodes(table, 8080), ["98765"]);
        assert!(listening_inodes("garbage\n 0: x\n", 8080).is_empty());
    }

    #[test]
    fn a_taken_port_is_refused_with_the_name_of_its_owner() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let error = check(address, "--port").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("port {} is taken by ", address.port()))
                && error.ends_with("; choose another with --port"),
            "{error}"
        );
        if cfg!(target_os = "linux") {
            assert!(
                error.contains(&format!("(pid {})", std::process::id())),
                "{error}"
            );
        }
        drop(listener);
        check(address, "--port").unwrap();
    }
}
