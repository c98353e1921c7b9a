//! AWS's Runtime Interface Emulator, as it stands in every Lambda base image.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::invoker::free_address;
use crate::process::Process;
use crate::shared::Part;

/// A running emulator. It crashes when two invocations overlap.
#[derive(Debug)]
pub struct Emulator {
    /// Where it serves the Invoke API, for the function name `function` only.
    pub address: SocketAddr,
    process: Process,
}

impl Emulator {
    /// Starts it with the program `bootstrap` as its function. `None` where AWS publishes no
    /// emulator for this platform, which is then noted as a reason to skip the test `name`.
    pub fn start(name: &str, bootstrap: &Path) -> Option<Self> {
        let binary = match xtask::emulator::binary() {
            Ok(binary) => binary,
            Err(error) if cfg!(target_os = "linux") => panic!("{error:#}"),
            Err(error) => {
                xtask::skip(name, &format!("{error:#}"));
                return None;
            }
        };
        let (address, runtime_api) = (free_address(), free_address());
        let mut command = Command::new(binary);
        command
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(bootstrap);
        let process = Process::start("the emulator", &command);
        let ready = process.until(|_| TcpStream::connect(address).ok());
        let (process, _) = ready.unwrap_or_else(|error| panic!("{error}"));
        Some(Self { address, process })
    }
}

impl Part for Emulator {
    fn log(&self) -> String {
        self.process.log()
    }

    fn alive(&self) -> bool {
        self.process.alive()
    }
}
